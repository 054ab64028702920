"""Who stopped a run, and the key by which it goes on, told where one reads of it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from pictured import until
from recorded_run import BEGAN, record_run

from loratui.commands.tree import loratui
from loratui.runs.control import leave_queue
from loratui.runs.directory import Run
from loratui.runs.enqueue import append
from loratui.runs.events import make
from loratui.runs.status import read_status, write_status
from loratui.tui.app import LoratuiApp
from loratui.tui.training.follow import Followed
from loratui.tui.training.news import news

YOU = "you stopped it in the wizard"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    return tmp_path


def stopped(home: Path, reason: str, by: str) -> Run:
    """A run that was stopped at step 50 for this reason."""
    ended = make("stopped", BEGAN + 60, step=50, reason=reason, by=by, checkpoint="checkpoints/checkpoint-50")
    run = record_run(home, state="running", steps=50, more=[ended], message=reason, created=time.time() - 90)
    status = read_status(run.status_path)
    assert status is not None
    write_status(run.status_path, status.model_copy(update={"state": "stopped", "total": 375}))
    return run


@pytest.mark.parametrize(
    "reason, by, told",
    [
        (YOU, "wizard", "You stopped it in the wizard at step 50, saved as"),
        ("a signal from outside stopped it (SIGTERM)", "signal", "A signal from outside stopped it (SIGTERM) at step"),
        ("the scheduler ends this job (SIGTERM)", "scheduler", "checkpoint-50 (the scheduler ends this job (SIGTERM))"),
        ("asked to stop (SIGTERM)", "", "Stopped at step 50, saved as"),
    ],
)
def test_the_monitor_says_who_it_was(home: Path, reason: str, by: str, told: str) -> None:
    followed = Followed(stopped(home, reason, by))
    followed.poll()
    first = " ".join(" ".join(line.plain for line in news(followed, 120)).split())
    assert told in first, first
    assert "r resumes from there" in first, first


async def test_home_and_the_commands_say_it_too(home: Path) -> None:
    run = stopped(home, YOU, "wizard")
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        await until(pilot, YOU)
    listed = CliRunner().invoke(loratui, ["runs"], catch_exceptions=False).output
    assert YOU in listed and "SIG" not in listed, listed
    found = CliRunner().invoke(loratui, ["runs", "findings", run.name], catch_exceptions=False).output
    assert f"run {run.name}: stopped. You stopped it in the wizard." in found, found


async def test_one_that_was_taken_out_of_the_queue_names_the_key_first(home: Path) -> None:
    run = record_run(home, state="stopped", steps=0)
    run.events_path.write_text("")
    append(run, None, 1.0, 1)
    leave_queue(run, "wizard")
    async with LoratuiApp(screen="training", run=str(run.path)).run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "out of the queue")
        assert "■ You took it out of the queue.  r starts it again   ^r Home" in text, text
    dropped = record_run(home, "dropped", state="stopped", steps=0)
    append(dropped, None, 1.0, 1)
    said = CliRunner().invoke(loratui, ["queue", "drop", dropped.name], catch_exceptions=False).output
    assert "loratui resume dropped" in said and "loratui queue add dropped" in said, said
