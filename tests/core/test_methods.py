"""Full fine-tuning, LoRA and QLoRA side by side: each figure is the one of a proposal with that method."""

from __future__ import annotations

from typing import Any

import pytest

from loratui.core.compare_methods import compare_methods, methods_json
from loratui.core.dataset import uniform
from loratui.core.measured import MOST_SLOWER
from loratui.core.memory.budget import verdict
from loratui.core.proposal import propose
from loratui.core.situation import Situation
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model

DATA = uniform(2_000, 400)


def situation(model: str, gpu: str) -> Situation:
    return Situation(find_model(model, online=False).spec, DATA, find_gpu(gpu).device())


@pytest.mark.parametrize(
    "by_hand",
    [
        {},
        {"method.kind": "full"},
        {"method.kind": "qlora", "method.quantization": "int8"},
        {"method.quantization": "nf4"},
        {"lora.r": 64, "training.batch_size": 2},
    ],
)
@pytest.mark.parametrize(
    ("model", "gpu"),
    [("Qwen/Qwen3-0.6B", "RTX 4090"), ("meta-llama/Llama-3.1-8B", "T4"), ("openai/gpt-oss-20b", "A100")],
)
def test_each_method_is_what_would_be_proposed_with_it(model: str, gpu: str, by_hand: dict[str, Any]) -> None:
    here = situation(model, gpu)
    beside = propose(here, by_hand=by_hand)
    methods = compare_methods(here, by_hand=by_hand, beside=beside)
    assert [one.kind for one in methods] == ["full", "lora", "qlora"]
    assert [one.kind for one in methods if one.chosen] == [beside.plan.method.kind]
    for one in methods:
        kept = {key: value for key, value in by_hand.items() if not key.startswith("method.")}
        alone = beside if one.chosen else propose(here, by_hand={**kept, "method.kind": one.kind})
        assert (one.plan, one.memory_bytes, one.verdict) == (
            alone.plan,
            alone.memory.total_bytes,
            verdict(alone.memory, alone.budget),
        )
        assert alone.time is not None and one.seconds == alone.time.whole_seconds
        assert all(one.plan.get(key) == value for key, value in kept.items())


@pytest.mark.parametrize("model", ["Qwen/Qwen3-0.6B", "Qwen/Qwen3-4B", "meta-llama/Llama-3.1-8B"])
def test_how_much_slower_qlora_is_has_one_owner(model: str) -> None:
    """What a reason says in general holds what the prediction says here, at the same settings."""
    here = situation(model, "A100")
    kept = {"training.batch_size": 4, "training.checkpointing": True, "training.max_length": 512}
    lora, qlora = (propose(here, by_hand={**kept, "method.kind": kind}) for kind in ("lora", "qlora"))
    assert lora.time is not None and qlora.time is not None
    share = [
        after / before - 1
        for before, after in (
            (lora.time.low_seconds_per_step, qlora.time.low_seconds_per_step),
            (lora.time.high_seconds_per_step, qlora.time.high_seconds_per_step),
        )
    ]
    told = lora.recommendations["method.kind"].down
    assert max(share) <= MOST_SLOWER["qlora"] + 1e-9 and f"up to {MOST_SLOWER['qlora']:.0%} slower" in told


def test_the_result_of_full_fine_tuning_is_a_model_and_that_of_an_adapter_is_not() -> None:
    full, lora, qlora = compare_methods(situation("Qwen/Qwen3-0.6B", "RTX 4090"))
    assert full.result_bytes >= 2 * 596_049_920 > 10 * lora.result_bytes
    assert full.parameters_trained == 596_049_920 and lora.parameters_trained == qlora.parameters_trained == 10_092_544
    assert methods_json((full, lora, qlora))[1]["result_bytes"] == lora.result_bytes
