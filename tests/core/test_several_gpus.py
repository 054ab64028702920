"""What one of several GPUs needs, and when a model is divided among them."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.links import bytes_between_nodes
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


def on_nodes(name: str, count: int, nodes: int, **by_hand: Any) -> Proposal:
    placed = {"cluster.engine": "slurm", "cluster.nodes": nodes, "cluster.gpus_per_node": count // nodes}
    device = replace(cards(count), nodes=nodes, peak_flops=1e14)
    values = placed | {key.replace("__", "."): value for key, value in by_hand.items()}
    return propose(Situation(spec=spec(name), device=device, data=ROWS), by_hand=values)


def test_a_copy_on_each_node_where_its_gpus_hold_one() -> None:
    made = on_nodes("Qwen/Qwen3-14B", 8, 2)
    assert made.fits and made.plan.hardware.parallelism == "hybrid" and made.plan.method.kind == "lora"
    assert made.memory.parts["weights"] == proposed("Qwen/Qwen3-14B", 4).memory.parts["weights"], "a node's share"
    why = made.why("hardware.parallelism")
    assert re.search(r"each holds 1/4 of the weights, and each node a copy; between nodes [\d.]+ MiB travel", why), why
    assert "divided among the 4 GPUs of a node" in made.why("method.kind")
    wide = on_nodes("meta-llama/Llama-3.1-70B-Instruct", 8, 4)
    assert wide.fits and wide.plan.hardware.parallelism == "fsdp", "two cards of a node do not hold one"
    assert on_nodes("Qwen/Qwen3-4B", 4, 2).plan.hardware.parallelism == "ddp"
    assert proposed("Qwen/Qwen3-14B", 8).plan.hardware.parallelism == "fsdp", "on one node there is nothing across"


def test_links_between_nodes_count_in_the_time() -> None:
    made = {
        way: on_nodes("Qwen/Qwen3-14B", 8, 2, hardware__parallelism=way, training__batch_size=1, training__epochs=1.0)
        for way in ("hybrid", "fsdp")
    }
    hybrid, fsdp = made["hybrid"].time, made["fsdp"].time
    assert hybrid is not None and fsdp is not None
    assert fsdp.high_seconds_per_step > hybrid.high_seconds_per_step + 10, "55 GiB over Ethernet"
    assert fsdp.low_seconds_per_step >= hybrid.low_seconds_per_step and "between nodes" in fsdp.basis
    device = replace(cards(8), nodes=2)
    sent = {way: bytes_between_nodes(spec("Qwen/Qwen3-14B"), one.plan, device) for way, one in made.items()}
    assert sent["fsdp"] > 50 * sent["hybrid"] > 0
    assert bytes_between_nodes(spec("Qwen/Qwen3-14B"), made["fsdp"].plan, cards(8)) == 0, "one node sends nothing"


def test_hybrid_with_one_gpu_a_node_is_warned_of() -> None:
    made = on_nodes("Qwen/Qwen3-4B", 2, 2, hardware__parallelism="hybrid")
    assert any("each holds a copy" in warning for warning in made.warnings)
    assert made.memory.parts["weights"] == proposed("Qwen/Qwen3-4B", 1).memory.parts["weights"]


def test_dividing_on_one_card_is_warned_of() -> None:
    alone, several = (proposed("Qwen/Qwen3-4B", count, hardware__parallelism="fsdp") for count in (1, 2))
    told = "hardware.parallelism = fsdp divides nothing on a single device"
    assert sum(told in warning for warning in alone.warnings) == 1
    assert not any(told in warning for warning in several.warnings)
