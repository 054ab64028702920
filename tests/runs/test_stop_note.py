"""A run that ends early says who wanted that: a person, an experiment, or whoever sent a signal from outside."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from loratui.core.plan import Plan
from loratui.runs.control import save_now, stop_run
from loratui.runs.directory import Run
from loratui.runs.events import EventTail, Stopped
from loratui.runs.start import create_run
from loratui.runs.status import Status, own_mark, signs_of_life, write_status
from loratui.runs.stop_note import Asker, note, note_path, who_asked
from loratui.worker.training.journal import Journal
from loratui.worker.training.outcome import left
from loratui.worker.training.signals import Requests


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(Plan(), output=tmp_path / "run")


def at_work(run: Run, created: float = 5.0) -> None:
    """Take this process for the run's worker."""
    mark = own_mark()
    told = {"process_started": mark.started, "process_ticks": mark.ticks, **signs_of_life()}
    write_status(run.status_path, Status(state="running", pid=mark.pid, created=created, **told))


@pytest.mark.parametrize(
    "by, words",
    [
        ("wizard", "you stopped it in the wizard"),
        ("command", "you stopped it with `loratui stop`"),
        ("fix", "you stopped it to change its plan"),
        ("experiment", "its experiment stopped it"),
    ],
)
def test_the_worker_says_who_asked(run: Run, by: Asker, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    at_work(run)
    heard: list[int] = []
    requests = Requests()
    requests.who_asked = lambda: who_asked(run.path, run.status().created)

    def hear(number: int, frame: object) -> None:
        heard.append(number)
        requests.heed(number)

    before = signal.signal(signal.SIGTERM, hear)
    try:
        stop_run(run, by)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM] and requests.stop
    run.status_path.unlink()
    journal = Journal(run)
    outcome = left(journal, requests, 36, requests.reason, "checkpoints/checkpoint-36")
    journal.close(outcome.state, outcome.message)
    (told,) = EventTail(run.events_path).stream()
    assert isinstance(told, Stopped) and (told.by, told.reason, told.step) == (by, words, 36)
    assert run.status().message == words


def test_a_signal_that_nobody_noted_came_from_outside(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    requests = Requests()
    requests.who_asked = lambda: who_asked(run.path, run.status().created)
    requests.heed(signal.SIGTERM)
    assert (requests.by, requests.reason) == ("signal", "a signal from outside stopped it (SIGTERM)")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    requests = Requests()
    requests.heed(signal.SIGTERM)
    assert (requests.by, requests.reason) == ("scheduler", "the scheduler ends this job (SIGTERM)")


def test_what_was_asked_of_an_earlier_start_is_no_word_on_this_one(run: Run) -> None:
    note(run.path, Status(created=5.0), "wizard")
    assert who_asked(run.path, 5.0) == "wizard"
    assert who_asked(run.path, 6.0) is None


@pytest.mark.parametrize("text", ["", "[]", '{"by": "somebody", "created": 5.0}', '{"by": "wizard"}', "\x00"])
def test_a_note_that_says_nothing_names_nobody(run: Run, text: str) -> None:
    note_path(run.path).write_text(text)
    assert who_asked(run.path, 5.0) is None


def test_a_note_that_cannot_be_written_holds_no_stop_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work(run)
    note_path(run.path).mkdir()
    heard: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: heard.append(number))
    stop_run(run, "wizard")
    assert heard[-1] == signal.SIGTERM


def test_only_a_stop_is_noted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    at_work(run)
    monkeypatch.setattr(os, "kill", lambda pid, number: None)
    save_now(run)
    assert not note_path(run.path).exists()
