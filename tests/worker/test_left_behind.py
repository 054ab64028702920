"""What a rehearsal that is killed leaves behind: nothing, or what the next worker removes."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from test_train_run import TIMEOUT, files, plan_for

from loratui.runs.control import stop_run, wait_ended
from loratui.runs.resume import resume_run
from loratui.runs.start import create_run, start_worker, wait_started

__all__ = ["files"]
pytestmark = pytest.mark.worker


def wait(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + TIMEOUT
    while not condition() and time.monotonic() < until:
        time.sleep(0.01)
    return condition()


def test_a_rehearsal_whose_worker_is_killed_ends_and_leaves_nothing(
    files: Path, tmp_path: Path, forking_interpreter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = create_run(plan_for(files, training__max_steps=3), output=tmp_path / "run")
    pid = start_worker(run, rehearse=True)
    assert wait(run.rehearsal_path.exists)
    (rehearsing,) = psutil.Process(pid).children()
    os.kill(pid, signal.SIGKILL)
    assert wait(lambda: not rehearsing.is_running() or rehearsing.status() == psutil.STATUS_ZOMBIE)
    assert not run.rehearsal_path.exists()
    assert run.status().state == "lost"
    (run.rehearsal_path / "checkpoint-2").mkdir(parents=True)  # as where both are killed at once
    (run.rehearsal_path / "checkpoint-2" / "optimizer.pt").write_bytes(b"x" * 99)
    monkeypatch.setattr(sys, "executable", forking_interpreter)
    wait_started(run, TIMEOUT, pid=resume_run(run))
    assert wait(lambda: not run.rehearsal_path.exists())
    stop_run(run, "command")
    assert wait_ended(run, TIMEOUT).state == "stopped"
