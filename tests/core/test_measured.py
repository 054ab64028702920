"""From what runs measured to the speed of the next one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loratui.core.dataset import uniform
from loratui.core.families import read_config
from loratui.core.hardware import Device
from loratui.core.measured import METHOD_SHARE, Measurement, learned_memory, learned_speed
from loratui.core.operations import flops_per_pass
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.proposal import propose
from loratui.core.schedule import make_schedule
from loratui.core.situation import Situation
from loratui.core.time import predict

SPEC = read_config(
    {
        "model_type": "llama",
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_hidden_layers": 4,
        "num_attention_heads": 8,
        "vocab_size": 4000,
    }
)
PLAN = with_values(Plan(), {"model.id": "m", "training.batch_size": 4, "training.accumulation": 2})
DATA = uniform(1000, 256)
PASS = flops_per_pass(SPEC, PLAN, DATA)
CPU = Device(name="A processor", kind="cpu", memory_total_bytes=2**34, memory_free_bytes=2**34)
ONE = Measurement(
    run="a",
    time=1.0,
    device="A processor",
    method="lora",
    family="llama",
    model="m",
    passes=2,
    flops_per_step=2 * PASS,
    seconds_per_step=4.0,
    steps=50,
)


def asked(
    measurements: list[Measurement], flops: float = PASS, model: str = "m", family: str = "llama"
) -> float | None:
    found = learned_speed(
        measurements,
        device="A processor",
        devices=1,
        method="lora",
        model=model,
        family=family,
        checkpointing=False,
        flops_per_pass=flops,
    )
    return None if found is None else (found.low_flops_per_second + found.high_flops_per_second) / 2


def test_a_run_like_a_measured_one_takes_as_long() -> None:
    schedule = make_schedule(PLAN, DATA)
    assert predict(SPEC, PLAN, DATA, CPU, schedule) is None  # no peak, nothing measured
    known = predict(SPEC, PLAN, DATA, CPU, schedule, [ONE])
    assert known is not None and known.measured and known.basis == "measured in 1 run here"
    assert known.low_seconds_per_step == pytest.approx(4.0 / 1.1) and known.high_seconds_per_step == pytest.approx(
        4.0 / 0.9
    )


def test_twice_the_work_takes_twice_as_long() -> None:
    longer = with_values(PLAN, {"training.accumulation": 4})
    known = predict(SPEC, longer, DATA, CPU, make_schedule(longer, DATA), [ONE])
    assert known is not None and known.low_seconds_per_step < 8.0 < known.high_seconds_per_step


@pytest.mark.parametrize(
    "other",
    [
        {"device": "another"},
        {"method": "another"},
        {"devices": 2},
        {"flops_per_step": 20 * PASS},
        {"flops_per_step": PASS / 5},
    ],
)
def test_what_cannot_be_compared_says_nothing(other: dict[str, object]) -> None:
    assert asked([replace(ONE, **other)]) is None  # type: ignore[arg-type]


def test_the_same_model_decides_before_its_family_and_before_all_others() -> None:
    stranger = replace(ONE, run="c", model="x", family="gpt2", seconds_per_step=1.0)
    kin = replace(ONE, run="b", model="y", seconds_per_step=2.0)
    assert asked([ONE, kin, stranger]) == pytest.approx(PASS / 2.0)
    assert asked([kin, stranger]) == pytest.approx(PASS / 1.0)
    assert asked([stranger]) == pytest.approx(2 * PASS)


def test_where_one_method_was_measured_the_others_stand_on_the_same_level() -> None:
    """Else a table of methods sets a slow machine's measured LoRA beside the others' guesses from its peak."""
    card = replace(CPU, peak_flops=100 * PASS)
    runs = [replace(ONE, run=str(number), seconds_per_step=4.0 + number) for number in range(5)]
    plans = {
        "lora": PLAN,
        "full": with_values(PLAN, {"method.kind": "full"}),
        "qlora": with_values(PLAN, {"method.kind": "qlora", "method.quantization": "nf4"}),
    }
    times = {kind: predict(SPEC, plan, DATA, card, make_schedule(plan, DATA), runs) for kind, plan in plans.items()}
    lora, full, qlora = (times[kind] for kind in ("lora", "full", "qlora"))
    assert lora is not None and full is not None and qlora is not None
    assert lora.basis == "measured in 5 runs here"
    assert full.basis == qlora.basis == "judged by 5 runs of other methods here"
    middle = [(one.low_seconds_per_step * one.high_seconds_per_step) ** 0.5 for one in (lora, full, qlora)]
    assert middle[1] / middle[0] == pytest.approx(full.flops_per_step / lora.flops_per_step, rel=0.05)
    assert middle[2] / middle[0] == pytest.approx(1 / METHOD_SHARE["qlora"], rel=0.05)
    own = replace(ONE, run="q", method="qlora", seconds_per_step=9.0)
    known = predict(SPEC, plans["qlora"], DATA, card, make_schedule(plans["qlora"], DATA), [*runs, own])
    assert known is not None and known.basis == "measured in 1 run here", "a method's own runs come before that"


def test_what_a_proposal_says_of_a_methods_time_is_what_both_print() -> None:
    speed = 2e12
    card = replace(CPU, peak_flops=speed)
    here = Situation(replace(SPEC, id="m"), DATA, card)
    alone = propose(here, by_hand={"model.id": "m"})
    flops = flops_per_pass(SPEC, alone.plan, alone.data)
    base = replace(ONE, passes=1, flops_per_step=flops, checkpointing=alone.plan.training.checkpointing)
    runs = tuple(replace(base, run=str(number), seconds_per_step=9.0 + number) for number in range(3))
    qlora, lora = (
        propose(here._replace(measurements=runs), by_hand={"model.id": "m", "method.kind": kind})
        for kind in ("qlora", "lora")
    )
    assert qlora.time is not None and lora.time is not None and lora.time.measured and qlora.time.measured
    factors = qlora.time_factors(lora)
    assert factors == (
        lora.time.low_seconds / qlora.time.low_seconds,
        lora.time.high_seconds / qlora.time.high_seconds,
    )
    assert max(factors) < 1


def test_a_simulated_device_is_another_machine() -> None:
    simulated = replace(CPU, simulated=True)
    assert predict(SPEC, PLAN, DATA, simulated, make_schedule(PLAN, DATA), [ONE]) is None


def test_utilisation_is_the_share_of_the_peak() -> None:
    speed = learned_speed(
        [ONE],
        device="A processor",
        devices=1,
        method="lora",
        model="m",
        family="llama",
        checkpointing=False,
        flops_per_pass=PASS,
    )
    assert speed is not None and speed.utilisation(None) is None
    low, high = speed.utilisation(PASS) or (0.0, 0.0)
    assert low == pytest.approx(0.45) and high == pytest.approx(0.55)


@given(st.lists(st.floats(0.01, 1e4), min_size=1, max_size=6))
def test_the_range_holds_every_run_it_rests_on(seconds: list[float]) -> None:
    runs = [replace(ONE, run=str(number), seconds_per_step=taken) for number, taken in enumerate(seconds)]
    known = predict(SPEC, PLAN, DATA, CPU, make_schedule(PLAN, DATA), runs)
    assert known is not None and known.speed is not None and known.speed.runs == len(seconds)
    assert all(known.low_seconds_per_step < taken < known.high_seconds_per_step for taken in seconds)


def measured(predicted: int, needed: int, **changes: object) -> Measurement:
    return replace(ONE, predicted_bytes=predicted, measured_bytes=needed, **changes)  # type: ignore[arg-type]


def test_memory_is_corrected_by_what_runs_of_the_family_needed_beyond() -> None:
    runs = [
        measured(10_000, 10_500),
        measured(20_000, 20_400),
        measured(30_000, 30_600),
        measured(9_000, 90_000, family="gpt2"),
    ]
    learned = learned_memory(runs, device="A processor", family="llama")
    assert learned is not None and learned.offset_bytes == 500 and learned.runs == 3
    assert learned.band == pytest.approx(0.08 / 3**0.5)
    assert learned_memory(runs, device="another", family="llama") is None
    assert learned_memory([replace(ONE, predicted_bytes=0)], device="A processor", family="llama") is None


def test_one_run_far_away_makes_the_estimate_unsure_and_moves_it_little() -> None:
    near = [measured(10_000, 10_100) for _ in range(10)]
    learned = learned_memory([*near, measured(10_000, 20_000)], device="A processor", family="llama")
    assert learned is not None and learned.offset_bytes == 100 and learned.band == pytest.approx(9_900 / 20_000)


def test_a_correction_reaches_the_estimate_its_band_and_the_words() -> None:
    raw = propose(Situation(SPEC, DATA, CPU))
    needed = raw.memory.total_bytes + 40_000_000
    known = propose(Situation(SPEC, DATA, CPU, measurements=(measured(raw.memory.total_bytes, needed),)))
    assert known.plan == raw.plan and known.memory.total_bytes == needed
    assert known.memory.band == 0.08 and known.memory_basis == "±8 %, from 1 run here"
    assert raw.memory.band is None and not raw.memory_basis
    planned = replace(CPU, simulated=True)
    assert (
        propose(Situation(SPEC, DATA, planned, measurements=(measured(raw.memory.total_bytes, needed),))).memory.band
        is None
    )


def test_a_correction_never_takes_away_more_than_the_overhead() -> None:
    fewer = propose(Situation(SPEC, DATA, CPU, measurements=(measured(10**12, 1),)))
    assert fewer.memory.parts["overhead"] == 0 and fewer.memory.total_bytes == fewer.memory.tensors_bytes > 0
