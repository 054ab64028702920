"""When a model's blocks are compiled: where torch can, and where the run earns the time that it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loratui.core.compiling import verdict, why_not_compiled
from loratui.core.dataset import uniform
from loratui.core.hardware import Device
from loratui.core.measured import COMPILE_SECONDS, Measurement, compile_seconds, learned_speed
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.proposal import Proposal, propose
from loratui.core.situation import Situation
from loratui.models.find import find_model

GIB = 2**30
CARD = Device(
    name="A100", memory_total_bytes=80 * GIB, memory_free_bytes=79 * GIB, compute_capability=(8, 0), peak_flops=312e12
)
CPU = Device(name="CPU", kind="cpu", memory_total_bytes=64 * GIB, memory_free_bytes=60 * GIB, peak_flops=1e12)
MANY = uniform(200_000, 900)


def proposed(
    device: Device = CARD, rows: Any = MANY, model: str = "Qwen/Qwen3-4B", measured: Any = (), **by_hand: Any
) -> Proposal:
    situation = Situation(find_model(model, online=False).spec, rows, device, measurements=measured)
    return propose(situation, by_hand={key.replace("__", "."): value for key, value in by_hand.items()})


def test_a_long_run_on_a_card_is_compiled_and_a_short_one_is_not() -> None:
    long, short = proposed(), proposed(rows=uniform(1_000, 200))
    assert long.plan.training.compile and "dropped where it does not compute the same" in long.why("training.compile")
    assert not short.plan.training.compile and "that compiling may take" in short.why("training.compile")


@pytest.mark.parametrize(
    ("device", "model", "by_hand", "because"),
    [
        (CPU, "Qwen/Qwen3-0.6B", {}, "written for NVIDIA's cards first"),
        (replace(CARD, vendor="amd", architecture="gfx942"), "Qwen/Qwen3-4B", {}, "written for NVIDIA's cards first"),
        (replace(CARD, compute_capability=(6, 1)), "Qwen/Qwen3-4B", {}, "compute capability 7.0"),
        (replace(CARD, count=2), "Qwen/Qwen3-4B", {}, "for one device"),
        (CARD, "Qwen/Qwen3-30B-A3B", {"method__kind": "lora"}, "which expert a token goes to"),
        (CARD, "Qwen/Qwen3-4B", {"method__kind": "qlora", "method__quantization": "int8"}, "8-bit products"),
        (CARD, "Qwen/Qwen3-4B", {"training__objective": "dpo"}, "graphs of their own"),
    ],
)
def test_where_it_is_not_proposed_the_reason_says_why(
    device: Device, model: str, by_hand: dict[str, Any], because: str
) -> None:
    found = proposed(device, model=model, **by_hand)
    assert found.plan.training.compile is False and because in found.why("training.compile")


def test_what_fits_safely_without_it_fits_so_with_it() -> None:
    """The kernels take memory of their own: where that would make a plan tight, it is not compiled."""
    refused = 0
    for gib in range(12, 40):
        card = replace(CARD, memory_free_bytes=gib * GIB, memory_total_bytes=gib * GIB)
        found, plain = proposed(card), proposed(card, training__compile=False)
        assert found.verdict == plain.verdict
        refused += "its kernels may take" in found.why("training.compile")
    assert refused


def test_its_time_is_in_the_prediction_and_what_was_measured_replaces_the_guess() -> None:
    plain, compiled = proposed(training__compile=False).time, proposed(training__compile=True).time
    assert plain is not None and compiled is not None
    assert compiled.starting[0] - plain.starting[0] == pytest.approx(COMPILE_SECONDS[0])
    # on a card the rehearsal compiles, too
    slower = compiled.high_seconds_per_step - plain.high_seconds_per_step
    assert slower == 0 and compiled.starting[1] - plain.starting[1] == pytest.approx(2 * COMPILE_SECONDS[1])
    assert compiled.low_seconds_per_step < plain.low_seconds_per_step
    seen = run_measured(compiled=True, compile_seconds=40.0)
    assert compile_seconds([seen], device="A100") == (40.0, 120.0), "others are made when they are first met"
    assert compile_seconds([seen], device="T4") == COMPILE_SECONDS
    measured = proposed(measured=(seen,), training__compile=True).time
    assert measured is not None
    assert measured.starting[0] == pytest.approx(compiled.starting[0] + 40.0 - COMPILE_SECONDS[0])


def run_measured(**more: Any) -> Measurement:
    return Measurement(
        run="r", time=1.0, device="A100", method="lora", family="qwen3", model="m", flops_per_step=1e15,
        seconds_per_step=10.0, steps=9, **more,
    )  # fmt: skip


def test_a_plain_run_says_only_what_compiled_blocks_do_at_least() -> None:
    def speed(run: Measurement, *, compiled: bool) -> Any:
        return learned_speed(
            [run], device="A100", devices=1, method="lora", model="m", family="qwen3", checkpointing=False,
            flops_per_pass=1e15, compiled=compiled,
        )  # fmt: skip

    plain, fast = run_measured(), run_measured(compiled=True)
    alike = speed(plain, compiled=False)
    assert speed(fast, compiled=True) == alike
    above, below = speed(plain, compiled=True), speed(fast, compiled=False)
    assert above.low_flops_per_second == alike.low_flops_per_second
    assert above.high_flops_per_second > alike.high_flops_per_second
    assert below.low_flops_per_second < alike.low_flops_per_second
    assert below.high_flops_per_second == alike.high_flops_per_second


def test_memory_leaves_room_for_kernels_that_are_written() -> None:
    plain, compiled = proposed(training__compile=False).memory, proposed(training__compile=True).memory
    assert compiled.total_bytes == plain.total_bytes
    assert compiled.spread["context"] > plain.spread["context"]


def test_the_rehearsal_says_where_compiling_does_not_pay() -> None:
    plan = with_values(Plan(), {"training.compile": True, "training.accumulation": 4})
    found = {"seconds": 60.0, "plain_seconds": 0.2, "compiled_seconds": 0.15, "steps": 1_000, "refused": ""}
    assert verdict(plan, found) is None, "200 s are saved"
    message, fix = verdict(plan, found | {"steps": 100}) or ("", {})
    assert "takes 1 min 00 s and saves 20 s" in message and fix == {"training.compile": False}
    slower = verdict(plan, found | {"compiled_seconds": 0.3})
    assert slower is not None and "makes no pass faster" in slower[0]
    assert verdict(plan, found | {"steps": 1, "refused": "no compiler"}) is None
    assert verdict(with_values(plan, {"training.compile": False}), found | {"steps": 1}) is None


def test_several_devices_are_refused_in_a_sentence() -> None:
    plan = with_values(Plan(), {"training.compile": True, "hardware.devices": [0, 1]})
    assert why_not_compiled(plan).startswith("training.compile = true is for one device")
    assert not why_not_compiled(with_values(plan, {"hardware.devices": [0]}))
    two = proposed(replace(CARD, count=2), training__compile=True, hardware__devices=[0, 1])
    assert any("is for one device" in warning and "would be refused" in warning for warning in two.warnings)
