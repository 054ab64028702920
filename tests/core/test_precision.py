"""The number format that a card and a model bear together, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from loratui.core.capabilities import fp16_share, torch_without
from loratui.core.dataset import uniform
from loratui.core.families import read_config
from loratui.core.float16 import fp16_fault
from loratui.core.proposal import Proposal, propose
from loratui.core.situation import Situation
from loratui.machine.catalogue import all_gpus, find_gpu
from loratui.models.find import find_model


def proposal(gpu: str, model: str = "Qwen/Qwen3-0.6B", **by_hand: Any) -> Proposal:
    values = {key.replace("__", "."): value for key, value in by_hand.items()}
    return propose(
        Situation(find_model(model, online=False).spec, uniform(5_000, 300), find_gpu(gpu).device()), by_hand=values
    )


def formats(made: Proposal) -> set[str]:
    return {made.plan.training.precision, made.plan.model.dtype, made.plan.method.compute_dtype}


@pytest.mark.parametrize("gpu", ["GTX 1080 Ti", "P40"])
def test_pascal_cards_that_are_slow_in_float16_compute_in_float32(gpu: str) -> None:
    made = proposal(gpu)
    reason = made.recommendations["training.precision"]
    assert formats(made) == {"fp32"}
    assert "1/64" in reason.why and "fast format" not in reason.why
    asked = proposal(gpu, training__precision="fp16")
    assert any("1/64" in warning and "fp32 is the faster" in warning for warning in asked.warnings)


@pytest.mark.parametrize(
    ("gpu", "words"), [("P100", "at most twice as fast"), ("V100 16GB", "its fast format"), ("T4", "its fast format")]
)
def test_cards_without_bfloat16_that_are_fast_in_float16_use_it(gpu: str, words: str) -> None:
    made = proposal(gpu)
    assert formats(made) == {"fp16"} and words in made.recommendations["training.precision"].why


@pytest.mark.parametrize("gpu", ["T4", "V100 32GB"])
def test_gemma_3_is_not_trained_in_float16(gpu: str) -> None:
    made = proposal(gpu, "google/gemma-3-1b-it")
    reason = made.recommendations["training.precision"]
    assert formats(made) == {"fp32"}
    assert "65,504" in reason.why and "issues/36822" in reason.source and "issues/39972" in reason.source
    assert any("trains in float32" in warning for warning in made.warnings)
    asked = proposal(gpu, "google/gemma-3-1b-it", training__precision="fp16")
    assert any("NaN" in warning and "Use fp32" in warning and "36822" in warning for warning in asked.warnings)


def test_what_overflows_in_float16_is_not_offered_it_to_need_less_memory() -> None:
    """The way down would end in NaN, as the plan itself says of float16 for this model."""

    def dtypes(gpu: str, model: str) -> dict[str, str]:
        found = proposal(gpu, model, training__precision="fp32", model__dtype="fp32").alternatives
        return {one.change["model.dtype"]: one.cost for one in found if one.change.get("model.dtype", "fp32") != "fp32"}

    assert dtypes("T4", "google/gemma-3-1b-it") == {} and set(dtypes("A100", "google/gemma-3-1b-it")) == {"bf16"}
    assert set(dtypes("T4", "Qwen/Qwen3-0.6B")) == {"fp16"} and "1/64" not in dtypes("T4", "Qwen/Qwen3-0.6B")["fp16"]
    assert "1/64 of its float32 rate" in dtypes("GTX 1080 Ti", "Qwen/Qwen3-0.6B")["fp16"], "a slow way is called so"


def test_gemma_3_on_a_card_with_bfloat16_is_told_nothing() -> None:
    made = proposal("A100", "google/gemma-3-1b-it")
    assert formats(made) == {"bf16"} and not any("float16" in warning for warning in made.warnings)
    asked = proposal("A100", "google/gemma-3-1b-it", training__precision="fp16")
    assert any("Use bf16" in warning for warning in asked.warnings)


def test_float32_is_slower_by_what_the_card_says() -> None:
    """A T4 computes 65 Tops in float16 and 8.1 in float32: the predicted time follows."""
    time = {
        name: made.time
        for name in ("fp16", "fp32")
        if (made := proposal("T4", training__precision=name, training__batch_size=8, model__dtype=name))
    }
    assert time["fp16"] is not None and time["fp32"] is not None
    assert time["fp32"].low_seconds_per_step > 4 * time["fp16"].low_seconds_per_step
    assert "1/8 of the speed" in proposal("T4").recommendations["training.precision"].up


@pytest.mark.parametrize(
    ("gpu", "since"), [("P100", "2.8"), ("GTX 1080 Ti", "2.8"), ("P40", "2.8"), ("V100 32GB", "2.11")]
)
def test_cards_that_torch_dropped_are_told_what_to_install(gpu: str, since: str) -> None:
    warning = next(warning for warning in proposal(gpu).warnings if "default wheels" in warning)
    assert f"since torch {since}" in warning and "whl/cu126" in warning


def test_every_card_of_the_catalogue_from_turing_on_is_left_alone() -> None:
    for gpu in all_gpus():
        said = [warning for warning in proposal(gpu.name).warnings if "default wheels" in warning]
        assert bool(said) == (gpu.compute_capability < (7, 5)) == bool(torch_without(gpu.compute_capability)), gpu.name


def test_the_rates_of_the_programming_guide() -> None:
    assert [fp16_share(one) for one in ((5, 2), (6, 0), (6, 1), (7, 0), (7, 5), (9, 0))] == [
        0.0,
        2.0,
        1 / 64,
        2.0,
        2.0,
        2.0,
    ]


def test_a_maxwell_card_has_no_float16() -> None:
    from dataclasses import replace

    card = replace(find_gpu("T4").device(), name="M40", compute_capability=(5, 2))
    made = propose(Situation(find_model("Qwen/Qwen3-0.6B", online=False).spec, uniform(5_000, 300), card))
    assert formats(made) == {"fp32"} and "no float16 arithmetic" in made.recommendations["training.precision"].why


def test_families_are_known_by_their_beginning() -> None:
    assert (
        fp16_fault("gemma3_text")[0]
        and fp16_fault("gemma3n_text")[0]
        and fp16_fault("qwen3_moe")[0]
        and fp16_fault("gpt_oss")[0]
    )
    assert fp16_fault("gemma2") == fp16_fault("qwen3") == fp16_fault("llama") == ("", "")
    assert fp16_fault(read_config({"model_type": "gpt_oss"}, "x").family)[1].startswith("https://")


@pytest.mark.parametrize(
    ("gpu", "kernel", "reason"),
    [
        ("T4", "flash_attention_2", "needs compute capability 8.0, and T4 has 7.5"),
        ("RTX 4090", "flash_attention_3", "needs compute capability 9.x, and RTX 4090 has 8.9"),
        ("RTX 4090", "flash_attention_2", ""),
        ("RTX 4090", "torch_varlen", ""),
        ("T4", "sdpa", ""),
        ("T4", "kernels-community/flash-attn2", "needs compute capability 8.0, and T4 has 7.5"),
        ("RTX 4090", "kernels-community/vllm-flash-attn3@main", "needs compute capability 9.x, and RTX 4090 has 8.9"),
        ("RTX 4090", "kernels-community/flash-attn2", ""),
        ("H100", "kernels-community/flash-attn3", ""),
    ],
)
def test_an_attention_that_cannot_run_is_warned_of_and_rows_are_not_laid_end_to_end(
    gpu: str, kernel: str, reason: str
) -> None:
    made = proposal(gpu, model__attention=kernel)
    told = [warning for warning in made.warnings if "The run would fail: use model.attention = sdpa." in warning]
    assert [reason in warning for warning in told] == ([True] if reason else [])
    assert made.plan.training.padding_free == (kernel != "sdpa" and not reason)
    assert not reason or reason in made.recommendations["training.padding_free"].why


def test_double_quantisation_without_4_bits_is_told_to_do_nothing() -> None:
    told = "method.double_quantization packs the scales of 4-bit weights"
    idle = proposal("RTX 4090", method__kind="lora", method__double_quantization=True)
    used = proposal("RTX 4090", method__kind="qlora", method__double_quantization=True)
    assert sum(told in warning for warning in idle.warnings) == 1
    assert used.plan.method.quantization == "nf4" and not any(told in warning for warning in used.warnings)


def test_float32_beside_4_bits_is_of_what_is_not_quantised() -> None:
    packed = proposal("GTX 1080 Ti", method__kind="qlora").recommendations["model.dtype"]
    assert packed.value == "fp32" and packed.why.startswith("What the frozen base has unquantised is kept in")
    plain = proposal("GTX 1080 Ti", method__kind="lora").recommendations["model.dtype"]
    assert plain.value == "fp32" and plain.why.startswith("The frozen base is kept in")


def test_weights_that_do_not_fit_are_not_said_to_be_taken() -> None:
    why = proposal("RTX 4090", "meta-llama/Llama-3.1-70B-Instruct").recommendations["method.quantization"].why
    assert "the weights alone need 131 GiB, there are " in why
    assert " take " not in why
