"""torch's own attention over rows of unlike length: where it is proposed, what it costs, and what others are told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from loratui.core.attention import TORCH_VARLEN
from loratui.core.dataset import DataFacts
from loratui.core.memory import estimate
from loratui.core.memory.trainers import LORATUI, TRL
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.proposal import Proposal, propose
from loratui.core.situation import Situation
from loratui.core.varlen import UNTRIED, why_no_varlen
from loratui.export import Rows, export_plan
from loratui.machine.catalogue import find_gpu
from loratui.machine.device import has_varlen
from loratui.models.find import find_model

UNEVEN = DataFacts(5_000, tuple(range(40, 440)))


def proposal(
    gpu: str = "H100", model: str = "Qwen/Qwen3-0.6B", kernels: tuple[str, ...] = (TORCH_VARLEN,), **more: Any
) -> Proposal:
    count = more.pop("count", 1)
    device = replace(find_gpu(gpu).device(count), attention_kernels=kernels)
    values = {key.replace("__", "."): value for key, value in more.items()}
    return propose(Situation(find_model(model, online=False).spec, UNEVEN, device), by_hand=values)


def test_it_is_proposed_where_no_package_is_and_rows_are_not_padded() -> None:
    made = proposal()
    training = made.plan.training
    assert made.plan.model.attention == TORCH_VARLEN
    assert training.padding_free and not training.packing and not training.group_by_length
    assert UNTRIED in made.recommendations["model.attention"].why, "no speed is claimed"
    assert not [warning for warning in made.warnings if TORCH_VARLEN in warning]
    assert proposal(kernels=("flash_attention_2", TORCH_VARLEN)).plan.model.attention == "flash_attention_2"
    assert proposal("T4", kernels=(TORCH_VARLEN,)).plan.model.attention == "sdpa"


@pytest.mark.parametrize(
    ("more", "attention"),
    [
        ({"kernels": ()}, "sdpa"),
        ({"count": 2}, "sdpa"),
        ({"training__objective": "dpo"}, "sdpa"),
        ({"training__precision": "fp32"}, "sdpa"),
        ({"model": "google/gemma-2-2b"}, "eager"),  # caps its scores
        ({"model": "openai/gpt-oss-20b"}, "eager"),  # has sinks
        ({"model": "mistralai/Mistral-7B-v0.1"}, TORCH_VARLEN),  # slides a window
    ],
)
def test_it_is_proposed_only_where_it_computes_the_model(more: dict[str, Any], attention: str) -> None:
    assert proposal(**more).plan.model.attention == attention


@pytest.mark.parametrize(
    ("gpu", "more", "words"),
    [
        ("T4", {}, "torch_varlen needs compute capability 8.0, and T4 has 7.5. The run would go on without it"),
        ("H100", {"training__precision": "fp32", "model__dtype": "fp32"}, "The run would go on without it"),
        ("H100", {"model": "google/gemma-2-2b"}, "does not compute the attention of gemma2. The run would go on"),
        ("H100", {"hardware__devices": [0, 1]}, "is for one device: what one process finds"),
        ("H100", {"training__objective": "dpo"}, "is for answers (training.objective = sft)"),
    ],
)
def test_what_is_asked_of_it_in_vain_is_told(gpu: str, more: dict[str, Any], words: str) -> None:
    made = proposal(gpu, model__attention=TORCH_VARLEN, **more)
    assert any(words in warning for warning in made.warnings), made.warnings
    assert made.plan.model.attention == TORCH_VARLEN


def test_why_not_is_asked_only_of_plans_that_want_it() -> None:
    several = with_values(Plan(), {"hardware.devices": [0, 1]})
    assert why_no_varlen(several) == ""
    assert why_no_varlen(with_values(several, {"model.attention": TORCH_VARLEN}))


@pytest.mark.parametrize(
    ("version", "there"),
    [
        ("2.13.0", True), ("2.11.0+cu128", True), ("3.0", True), ("2.10.0+cu128", False), ("2.9.1", False), ("", False),
        ("2.13.0+cpu", False), ("2.13.0+rocm7.0", False), ("2.13.0+xpu", False), ("unknown", False),
    ],
)  # fmt: skip
def test_which_torch_has_it(version: str, there: bool) -> None:
    assert has_varlen(version) is there


def test_it_keeps_no_mask_and_others_are_counted_as_they_would_train() -> None:
    spec, device = find_model("Qwen/Qwen3-0.6B", online=False).spec, find_gpu("H100").device()
    free = {"training.batch_size": 8, "training.max_length": 448, "training.padding_free": True}
    plan = with_values(Plan(), {**free, "model.attention": TORCH_VARLEN})
    flash, masked = (with_values(plan, {"model.attention": name}) for name in ("flash_attention_2", "sdpa"))
    own = estimate(spec, plan, UNEVEN, device)
    assert own.tensors_bytes == estimate(spec, flash, UNEVEN, device).tensors_bytes
    assert own.tensors_bytes < estimate(spec, masked, UNEVEN, device).tensors_bytes
    padded = with_values(masked, {"training.padding_free": False})
    assert (
        estimate(spec, plan, UNEVEN, device, TRL).total_bytes == estimate(spec, padded, UNEVEN, device, TRL).total_bytes
    )
    assert LORATUI.varlen and not TRL.varlen


@pytest.mark.parametrize(
    ("tool", "name", "value"), [("trl", "attn_implementation", "sdpa"), ("axolotl", "attn_implementation", "sdpa"),
                                ("llama-factory", "flash_attn", "sdpa")],
)  # fmt: skip
def test_other_tools_are_told_sdpa_and_pad(tool: str, name: str, value: str) -> None:
    plan = with_values(Plan(), {"model.attention": TORCH_VARLEN, "training.padding_free": True})
    export = export_plan(plan, tool, Rows("/data"))
    written = yaml.safe_load(export.text)
    assert written[name] == value and not written.get("padding_free") and "batch_flattening" not in written
    for key in ("model.attention = torch_varlen", "training.padding_free = True"):
        assert any(sentence.startswith(key) for sentence in export.left_out), (key, export.left_out)


def test_the_script_of_plain_transformers_runs_by_sdpa() -> None:
    plan = with_values(Plan(), {"model.attention": TORCH_VARLEN})
    assert 'ATTENTION = "sdpa"' in export_plan(plan, "transformers", Rows("/data")).text
