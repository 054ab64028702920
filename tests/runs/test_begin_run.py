"""A run is made and started, or not made: whatever comes between leaves a sentence and a way on."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from loratui.core.errors import RunError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.machine import detect
from loratui.machine.device import DeviceError
from loratui.runs import resume, start
from loratui.runs.directory import Run
from loratui.runs.status import START_GRACE_SECONDS, Status, write_status
from waiting import wait_for

CPU = {"hardware.cpu": True}
INTERRUPTED = """
import os, signal, sys
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs import start

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
made = start.create_run

def struck(*arguments, **options):
    run = made(*arguments, **options)
    for _ in range(2):
        os.kill(os.getpid(), signal.SIGINT)
    return run

start.create_run = struck
start.worker_command = lambda run, rehearse=False: [sys.executable, "-c", f"open({str(run.path / 'taken')!r}, 'w')"]
try:
    start.begin_run(with_values(Plan(), {"hardware.cpu": True}), output=sys.argv[1])
except KeyboardInterrupt:
    print("interrupted")
"""
"""Ctrl+c twice between the making of the directory and the start of the worker."""


def test_ctrl_c_waits_until_the_worker_is_there(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, str(tmp_path / "run")], capture_output=True, text=True, check=True
    )
    assert done.stdout == "interrupted\n", "it takes effect at the end"
    wait_for((tmp_path / "run" / "taken").exists, "a worker that was started")


def test_what_is_planned_for_a_gpu_by_name_is_not_trained_on_processors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(detect, "detect_machine", lambda: SimpleNamespace(gpus=[]))
    with pytest.raises(DeviceError, match=r"for a GPU \(RTX 4090\), and none is found") as error:
        start.begin_run(with_values(Plan(), {"hardware.gpu": "RTX 4090"}), output=tmp_path / "run")
    assert "--set hardware.cpu=true" in error.value.hint and "--set hardware.gpu= (" in error.value.hint
    assert not (tmp_path / "run").exists()


def test_what_cannot_be_started_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "worker_command", lambda run, rehearse=False: [str(tmp_path / "no-such-python")])
    with pytest.raises(RunError, match="cannot be started"):
        start.begin_run(with_values(Plan(), CPU), output=tmp_path / "run")
    status = Run(tmp_path / "run").status()
    assert status.state == "failed" and status.message.startswith("It was never started: ")


def test_what_was_never_started_is_started_by_resume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = start.create_run(with_values(Plan(), CPU), output=tmp_path / "run")
    write_status(run.status_path, Status(state="starting", created=time.time() - START_GRACE_SECONDS - 1))
    assert run.status().state == "lost" and "`loratui resume` starts it" in run.status().message
    code = f"open({str(tmp_path / 'taken')!r}, 'w')"
    monkeypatch.setattr(start, "worker_command", lambda run, rehearse=False: [sys.executable, "-c", code])
    pid = resume.resume_run(run)
    wait_for(lambda: start.exit_status_of(pid) is not None, "its end")
    assert (tmp_path / "taken").exists()


def test_a_worker_that_ends_while_its_status_is_read_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its status is read while it runs, it says that it is finished and is gone, and only then is it looked for."""
    from loratui.runs import directory

    run = start.create_run(with_values(Plan(), CPU), output=tmp_path / "run")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_status(run.status_path, Status(state="running", pid=gone.pid))
    read = directory.read_status

    def then_finished(path: Path) -> Status | None:
        found = read(path)
        write_status(path, Status(state="finished", pid=gone.pid))
        return found

    monkeypatch.setattr(directory, "read_status", then_finished)
    assert run.status().state == "finished"
