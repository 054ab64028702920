"""Where a run may start: one a GPU, in order, beside others only where that is wanted and fits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from loratui.core.hardware import Gpu, Machine
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.machine.host import read_host
from loratui.queue.forecast import expected
from loratui.queue.place import PROCESSORS, held_lanes, lanes_of, place_for
from loratui.queue.trainings import Training
from loratui.runs.status import Status, own_mark, signs_of_life, write_status
from loratui.runs.waiting import Waiting

GIB = 2**30


def gpu(index: int, free: int = 79, total: int = 80) -> Gpu:
    return Gpu(
        index=index, uuid=f"GPU-{index}", name="H100", memory_total_bytes=total * GIB, memory_free_bytes=free * GIB
    )


def machine(*gpus: Gpu) -> Machine:
    return Machine(host=read_host(None), gpus=gpus)


def plan(**values: Any) -> Plan:
    return with_values(Plan(), {f"hardware.{key}": value for key, value in values.items()})


def training(*gpus: str) -> Training:
    return Training(1, Path("/run"), frozenset(gpus))


TWO = machine(gpu(0), gpu(1))


def test_without_a_gpu_one_at_a_time() -> None:
    assert place_for(plan(), machine(), {}).lanes == (PROCESSORS,)  # type: ignore[union-attr]
    assert place_for(plan(), machine(), {PROCESSORS: 1}) is None
    told_of_one = held_lanes([training("0")], machine())  # as a worker is where NVML finds no GPU
    assert told_of_one == {PROCESSORS: 1} and place_for(plan(), machine(), told_of_one) is None
    assert place_for(plan(cpu=True), TWO, {"GPU-0": 1}).lanes == (PROCESSORS,)  # type: ignore[union-attr]


def test_each_gpu_has_one_run_and_numbers_mean_the_same_gpu() -> None:
    held = held_lanes([training("0")], TWO)
    assert held == {"GPU-0": 1}
    assert place_for(plan(), TWO, held).lanes == ("GPU-1",)  # type: ignore[union-attr]
    assert place_for(plan(devices=[0]), TWO, held) is None
    assert place_for(plan(devices=[0, 1]), TWO, held) is None
    assert place_for(plan(devices=[0, 1]), TWO, {}).visible_devices == "GPU-0,GPU-1"  # type: ignore[union-attr]
    assert place_for(plan(), TWO, {"GPU-0": 1, "GPU-1": 1}) is None


def test_a_gpu_that_strangers_use_is_not_free() -> None:
    assert place_for(plan(devices=[0]), machine(gpu(0, free=40)), {}) is None
    assert place_for(plan(), machine(gpu(0, free=40), gpu(1)), {}).lanes == ("GPU-1",)  # type: ignore[union-attr]


def test_nobody_overtakes_one_that_waits_for_the_same() -> None:
    kept = lanes_of(plan(devices=[0, 1]), TWO)
    assert place_for(plan(devices=[1]), TWO, {}, kept=kept) is None
    assert place_for(plan(devices=[1]), TWO, {}, kept=("GPU-0",)) is not None
    assert place_for(plan(devices=[7]), TWO, {}) is None and lanes_of(plan(devices=[7]), TWO) == ()


@pytest.mark.parametrize(
    ("free", "memory", "growth", "wanted", "starts"),
    [
        (40, 20, 0, True, True),
        (40, 20, 0, False, False),
        (40, 20, 25, True, False),
        (40, 39, 0, True, False),
        (40, 0, 0, True, False),
    ],
    ids=["fits", "not wanted", "the other one grows", "too near", "nothing is predicted"],
)
def test_side_by_side(free: int, memory: int, growth: int, wanted: bool, starts: bool) -> None:
    found = place_for(
        plan(),
        machine(gpu(0, free=free)),
        {"GPU-0": 1},
        memory=memory * GIB,
        growth={"GPU-0": growth * GIB},
        side_by_side=wanted,
    )
    assert (found is not None) == starts


def test_expected_starts(tmp_path: Path) -> None:
    runs = []
    for number in range(4):
        path = tmp_path / f"run-{number}"
        path.mkdir()
        (path / "plan.toml").write_text(_text(devices=[1] if number == 2 else []))
        runs.append(path)
    mark = own_mark()
    living = {"pid": mark.pid, "process_started": mark.started, "process_ticks": mark.ticks}
    write_status(runs[0] / "status.json", Status(state="running", eta_seconds=600.0, **living, **signs_of_life()))
    seconds = dict(zip(runs[1:], (100.0, 0.0, 5.0), strict=True))
    waiting = [Waiting(str(path), "here", seconds=takes) for path, takes in seconds.items()]
    found = expected(waiting, TWO, [Training(1, runs[0], frozenset({"GPU-0"}))])
    assert found == {str(runs[1]): 0.0, str(runs[2]): 100.0, str(runs[3]): 600.0}, "behind the third nobody knows"


def _text(**values: Any) -> str:
    from loratui.core.plan_text import plan_to_toml

    return plan_to_toml(plan(**values))
