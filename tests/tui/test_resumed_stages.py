"""The stages of a run's start are those of the attempt that runs now, whatever an earlier one did."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded_run import BEGAN, record_run

from loratui.runs.directory import Run
from loratui.runs.events import Event, encode, make
from loratui.runs.status import read_status, write_status
from loratui.tui.training.follow import Followed
from loratui.tui.training.record import RunRecord
from loratui.tui.training.run_state import headline
from loratui.tui.training.stages import phase_now, stage_lines

LATER = BEGAN + 5_000
BEFORE = [
    make("phase", BEGAN, phase="load_model", message="Loading acme/old", worker_seconds=4.0),
    make("phase", BEGAN + 9, phase="tokenise", message="40 rows tokenised", done=40),
]


def resumed(home: Path, before: list[Event], **worker: object) -> Run:
    """A run whose earlier attempt told of `before`, and whose worker of now is as `worker` says."""
    run = record_run(home, state="starting", steps=0)
    run.events_path.write_text("".join(encode(event) + "\n" for event in before), encoding="utf-8")
    status = read_status(run.status_path)
    assert status is not None
    write_status(run.status_path, status.model_copy(update={"created": LATER, "step": 0, "total": 0, **worker}))
    return run


def polled(run: Run) -> Followed:
    """What is known of it, with the status as it was written: its times are not those of the clock."""
    followed = Followed(run)
    followed.poll()
    status = read_status(run.status_path)
    assert status is not None
    followed.status = status
    return followed


def told(run: Run) -> tuple[list[str], str]:
    """The lines of the start, and the headline."""
    followed = polled(run)
    lines = [line.plain for line in stage_lines(followed.record, followed.status, now=LATER + 8)]
    return lines, headline(followed).plain


@pytest.mark.parametrize("ended", [[make("stopped", BEGAN + 12, reason="asked to stop")], []], ids=["stopped", "lost"])
@pytest.mark.parametrize("worker", [{"pid": 0}, {"started": LATER + 1}], ids=["no worker yet", "its worker imports"])
def test_before_the_first_word_of_the_new_worker_only_its_start_is_told(
    tmp_path: Path, ended: list[Event], worker: dict[str, object]
) -> None:
    lines, head = told(resumed(tmp_path, [*BEFORE, *ended], **worker))
    assert lines[0].startswith("● 8 s") and "start the worker" in lines[0], lines
    assert all(line.startswith("○") for line in lines[1:]), lines
    assert "acme/old" not in head and "tokenised" not in head, head


@pytest.mark.parametrize("told_before", [BEFORE, BEFORE[:1]], ids=["other stage last", "the same stage last"])
def test_its_first_word_begins_the_stages_anew(tmp_path: Path, told_before: list[Event]) -> None:
    first = make("phase", LATER + 6, phase="load_model", message="Loading acme/new", worker_seconds=5.0)
    lines, head = told(resumed(tmp_path, [*told_before, first], started=LATER + 1))
    assert lines[0].startswith("✓ 6 s") and lines[1].startswith("● 2 s"), lines
    assert "acme/new" in head and not any("40" in line or line.startswith("✓") for line in lines[1:]), lines


def test_the_processes_of_a_run_of_several_go_on_with_the_stages_of_the_one_that_began_them() -> None:
    record = RunRecord()
    record.take(BEFORE)
    record.take(
        [
            make("phase", LATER, phase="rehearse", message="Rehearsing", worker_seconds=1.0),
            make("phase", LATER + 20, phase="start", message="Starting 2 processes"),
            make("phase", LATER + 29, phase="load_model", message="Loading", worker_seconds=3.0),
        ]
    )
    assert list(record.stages) == ["rehearse", "start", "load_model"]
    assert record.stages["rehearse"].began == LATER


def test_a_run_that_goes_on_from_a_step_says_what_its_worker_does_and_no_time_of_the_one_before(tmp_path: Path) -> None:
    run = record_run(tmp_path, state="starting", steps=50)
    status = read_status(run.status_path)
    assert status is not None
    write_status(run.status_path, status.model_copy(update={"created": LATER, "pid": 0}))
    head = headline(polled(run)).plain
    assert "step 50 of" in head and "left" not in head and "Training" not in head, head
    assert "start the worker" in head, head

    write_status(run.status_path, status.model_copy(update={"created": LATER, "started": LATER + 1}))
    with run.events_path.open("a") as file:
        file.write(encode(make("phase", LATER + 6, phase="load_model", message="Loading acme/new")) + "\n")
    followed = polled(run)
    assert "Loading acme/new" in headline(followed).plain
    assert phase_now(followed.record, followed.status) is followed.record.phase
