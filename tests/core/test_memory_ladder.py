"""The ladder: each rung needs less memory, keeps the effective batch, is possible for the plan, and says what it
costs.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
from test_memory_properties import GIB, plan_of, spec_of

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts, uniform
from loratui.core.hardware import Device
from loratui.core.memory import budget, estimate
from loratui.core.memory.alternatives import alternatives, cut_words
from loratui.core.plan_change import start_after
from loratui.core.plan_text import with_values
from loratui.models.find import find_model

CUTS = "training.max_length"


def card(gib: float, capability: tuple[int, int] = (8, 6), count: int = 1) -> Device:
    return Device(
        name="card",
        memory_total_bytes=round(gib * GIB),
        memory_free_bytes=round(gib * GIB),
        compute_capability=capability,
        count=count,
    )


def large() -> ModelSpec:
    """A model of which every rung saves enough to be listed."""
    return find_model("Qwen/Qwen3-8B", online=False).spec


def keys(change: dict[str, Any]) -> set[str]:
    return set(change)


@pytest.mark.parametrize("kind", ["full", "lora", "qlora"])
@pytest.mark.parametrize("gib", [2.0, 80.0])
@pytest.mark.parametrize("batch", [1, 6])
@pytest.mark.parametrize("where", ["", "load", "step", "evaluation", "save"])
def test_every_rung_is_a_plan_that_needs_less(kind: str, gib: float, batch: int, where: str) -> None:
    spec, data, device = spec_of("llama"), uniform(100, 2048), card(gib)
    plan = plan_of(
        kind,
        **{
            "training.batch_size": batch,
            "training.accumulation": 2,
            "training.max_length": 2048,
            "evaluation.every_steps": 10,
            "evaluation.batch_size": 32,
        },
    )
    before = estimate(spec, plan, data, device).total_bytes
    for rung in alternatives(spec, plan, data, device, where=where):
        after = with_values(plan, rung.change)
        assert all(after.get(key) != plan.get(key) for key in rung.change), "a change that changes nothing"
        assert after.effective_batch_size == plan.effective_batch_size
        assert estimate(spec, after, data, device).total_bytes == rung.memory_total_bytes
        lowers_that_moment = (
            keys(rung.change) & {"training.batch_size", "training.checkpointing", "evaluation.batch_size"}
            if where
            else set()
        )
        assert rung.memory_total_bytes < before or lowers_that_moment
        assert rung.fits == (rung.memory_total_bytes <= budget(device).bytes)
        assert rung.cost and rung.start == start_after(plan, rung.change)
        assert rung.unattended is not (CUTS in rung.change or (kind == "full" and "method.kind" in rung.change))
        if kind == "full":
            assert not any(key.startswith("lora.") for key in rung.change), "full fine-tuning has no adapter to shrink"


def test_the_batch_halves_to_the_largest_that_fits() -> None:
    spec, data = spec_of("llama"), uniform(100, 2048)
    plan = plan_of("lora", **{"training.batch_size": 16, "training.max_length": 2048, "training.accumulation": 1})
    needs = {
        rows: estimate(spec, with_values(plan, {"training.batch_size": rows}), data, card(80)).upper_bytes
        for rows in (16, 8, 4, 2, 1)
    }
    for larger, fitting in pairwise((16, 8, 4, 2)):
        between = card((needs[larger] + needs[fitting]) / 2 / GIB / 0.97)
        found = alternatives(spec, plan, data, between)
        assert (
            found[0].change == {"training.batch_size": fitting, "training.accumulation": 16 // fitting}
            and found[0].fits
        )


def test_what_ran_out_halves_even_where_the_estimate_fits() -> None:
    spec, data = spec_of("llama"), uniform(100, 2048)
    plan = plan_of(
        "lora",
        **{
            "training.batch_size": 16,
            "training.max_length": 2048,
            "evaluation.every_steps": 5,
            "evaluation.batch_size": 16,
        },
    )
    assert alternatives(spec, plan, data, card(80), where="step")[0].change == {
        "training.batch_size": 8,
        "training.accumulation": 16,
    }
    generous = with_values(plan, {"evaluation.batch_size": 64})
    assert alternatives(spec, generous, data, card(80), where="evaluation")[0].change == {"evaluation.batch_size": 32}


def test_it_goes_on_below_batch_1_and_cuts_rows_last() -> None:
    spec, data = large(), uniform(100, 2048)
    plan = plan_of("lora", **{"training.batch_size": 1, "training.max_length": 2048, "lora.r": 64})
    found = alternatives(spec, plan, data, card(80))
    assert keys(found[0].change) == {"training.checkpointing"}
    assert {"training.optimizer"} in [keys(one.change) for one in found]
    assert any("method.quantization" in one.change for one in found) and any("lora.r" in one.change for one in found)
    cut = found[-1]
    assert keys(cut.change) == {CUTS} and not cut.unattended and "tokens" in cut.cost
    assert all(CUTS not in one.change for one in found[:-1])


def test_where_one_rung_is_not_enough_the_gentle_ones_come_together() -> None:
    spec, data = spec_of("llama"), uniform(100, 4096)
    plan = plan_of("lora", **{"training.batch_size": 2, "training.accumulation": 1, "training.max_length": 4096})
    both = {"training.batch_size": 1, "training.accumulation": 2, "training.checkpointing": True}
    needed = estimate(spec, with_values(plan, both), data, card(80)).upper_bytes
    found = alternatives(spec, plan, data, card((needed + (8 << 20)) / GIB / 0.97))
    assert next(one for one in found if one.fits).change == both


def test_no_way_out_that_the_device_has_not() -> None:
    spec, data = large(), uniform(100, 2048)
    plan = plan_of("lora", **{"model.dtype": "fp32", "training.precision": "fp16", "training.max_length": 2048})
    old = [one.change for one in alternatives(spec, plan, data, card(8, (7, 0)))]
    assert {"model.dtype": "fp16"} in old and {"model.dtype": "bf16"} not in old
    cpu = Device(name="CPU", kind="cpu", memory_total_bytes=8 * GIB, memory_free_bytes=8 * GIB)
    assert not any(
        "training.optimizer" in one.change or "method.quantization" in one.change
        for one in alternatives(spec, plan, data, cpu)
    )


def test_what_a_cut_loses_is_counted() -> None:
    data = DataFacts(4, (100, 300, 500, 1100), trained_share=0.5)
    words = cut_words(data, 1100, 300)
    assert (
        words.startswith("2 of 4 rows are cut to 300 tokens")
        and "50 % of all tokens" in words
        and "100 % of what" in words
    )
