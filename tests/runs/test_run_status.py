"""What is true of a run, whatever was last written."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from loratui.runs.directory import Run
from loratui.runs.status import (
    SILENCE_SECONDS,
    ProcessMark,
    Status,
    is_alive,
    judged,
    mark_of,
    own_mark,
    read_status,
    write_status,
)
from waiting import wait_for


def ours(**changes: object) -> Status:
    mark = own_mark()
    status = Status(
        state="running",
        pid=mark.pid,
        process_started=mark.started,
        process_ticks=mark.ticks,
        boot=mark.boot,
        host=mark.host,
        heartbeat=time.time(),
        created=time.time(),
    )
    return status.model_copy(update=changes)


def test_round_trip_keeps_unknown_fields(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    status = Status.model_validate({"state": "saving", "step": 4, "later": {"a": 1}})
    write_status(path, status)
    assert read_status(path) == status
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("text", ["", "{", '{"state": "dancing"}', "\x00\x00\x00", "[]"])
def test_half_written_status_is_lost_not_a_crash(tmp_path: Path, text: str) -> None:
    run = Run(tmp_path)
    run.status_path.write_text(text)
    assert run.status().state == "lost"


def test_a_living_worker_is_running() -> None:
    assert judged(ours()).state == "running"


def test_a_living_worker_stays_running_when_the_clock_jumps() -> None:
    status = ours(process_started=time.time() - 86_400, heartbeat=0.0)
    assert judged(status, now=time.time() + 10**6).state == "running"


def test_a_dead_worker_is_lost() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    mark = mark_of(child.pid)
    assert mark is not None and is_alive(mark)
    child.kill()
    wait_for(lambda: not is_alive(mark), "its end: a zombie counts as gone")
    status = ours(pid=mark.pid, process_ticks=mark.ticks, process_started=mark.started)
    assert judged(status).state == "lost"
    child.wait()
    assert judged(status).state == "lost"
    assert "gone" in judged(status).message


def test_a_reused_process_id_is_not_ours() -> None:
    mark = own_mark()
    assert judged(ours(process_ticks=mark.ticks - 5000)).state == "lost"
    assert judged(ours(process_ticks=0, process_started=mark.started - 100)).state == "lost"


def test_after_a_reboot_the_run_is_lost() -> None:
    if own_mark().boot:
        assert judged(ours(boot="another-start-of-this-machine")).state == "lost"


def test_on_another_machine_the_heartbeat_decides() -> None:
    away = ours(host=socket.gethostname() + "-other", pid=1)
    assert judged(away).state == "running"
    assert judged(away, now=away.heartbeat + SILENCE_SECONDS + 1).state == "lost"


def test_what_is_over_stays_over() -> None:
    for state in ("finished", "stopped", "failed"):
        assert judged(ours(state=state, pid=2**22 - 3)).state == state


def test_a_run_that_no_worker_took() -> None:
    assert judged(Status(state="starting", created=time.time())).state == "starting"
    assert judged(Status(state="starting", created=time.time() - 3600)).state == "lost"


def test_marks_of_nobody() -> None:
    assert mark_of(2**22 - 3) is None
    assert is_alive(ProcessMark(pid=0, started=0.0)) is False
    assert is_alive(ProcessMark(pid=os.getpid(), started=0.0, host="elsewhere.invalid")) is None
