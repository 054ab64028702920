"""What a job's script begins beside Slurm's step sees that the step is gone, says so in the run, and ends srun."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from loratui.core.plan import Plan
from loratui.runs.directory import Run
from loratui.runs.events import EventTail, Failed
from loratui.runs.start import create_run
from loratui.runs.status import Status, read_status, write_status
from loratui.worker import watch_step
from loratui.worker.watch_step import StepWatch, daemon_lives, task_of
from waiting import PATIENCE_SECONDS, wait_for

JOB = f"9{os.getpid()}"
"""A job of these tests alone: what runs beside them looks through the same processes of the machine."""
Begin = Callable[..., psutil.Process]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("SLURMD_NODENAME", "n1")
    monkeypatch.setattr(watch_step, "LEAVING_SECONDS", 0.2)
    monkeypatch.setattr(watch_step, "SAVING_SECONDS", 3600.0)
    return create_run(Plan(), output=tmp_path / "run")


@pytest.fixture
def begin(run: Run) -> Iterator[Begin]:
    """Begin a process that is to a step what its name says; it is seen by that name when this returns."""
    found: list[subprocess.Popen[bytes]] = []

    def started(
        *arguments: str, program: str | None = None, step: str = "0", job: str = JOB, **more: str
    ) -> psutil.Process:
        environment = os.environ | {"SLURM_JOB_ID": job, "SLURM_STEP_ID": step} | more
        found.append(subprocess.Popen(arguments, executable=program, env=environment))
        process = psutil.Process(found[-1].pid)

        def is_seen() -> bool:  # a new image has no words for a moment
            return process.cmdline() == list(arguments) and process.environ().get("SLURM_JOB_ID") == job

        wait_for(is_seen, f"the words of {arguments}")
        return process

    yield started
    for process in found:
        process.kill()
        process.wait()


def a_task(begin: Begin, run: Run, **more: str) -> psutil.Process:
    return begin(sys.executable, "-c", "import time; time.sleep(600)", "train", str(run.path), **more)


def a_daemon(begin: Begin, step: str) -> psutil.Process:
    return begin(f"slurmstepd: [{step}]", "600", program=shutil.which("sleep"))


def is_gone_within(watch: StepWatch, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if watch.is_gone():
            return True
        time.sleep(0.05)
    return False


def at(run: Run, state: str, **more: object) -> None:
    fields = {"pid": 5, "started": time.time(), "heartbeat": time.time(), "step": 9}
    write_status(run.status_path, Status(**{"state": state, **fields, **more}))  # type: ignore[arg-type]


def test_a_step_whose_processes_were_killed_is_told_of_and_srun_ended(run: Run, begin: Begin, tmp_path: Path) -> None:
    srun = shutil.copy(shutil.which("sleep") or "", tmp_path / "srun")
    step, task = begin(str(srun), "600"), a_task(begin, run)
    at(run, "running")
    watch = StepWatch(run, JOB, time.time())
    assert not is_gone_within(watch, 0.5) and watch.task == task
    task.kill()
    assert is_gone_within(watch, PATIENCE_SECONDS)
    watch.tell()
    watch.end(watch_step._children(os.getpid(), "srun"))
    status = read_status(run.status_path)
    assert status is not None and status.state == "failed" and status.step == 9
    assert status.message.startswith(f"Slurm's step of job {JOB} is gone on node n1 without a word")
    (failed,) = (event for event in EventTail(run.events_path).new_events() if isinstance(event, Failed))
    assert failed.message == status.message and not run.in_use()
    assert step.wait(PATIENCE_SECONDS) in (None, -signal.SIGKILL)


def test_a_step_that_others_still_speak_for_goes_on(run: Run, begin: Begin) -> None:
    task = a_task(begin, run)
    watch = StepWatch(run, JOB, time.time())
    watch.is_gone()
    task.kill()
    until = time.monotonic() + 1
    while time.monotonic() < until:  # a process of another node writes: this one's end is its affair
        at(run, "running")
        assert not watch.is_gone()
        time.sleep(0.05)
    a_daemon(begin, f"{JOB}.0")
    assert not is_gone_within(watch, 0.6), "its daemon is there, and tells srun itself"


def test_what_ended_by_its_own_word_is_left_to_end(run: Run, begin: Begin, monkeypatch: pytest.MonkeyPatch) -> None:
    task = a_task(begin, run)
    watch = StepWatch(run, JOB, time.time())
    watch.is_gone()
    task.kill()
    at(run, "finished", ended=time.time())
    written = run.status_path.read_bytes()
    assert not is_gone_within(watch, 0.4), "those on other nodes have longer to leave"
    monkeypatch.setattr(watch_step, "SAVING_SECONDS", 0.6)
    assert is_gone_within(watch, PATIENCE_SECONDS), "nobody of another node takes so long to leave"
    watch.tell()
    assert run.status_path.read_bytes() == written, "what it said stands"


@pytest.mark.parametrize("more", [{"job": "42"}, {"step": "batch"}, {"SLURMD_NODENAME": "n2"}, {"RANK": "0"}], ids=str)
def test_the_task_is_the_one_that_srun_began_here_for_this_run(run: Run, begin: Begin, more: dict[str, str]) -> None:
    a_task(begin, run, **more)
    assert task_of(run.path, JOB) is None and not daemon_lives(JOB)
    a_daemon(begin, f"{JOB}.batch")
    assert not daemon_lives(JOB), "the daemon of the script is none of the step's"
    mine = a_task(begin, run)
    assert task_of(run.path, JOB) == mine
