"""Clocks are set, back and forth, while runs go on: what is shown of them stays true."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from loratui.core.plan import Plan
from loratui.machine.boot import boot_id, since_boot
from loratui.runs.control import stop_run
from loratui.runs.directory import Run
from loratui.runs.events import encode, make
from loratui.runs.failure import pending_fix
from loratui.runs.follow import follow_lines
from loratui.runs.history import other_events
from loratui.runs.resume import require_over
from loratui.runs.start import create_run
from loratui.runs.status import SILENCE_SECONDS, START_GRACE_SECONDS, Status, judged, write_status
from loratui.worker.training.fix_outcome import _around

FUTURE = time.time() + 86_400


def write(run: Run, *events: object) -> None:
    run.events_path.write_text("".join(f"{encode(event)}\n" for event in events))  # type: ignore[arg-type]


def test_no_line_stays_out_where_the_clock_steps_back(tmp_path: Path) -> None:
    """Of 30 steps a second apart 11 were not shown when the clock was set back by an hour in between."""
    run = create_run(Plan(), output=tmp_path / "run")
    times = [10_000.0 + step - (3_600 if step > 19 else 0) for step in range(30)]
    write(run, *(make("step", at, step=step, loss=1.0) for step, at in enumerate(times)))
    write_status(run.status_path, Status(state="finished"))
    shown = [line.split()[1] for line in follow_lines(run) if line.startswith("step")]
    assert shown == [str(step) for step in range(30)]


def test_steps_of_one_second_are_still_thinned_after_it(tmp_path: Path) -> None:
    run = create_run(Plan(), output=tmp_path / "run")
    times = [10_000.0, 10_000.4, 5_000.0, 5_000.4, 5_001.1]
    write(run, *(make("step", at, step=step, loss=1.0) for step, at in enumerate(times, 1)))
    write_status(run.status_path, Status(state="finished"))
    shown = [line.split()[1] for line in follow_lines(run) if line.startswith("step")]
    assert shown == ["1", "3", "5"]


@pytest.mark.parametrize("boot", ["", "another start of this machine"])
def test_created_in_the_future_is_no_reason_to_wait_for_a_worker(tmp_path: Path, boot: str) -> None:
    run = create_run(Plan(), output=tmp_path / "run")
    write_status(
        run.status_path, Status(state="starting", created=FUTURE, boot=boot, host=socket.gethostname() if boot else "")
    )
    assert run.status().state == "lost"
    require_over(run)  # so that it can be resumed


def test_a_run_that_is_just_starting_waits_whatever_the_clock_says(tmp_path: Path) -> None:
    run = create_run(Plan(), output=tmp_path / "run")
    written = Status.model_validate_json(run.status_path.read_bytes())
    assert written.boot == boot_id() and abs(written.beat - since_boot()) < 10
    for created in (0.0, time.time(), FUTURE):
        assert judged(written.model_copy(update={"created": created})).state == "starting"
    late = written.model_copy(update={"beat": since_boot() - START_GRACE_SECONDS - 1, "created": FUTURE})
    assert judged(late).state == "lost"


def test_a_heartbeat_from_the_future_is_no_heartbeat(tmp_path: Path) -> None:
    away = Status(state="running", pid=5, host="elsewhere.invalid", heartbeat=FUTURE, step=7)
    found = judged(away)
    assert found.state == "lost" and "lies in the future" in found.message
    skewed = away.model_copy(update={"heartbeat": time.time() + SILENCE_SECONDS / 2})
    assert judged(skewed).state == "running", "two machines' clocks are never quite the same"
    run = create_run(Plan(), output=tmp_path / "run")
    write_status(run.status_path, away)
    with pytest.raises(Exception, match="is not running: it is lost"):
        stop_run(run, "command")
    require_over(run)


def test_another_container_of_this_machine_is_timed_by_the_machine() -> None:
    """Its processes cannot be seen, but its clock since the start is ours."""
    beside = Status(state="running", pid=5, host="other-container", boot=boot_id(), beat=since_boot(), heartbeat=0.0)
    assert judged(beside).state == "running"
    silent = beside.model_copy(update={"beat": since_boot() - SILENCE_SECONDS - 1, "heartbeat": FUTURE})
    assert judged(silent).state == "lost"


def test_what_was_before_a_fix_is_told_by_its_place(tmp_path: Path) -> None:
    """The clock was set back by a day after the fix: the steps since are not taken for those before it."""
    run = create_run(Plan(), output=tmp_path / "run")
    fix = make("fix", 100_000.0, changes={"lora.r": [16, 8]}, reason="plateau")
    write(
        run,
        *(make("step", 99_000.0 + step, step=step, loss=2.0) for step in range(1, 5)),
        fix,
        *(make("step", 13_600.0 + step, step=step, loss=1.0) for step in range(5, 9)),
    )
    found = pending_fix(other_events(run.events_path))
    assert found == fix
    before, after = _around(run, found)
    assert [step.step for step in before.steps] == [1, 2, 3, 4] and [step.step for step in after.steps][-1] == 8
