"""What one of several GPUs needs, and when a model is divided among them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.memory import estimate
from loratui.core.memory.fit import method_fits
from loratui.core.memory.formats import formats
from loratui.core.memory.states import scales_bytes, weights_bytes
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.proposal import Proposal, propose
from loratui.core.situation import Situation
from loratui.models.catalogue import find_entry
from loratui.models.shapes import spec_of

GIB = 2**30
ROWS = DataFacts(5000, (200, 400, 512), True, 0.4)


def spec(name: str) -> Any:
    entry = find_entry(name)
    assert entry is not None
    return spec_of(entry.config, name)


def cards(count: int, gib: int = 24) -> Device:
    return Device(
        name="card", memory_total_bytes=gib * GIB, memory_free_bytes=gib * GIB, compute_capability=(8, 9), count=count
    )


def need(count: int, **values: Any) -> dict[str, int]:
    plan = with_values(
        Plan(),
        {"training.max_length": 512, "training.accumulation": 2}
        | {key.replace("__", "."): value for key, value in values.items()},
    )
    return estimate(spec("Qwen/Qwen3-8B"), plan, ROWS, cards(count)).parts


@pytest.mark.parametrize("kind", ["lora", "full"])
def test_a_share_of_everything_and_blocks_that_are_gathered(kind: str) -> None:
    one, two, eight = (need(count, method__kind=kind, hardware__parallelism="fsdp") for count in (1, 2, 8))
    wider = 2 if kind == "full" else 1  # what is trained whole is held in float32
    assert two["weights"] == pytest.approx(wider * one["weights"] / 2, rel=1e-6)
    assert eight["optimizer"] == pytest.approx(wider * one["optimizer"] / 8, rel=1e-6)
    assert two["activations"] > one["activations"], "blocks lie whole while they are at work"
    assert sum(eight.values()) < sum(two.values()) < sum(one.values()) * (1.2 if kind == "full" else 1)


def test_copies_need_the_gradients_once_more() -> None:
    one, two = need(1, method__kind="full"), need(2, method__kind="full")
    assert two["gradients"] == 2 * one["gradients"] and two["weights"] == one["weights"]
    assert need(1, hardware__parallelism="fsdp") == need(1), "on one GPU the key means nothing"


def proposed(name: str, count: int, **by_hand: Any) -> Proposal:
    return propose(
        Situation(spec=spec(name), device=cards(count), data=ROWS),
        by_hand={key.replace("__", "."): value for key, value in by_hand.items()},
    )


def test_copies_while_they_fit_and_shares_where_they_do_not() -> None:
    small, large = proposed("Qwen/Qwen3-4B", 2), proposed("Qwen/Qwen3-14B", 4)
    assert small.plan.hardware.parallelism == "ddp" and small.fits
    assert small.recommendations["hardware.parallelism"].why.startswith("A whole copy fits on each GPU: ")
    assert large.plan.hardware.parallelism == "fsdp" and large.plan.method.kind == "lora" and large.fits
    assert "1/4 of the weights" in large.recommendations["hardware.parallelism"].why
    assert large.memory.total_bytes <= large.budget.bytes


def test_badges_count_divided_weights() -> None:
    assert method_fits(spec("Qwen/Qwen3-14B"), cards(1))["lora"] == "too big"
    assert method_fits(spec("Qwen/Qwen3-14B"), cards(4))["lora"] == "fits"


def test_one_gpu_has_no_such_question() -> None:
    assert "hardware.parallelism" not in proposed("Qwen/Qwen3-4B", 1).recommendations


def test_what_a_person_fixed_stays() -> None:
    assert proposed("Qwen/Qwen3-14B", 4, hardware__parallelism="ddp").plan.method.kind == "qlora"
    by_hand = proposed("Qwen/Qwen3-1.7B", 2, hardware__parallelism="fsdp")
    assert by_hand.plan.hardware.parallelism == "fsdp"
    assert re.match(
        r"Proposed is ddp \([\d.]+ MiB more memory\): A whole copy fits on each GPU",
        by_hand.why("hardware.parallelism"),
    )
    full = proposed("Qwen/Qwen3-4B", 8, method__kind="full")
    assert full.plan.hardware.parallelism == "fsdp" and full.plan.training.optimizer == "adamw_torch_fused"


def test_a_4_bit_base_that_is_divided_is_never_whole_on_a_card() -> None:
    made = proposed("Qwen/Qwen3-32B", 4, method__kind="qlora", hardware__parallelism="fsdp")
    alone = proposed("Qwen/Qwen3-32B", 1, method__kind="qlora").plan
    base, form = spec("Qwen/Qwen3-32B"), formats(alone)
    whole, scales = weights_bytes(base, form), scales_bytes(base, form)
    assert 0 < scales < whole / 10
    assert made.memory.parts["weights"] == -(-(whole - scales) // 4) + scales, "scales are no parameters: each has all"
    assert made.memory.peak_phase != "load" and not any("while loading" in warning for warning in made.warnings)
    assert proposed("Qwen/Qwen3-32B", 1, method__kind="qlora", hardware__parallelism="fsdp").memory.parts[
        "weights"
    ] == pytest.approx(whole, rel=0.05)


def test_70b_is_qlora_divided_on_eight_cards_of_24_gib() -> None:
    made = proposed("meta-llama/Llama-3.1-70B-Instruct", 8)
    plan, why = made.plan, {key: one.why for key, one in made.recommendations.items()}
    assert made.fits and plan.method.kind == "qlora" and plan.hardware.parallelism == "fsdp"
    assert plan.training.optimizer.startswith("adamw_torch"), "8-bit states cannot be divided"
    assert "each holds 1/8 of the weights" in why["hardware.parallelism"]
    assert "more than there is" in why["hardware.parallelism"], "a copy was weighed, and did not fit"
    assert why["method.kind"].startswith("Unquantised LoRA would need")


def test_dividing_on_one_card_is_warned_of() -> None:
    alone, several = (proposed("Qwen/Qwen3-4B", count, hardware__parallelism="fsdp") for count in (1, 2))
    told = "hardware.parallelism = fsdp divides nothing on a single device"
    assert sum(told in warning for warning in alone.warnings) == 1
    assert not any(told in warning for warning in several.warnings)
