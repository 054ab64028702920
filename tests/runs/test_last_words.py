"""What is said of a worker that could say nothing itself: that it was killed for memory, by what, and what to do."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from loratui.commands.attach import follow
from loratui.core.plan import Plan
from loratui.machine.boot import boot_id, since_boot
from loratui.machine.memory_kills import MemoryKills, again, killed_since, read_kills
from loratui.runs import start
from loratui.runs import status as status_module
from loratui.runs.directory import Run
from loratui.runs.events import encode, make
from loratui.runs.follow import follow_lines
from loratui.runs.listing import summary
from loratui.runs.stall import stall_words
from loratui.runs.start import create_run
from loratui.runs.status import Status, judged, mark_of, signs_of_life, write_status
from loratui.tui.training.follow import Followed
from loratui.tui.training.run_state import finding_lines
from loratui.worker.training.journal import Journal
from waiting import wait_for


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(Plan(), output=tmp_path / "run")


def gone(**more: object) -> Status:
    """The status of a worker of this machine that is not there any more."""
    return Status.model_validate({"state": "running", "pid": 2**22 - 3, "step": 41, **signs_of_life(), **more})


def version_2(root: Path, kills: int, machine: int = 0) -> Path:
    folder = root / "sys/fs/cgroup/job"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.events").write_text(f"low 0\nhigh 0\nmax 9\noom 3\noom_kill {kills}\noom_group_kill 0\n")
    (folder / "memory.max").write_text(f"{16 << 30}\n")
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/self/cgroup").write_text("0::/job\n")
    (root / "proc/vmstat").write_text(f"nr_free_pages 5\noom_kill {machine}\n")
    return root


def version_1(root: Path, kills: int) -> Path:
    folder = root / "sys/fs/cgroup/memory/job"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.oom_control").write_text(f"oom_kill_disable 0\nunder_oom 0\noom_kill {kills}\n")
    (folder / "memory.limit_in_bytes").write_text(f"{2 << 30}\n")
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/self/cgroup").write_text("4:memory:/job\n1:cpu:/\n0::/\n")
    return root


@pytest.mark.parametrize("version", [version_1, version_2])
def test_kills_of_a_group_are_counted_in_both_versions(version: object, tmp_path: Path) -> None:
    assert callable(version)
    before = read_kills(version(tmp_path, 4))
    assert before.in_group == 4 and before.group.endswith("/job")
    assert killed_since(before, again(before, tmp_path)) == ""
    version(tmp_path, 5)
    limit = "2.00 GiB" if version is version_1 else "16.0 GiB"
    assert killed_since(before, again(before, tmp_path)) == f"in its control group, whose limit is {limit}"


def test_where_the_group_is_gone_the_machine_is_asked(tmp_path: Path) -> None:
    before = read_kills(version_2(tmp_path, 4, machine=7))
    for path in (tmp_path / "sys/fs/cgroup/job").iterdir():
        path.unlink()
    assert killed_since(before, again(before, tmp_path)) == ""
    (tmp_path / "proc/vmstat").write_text("oom_kill 8\n")
    assert killed_since(before, again(before, tmp_path)) == "on this machine"


def test_a_strangers_status_opens_no_file_of_its_choice(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "memory.events").write_text("oom_kill 9\n")
    for group in (str(elsewhere), "/elsewhere", "/sys/fs/cgroup/../../../elsewhere", ""):
        assert again(MemoryKills(group=group, in_group=1), tmp_path).in_group is None


def test_a_kill_for_memory_is_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    kills = MemoryKills(group="/sys/fs/cgroup/job", in_group=2, on_machine=0, limit_bytes=16 << 30)
    monkeypatch.setattr(status_module, "again", lambda before: MemoryKills(before.group, 3, 1, before.limit_bytes))
    write_status(run.status_path, gone(kills=kills))
    said = run.status().message
    assert "after step 41" in said and "for want of host memory in its control group, whose limit is 16.0 GiB" in said
    assert "more memory" in said and list(follow_lines(run))[-1] == f"lost: {said}"


def test_a_full_disk_and_a_restart_are_said(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(status_module, "FULL_DISK_BYTES", 1 << 60)
    write_status(run.status_path, gone())
    assert "the disk of its run is full" in run.status().message
    assert "started anew after step 41" in judged(gone(boot="another start")).message
    assert "before its first step and left no word" in judged(gone(step=0)).message


def test_a_worker_notes_what_is_needed_to_tell_later(run: Run) -> None:
    journal = Journal(run)
    journal.state("running", phase="train")
    for number in range(1, 4):
        journal.emit("step", step=number, loss=1.0, seconds=2.0)
        journal.update(step=number)
    moved = journal.status.moved
    journal.update(loss=1.0)
    before = since_boot()
    journal.beat()
    noted, now = Status.model_validate_json(run.status_path.read_bytes()), since_boot()
    assert (noted.step, noted.step_seconds, noted.boot) == (3, 2.0, boot_id())
    assert noted.moved == moved and before <= noted.beat <= now and noted.kills == read_kills()
    journal.close("stopped")


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
    yield process
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGCONT)
    process.kill()
    process.wait()


def silent(pid: int, seconds: float, **more: object) -> Status:
    mark = mark_of(pid)
    assert mark is not None
    fields = {
        "state": "running",
        "pid": pid,
        "process_ticks": mark.ticks,
        "process_started": mark.started,
        "moved": since_boot() - seconds,
        "step_seconds": 3.0,
        "step": 7,
        **signs_of_life(),
        **more,
    }
    return Status.model_validate(fields)


def test_a_stopped_process_is_named_with_where_it_stands(run: Run, worker: subprocess.Popen[bytes]) -> None:
    os.kill(worker.pid, signal.SIGSTOP)
    wait_for(lambda: psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED, "a stopped process")
    said = stall_words(silent(worker.pid, 12 * 60))
    assert said == (
        f"No step for 12 min; one usually takes 3 s. Process {worker.pid} is stopped. "
        f"`kill -CONT {worker.pid}` lets it go on."
    )
    write_status(run.status_path, silent(worker.pid, 12 * 60))
    assert run.status().state == "running" and summary(run).words.startswith("No step for 12 min")
    shown = follow_lines(run, poll_seconds=0.01)
    assert next(shown).startswith("warning: No step for 12 min; one usually takes 3 s. Process")
    write_status(run.status_path, Status(state="finished"))
    assert list(shown) == [], "said once"


def test_no_stall_is_said_where_none_is_known(worker: subprocess.Popen[bytes]) -> None:
    wait_for(lambda: "is waiting" in stall_words(silent(worker.pid, 60)), "a process that sleeps")
    assert stall_words(silent(worker.pid, 10)) == "", "slow file systems hold a step up for seconds"
    assert stall_words(silent(worker.pid, 400, step_seconds=100.0)) == "", "four times as long is no stall"
    for more in ({"state": "evaluating"}, {"state": "saving"}, {"step_seconds": 0.0}, {"moved": 0.0}, {"boot": "x"}):
        assert stall_words(silent(worker.pid, 400, **more)) == "", more
    assert stall_words(silent(worker.pid, 400, host=socket.gethostname() + "-2")) == ""
    assert stall_words(gone(moved=since_boot() - 400, step_seconds=1.0)) == "", "it is gone, which is told elsewhere"
    assert boot_id()


def test_the_screen_says_that_it_stands_still(run: Run, worker: subprocess.Popen[bytes]) -> None:
    followed = Followed(run)
    write_status(run.status_path, silent(worker.pid, 5))
    run.events_path.write_text("rubbish\n")
    followed.poll()
    (damaged,) = followed.warnings
    assert damaged.startswith("1 line of events.jsonl is damaged")
    write_status(run.status_path, silent(worker.pid, 12 * 60))
    assert followed.poll(), "there is something to paint"
    assert [line.plain[:24] for line in finding_lines(followed)] == [
        "▲ No step for 12 min; on",
        "▲ 1 line of events.jsonl",
    ]


def test_whoever_started_it_knows_the_signal(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], worker: subprocess.Popen[bytes]
) -> None:
    monkeypatch.setitem(start._children, worker.pid, worker)
    write_status(run.status_path, silent(worker.pid, 1))
    worker.kill()
    worker.wait()
    assert follow(run) == 1
    assert f"run {run.name} lost: it was ended by SIGKILL." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("told", "step"),
    [
        (["started 0", "step 41", "step 42", "phase"], 42),
        (["started 0", "step 60", "started 40"], 41),
        (["started 0", "step 41", "torn"], 41),
    ],
)
def test_a_lost_run_names_the_last_step_that_it_made(tmp_path: Path, told: list[str], step: int) -> None:
    """Its status is written once a second; what came between that and its end stands in its events alone."""
    lines = []
    for one in told:
        kind, _, at = one.partition(" ")
        lines.append(
            encode(make(kind, 1.0, **({"step": int(at)} if at else {}))) + "\n" if kind != "torn" else '{"type"'
        )
    (tmp_path / "events.jsonl").write_text("".join(lines))
    found = judged(gone(), folder=tmp_path)
    assert found.step == step and f"after step {step}" in found.message
