"""What a proposal says beside its values: like is compared with like, and nothing contradicts the plan."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from loratui.core.dataset import uniform
from loratui.core.diagnosis import fixes
from loratui.core.hardware import Device
from loratui.core.measured import Measurement
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.presets import AUTO
from loratui.core.proposal import propose
from loratui.core.schedule import times_in
from loratui.core.situation import Situation
from loratui.format import number_text
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model


def test_a_measured_time_is_not_compared_with_a_guessed_one() -> None:
    spec = find_model("Qwen/Qwen3-0.6B", online=False).spec
    device = replace(find_gpu("T4").device(), simulated=False)
    situation = Situation(spec, uniform(1000, 100), device)
    by_hand = {"training.batch_size": 1}
    guessed = propose(situation, AUTO, by_hand)
    assert guessed.time is not None
    run = Measurement(
        run="run",
        time=0.0,
        device=device.name,
        method=guessed.plan.method.kind,
        family=spec.family,
        model=guessed.plan.model.id,
        passes=guessed.plan.training.accumulation,
        flops_per_step=guessed.time.flops_per_step,
        seconds_per_step=guessed.time.high_seconds_per_step * 2,
        steps=50,
    )
    measured = propose(situation._replace(measurements=(run,)), AUTO, by_hand)
    other = measured.freed["training.batch_size"]
    assert measured.time is not None and measured.time.measured
    assert other.time is not None and not other.time.measured
    now, then = measured.instead("training.batch_size"), guessed.instead("training.batch_size")
    assert now is not None and then is not None and now.time_factors == then.time_factors is not None


@pytest.mark.parametrize("share", [None, 0.0, 0.1])
def test_without_data_the_held_out_rows_are_evaluated(share: float | None) -> None:
    spec, by_hand = (
        find_model("Qwen/Qwen3-0.6B", online=False).spec,
        {} if share is None else {"dataset.eval_fraction": share},
    )
    proposal = propose(Situation(spec, None, find_gpu("T4").device()), AUTO, by_hand)
    assert proposal.schedule.examples == 1000 and proposal.time is not None
    held, every = proposal.data.eval_examples, proposal.plan.evaluation.every_steps
    assert held == {None: 53, 0.0: 0, 0.1: 111}[share]
    assert proposal.time.evaluations == (times_in(proposal.schedule.total_steps, every) if held else 0)
    if share is None:
        assert "53 of 1,053" in proposal.recommendations["dataset.eval_fraction"].why


def test_a_nameless_gpu_says_what_is_assumed() -> None:
    spec = find_model("Qwen/Qwen3-0.6B", online=False).spec
    said = [propose(Situation(spec, None, find_gpu(name).device())).warnings for name in ("16GB", "T4")]
    assert any("compute capability 8.6 is assumed, with bfloat16" in one and "A2" in one for one in said[0])
    assert not any("assumed" in one for one in said[1])


def test_a_cpu_is_not_said_to_emulate() -> None:
    device = Device(name="CPU", kind="cpu", memory_total_bytes=2**36, memory_free_bytes=2**36)
    reason = propose(Situation(find_model("demo").spec, None, device)).recommendations["training.precision"]
    assert reason.value == "fp32" and "emulate" not in reason.why and "not measured" in reason.why


def test_another_rank_keeps_the_constant_alpha() -> None:
    fix = fixes.rank(Plan(), 2)
    assert fix is not None and "lora.alpha" not in fix.changes
    scaled = fixes.rank(with_values(Plan(), {"lora.alpha": 64.0}), 2)
    assert scaled is not None and scaled.changes["lora.alpha"] == 128.0


def test_a_rate_far_above_the_proposed_one_is_called_too_high() -> None:
    def said(rate: float) -> str:
        situation = Situation(find_model("demo").spec, None, find_gpu("T4").device())
        return " ".join(propose(situation, by_hand={"training.learning_rate": rate}).warnings)

    proposed = propose(Situation(find_model("demo").spec, None, find_gpu("T4").device())).plan.training.learning_rate
    assert (
        f"too high: 0.9 is {0.9 / proposed:,.0f} times the proposed {number_text(proposed)}; expect divergence"
        in said(0.9)
    )
    assert "too high" not in said(proposed) and "too high" not in said(2 * proposed)
    low = proposed / 300
    assert f"too low: the proposed {number_text(proposed)} is 300 times {number_text(low)}; expect" in said(low)
    assert "too low" not in said(proposed) + said(proposed / 2) and "too high" not in said(low)


def test_an_adapter_larger_than_its_base_is_told() -> None:
    def said(rank: int) -> str:
        situation = Situation(find_model("demo").spec, None, find_gpu("T4").device())
        made = propose(situation, by_hand={"lora.r": rank})
        assert ("larger than the model" in " ".join(made.warnings)) == (
            made.parameters_trainable > made.parameters_total
        )
        return " ".join(made.warnings)

    assert "Lower lora.r = 1,024" in said(1024) and "Lower lora.r" not in said(16)


def test_what_cannot_be_divided_is_named_for_what_it_is() -> None:
    def said(**by_hand: Any) -> str:
        device = replace(find_gpu("A100").device(), count=2)
        values = {"hardware.parallelism": "fsdp", "hardware.devices": [0, 1]}
        values |= {key.replace("__", "."): value for key, value in by_hand.items()}
        situation = Situation(find_model("Qwen/Qwen3-0.6B", online=False).spec, None, device)
        return " ".join(propose(situation, by_hand=values).warnings)

    paged = said(training__optimizer="paged_adamw_32bit")
    assert "in 32 bits as in 8 (training.optimizer = paged_adamw_32bit), cannot be divided" in paged
    assert "8-bit weights" not in paged
    eight = said(method__kind="qlora", method__quantization="int8", training__optimizer="adamw_torch_fused")
    assert "8-bit weights (method.quantization = int8) cannot be divided" in eight and "optimizers" not in eight


def test_a_time_that_nothing_counts_is_not_called_the_same() -> None:
    situation = Situation(find_model("Qwen/Qwen3-0.6B", online=False).spec, None, find_gpu("T4").device())
    for key, value in (("lora.variant", "dora"), ("lora.dropout", 0.1)):
        why = propose(situation, by_hand={key: value}).why(key)
        assert "time not predicted" in why and "same memory and time" not in why and "same time" not in why
    constant = propose(situation, by_hand={"training.scheduler": "constant"}).instead("training.scheduler")
    assert constant is not None and constant.free, "a schedule takes no time"
