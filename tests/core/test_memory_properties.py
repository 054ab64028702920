"""What must hold of every estimate, whatever the plan."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts, uniform
from loratui.core.families import read_config
from loratui.core.hardware import Device
from loratui.core.memory import (
    PARTS,
    budget,
    estimate,
    verdict,
)
from loratui.core.memory.alternatives import alternatives
from loratui.core.memory.fit import highest_rank, largest_batch, longest_length, method_fits
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values

GIB = 2**30
CONFIGS: dict[str, dict[str, Any]] = {
    "qwen3": {
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "vocab_size": 32000,
        "tie_word_embeddings": True,
    },
    "llama": {
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "vocab_size": 32000,
        "tie_word_embeddings": False,
    },
    "phi3": {
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "vocab_size": 32000,
        "tie_word_embeddings": False,
    },
    "gemma2": {
        "hidden_size": 256,
        "intermediate_size": 768,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "num_key_value_heads": 2,
        "head_dim": 32,
        "vocab_size": 32000,
        "tie_word_embeddings": True,
    },
    "gpt2": {"n_embd": 256, "n_layer": 4, "n_head": 8, "n_positions": 1024, "vocab_size": 50257},
}
GPU = Device(name="A10", memory_total_bytes=24 * GIB, memory_free_bytes=23 * GIB, compute_capability=(8, 6))


def spec_of(family: str) -> ModelSpec:
    return read_config({"model_type": family, **CONFIGS[family]}, id=family)


def plan_of(kind: str, **values: Any) -> Plan:
    method = {"full": {}, "lora": {}, "qlora": {"method.quantization": "nf4"}}[kind]
    return with_values(Plan(), {"method.kind": kind, **method, **values})


CASES = st.fixed_dictionaries(
    {
        "family": st.sampled_from(sorted(CONFIGS)),
        "kind": st.sampled_from(["full", "lora", "qlora"]),
        "batch": st.integers(1, 16),
        "length": st.integers(16, 4096),
        "rank": st.sampled_from([1, 4, 16, 64, 256]),
        "checkpointing": st.booleans(),
        "dropout": st.sampled_from([0.0, 0.1]),
        "precision": st.sampled_from(["bf16", "fp32"]),
        "accumulation": st.sampled_from([1, 8]),
    }
)


def _plan(case: dict[str, Any], **other: Any) -> Plan:
    case = {**case, **other}
    return plan_of(
        case["kind"],
        **{
            "training.batch_size": case["batch"],
            "training.max_length": case["length"],
            "lora.r": case["rank"],
            "training.checkpointing": case["checkpointing"],
            "lora.dropout": case["dropout"],
            "training.precision": case["precision"],
            "training.accumulation": case["accumulation"],
        },
    )


def _total(case: dict[str, Any], **other: Any) -> int:
    case = {**case, **other}
    return estimate(spec_of(case["family"]), _plan(case), uniform(100, case["length"]), GPU).total_bytes


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_parts_add_up_and_none_is_negative(case: dict[str, Any]) -> None:
    found = estimate(spec_of(case["family"]), _plan(case), uniform(100, case["length"]), GPU)
    assert tuple(found.parts) == PARTS
    assert all(size >= 0 for size in found.parts.values())
    assert sum(found.parts.values()) == found.total_bytes
    assert found.peak_phase in ("forward and backward", "optimizer step", "evaluation", "load")


@settings(max_examples=40, deadline=None)
@given(CASES)
def test_more_of_anything_never_needs_less(case: dict[str, Any]) -> None:
    here = _total(case)
    assert _total(case, batch=case["batch"] + 1) >= here
    assert _total(case, length=case["length"] + 8) >= here
    assert _total(case, rank=case["rank"] + 1) >= here


@settings(max_examples=40, deadline=None)
@given(CASES)
def test_evaluation_never_lowers_the_peak(case: dict[str, Any]) -> None:
    spec, data = spec_of(case["family"]), uniform(100, case["length"])
    without = estimate(spec, _plan(case), data, GPU)
    with_it = estimate(
        spec, with_values(_plan(case), {"evaluation.every_steps": 10, "evaluation.batch_size": 64}), data, GPU
    )
    assert with_it.total_bytes >= without.total_bytes


def test_a_large_evaluation_batch_is_the_peak_and_is_named() -> None:
    plan = with_values(
        plan_of("lora", **{"training.checkpointing": True}),
        {"evaluation.every_steps": 10, "evaluation.batch_size": 256},
    )
    found = estimate(spec_of("llama"), plan, uniform(100, 1024), GPU)
    assert found.peak_phase == "evaluation"
    assert "evaluation" in found.peak_where


def test_padding_needs_more_than_rows_of_one_length() -> None:
    plan = plan_of("lora", **{"training.batch_size": 4, "training.max_length": 2048})
    spec = spec_of("llama")
    ragged = DataFacts(100, (100, 2048))
    assert estimate(spec, plan, ragged, GPU).total_bytes > estimate(spec, plan, uniform(100, 2048), GPU).total_bytes


def test_the_largest_that_fits_is_the_last_that_fits() -> None:
    spec, data = spec_of("llama"), uniform(100, 2048)
    plan = plan_of("lora")
    small = Device(name="small", memory_total_bytes=3 * GIB, memory_free_bytes=3 * GIB, compute_capability=(8, 6))
    limit = budget(small)
    rows = largest_batch(spec, plan, data, small)
    assert rows >= 1
    assert verdict(estimate(spec, with_values(plan, {"training.batch_size": rows}), data, small), limit) == "fits"
    assert verdict(estimate(spec, with_values(plan, {"training.batch_size": rows + 1}), data, small), limit) != "fits"
    assert longest_length(spec, plan, data, small) >= 8
    assert 0 < highest_rank(spec, plan, data, small) <= 1024


def test_the_ladder_keeps_the_effective_batch_and_each_rung_needs_less() -> None:
    spec, data = spec_of("llama"), uniform(100, 4096)
    tiny = Device(name="tiny", memory_total_bytes=2 * GIB, memory_free_bytes=GIB, compute_capability=(8, 6))
    plan = plan_of("lora", **{"training.batch_size": 8, "training.accumulation": 2, "training.max_length": 4096})
    before = estimate(spec, plan, data, tiny).total_bytes
    rungs = alternatives(spec, plan, data, tiny)
    assert rungs
    assert rungs[0].change == {"training.batch_size": 1, "training.accumulation": 16}
    for rung in rungs:
        assert rung.memory_total_bytes < before
        after = with_values(plan, rung.change)
        assert after.effective_batch_size == plan.effective_batch_size
        assert estimate(spec, after, data, tiny).total_bytes == rung.memory_total_bytes
        assert rung.cost


def test_a_reserve_comes_off_what_is_free() -> None:
    whole = budget(GPU, reserve_bytes=GIB)
    assert (whole.bytes, whole.reserve_bytes, whole.free_bytes, whole.total_bytes) == (
        22 * GIB,
        GIB,
        23 * GIB,
        24 * GIB,
    )
    assert 0 < budget(GPU).reserve_bytes < 2 * GIB


@pytest.mark.parametrize("family", sorted(CONFIGS))
def test_badges_name_every_method(family: str) -> None:
    assert method_fits(spec_of(family), GPU) == {"full": "fits", "lora": "fits", "qlora": "fits"}
