"""The queue's own process on machines with GPUs, as NVML's stand-in tells of them: one run a GPU, and no neighbour."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1] / "queue"))

from standin import UNTIL_TOLD
from watcher import looks

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.directory import Run
from loratui.runs.enqueue import queue_run
from loratui.runs.events import Finished, Started
from loratui.runs.history import other_events
from waiting import wait_for

WATCHER = Path(__file__).parents[1] / "queue" / "watcher.py"
H100 = "GPU-41000000-0000-0000-0000-00000000000{}"
IDLE_3090 = "GPU-30900000-bbbb-0000-0000-000000000002"
BUSY_3090 = "GPU-30900000-aaaa-0000-0000-000000000001"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LORATUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / "config").mkdir()
    return tmp_path


@pytest.fixture
def watch(standin: dict[str, Path], neighbour: int) -> Iterator[object]:
    started: list[subprocess.Popen[bytes]] = []

    def start(machine: str) -> None:
        environment = os.environ | {
            "STANDIN_MACHINE": machine,
            "STANDIN_PID": str(neighbour),
            "LD_LIBRARY_PATH": str(standin["new"]),
        }
        started.append(subprocess.Popen([sys.executable, str(WATCHER)], env=environment, start_new_session=True))

    yield start
    for one in started:
        one.kill()
        one.wait()


def queued(seconds: float | str, memory: int = 0, **hardware: object) -> Run:
    values = {"model.id": "demo", "dataset.path": "demo", **{f"hardware.{key}": hardware[key] for key in hardware}}
    run = queue_run(with_values(Plan(), values), memory=memory)
    (run.path / "seconds").write_text(str(seconds))
    return run


def is_at(run: Run, state: str) -> bool:
    return run.status().state == state


def let_end(run: Run) -> None:
    (run.path / "may-end").touch()


def story(runs: list[Run]) -> list[tuple[str, float, float]]:
    """Of each run the GPUs that its worker saw, and when it began and ended; once all have."""
    wait_for(lambda: all(is_at(run, "finished") for run in runs), lambda: [run.status() for run in runs])
    found = []
    for run in runs:
        events = list(other_events(run.events_path))
        (begun,) = [one for one in events if isinstance(one, Started)]
        (ended,) = [one for one in events if isinstance(one, Finished)]
        found.append((begun.device, begun.time, ended.time))
    return found


def test_each_gpu_has_one_run_and_those_that_name_theirs_get_them(watch: object) -> None:
    runs = [queued(UNTIL_TOLD), queued(UNTIL_TOLD)]
    runs += [queued(0.2, devices=[0, 1]), queued(0.2, devices=[1]), queued(0.2)]
    watch("8xh100")  # type: ignore[operator]
    wait_for(lambda: is_at(runs[0], "running") and is_at(runs[1], "running"), "two at work")
    let_end(runs[0])
    let_end(runs[1])
    first, second, both, after, free = story(runs)
    assert {first[0], second[0]} == {H100.format(0), H100.format(1)}
    assert second[1] < first[2], "side by side on two GPUs"
    assert both[0] == f"{H100.format(0)},{H100.format(1)}" and both[1] >= max(first[2], second[2])
    assert after[0] == H100.format(1) and after[1] >= both[2], "nobody overtakes one that waits for the same GPU"
    assert free[0] not in (first[0], second[0]) or free[1] >= both[1]


def test_a_gpu_that_a_neighbour_uses_is_left_alone(watch: object) -> None:
    runs = [queued(0.5), queued(0.5)]
    watch("2x3090")  # type: ignore[operator]
    first, second = story(runs)
    assert first[0] == second[0] == IDLE_3090 and second[1] >= first[2]


@pytest.mark.parametrize(("memory", "beside"), [(3, True), (30, False)])
def test_side_by_side_where_that_is_wanted_and_fits(home: Path, watch: object, memory: int, beside: bool) -> None:
    (home / "config" / "settings.toml").write_text("[queue]\nside_by_side = true\n")
    runs = [queued(UNTIL_TOLD, memory << 30), queued(0.2, memory << 30)]
    watch("2x3090")  # type: ignore[operator]
    wait_for(lambda: is_at(runs[0], "running"), "the first")
    seen = looks()
    wait_for(lambda: looks() > seen + 2 or is_at(runs[1], "finished"), "looks at the second")
    if beside:
        wait_for(lambda: is_at(runs[1], "finished"), "the second, beside the first")
    assert is_at(runs[1], "queued") != beside
    let_end(runs[0])
    first, second = story(runs)
    assert first[0] == IDLE_3090
    assert (second[1] < first[2]) == beside
