"""What the question after Stop promises is what a run's directory holds afterwards."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import until
from recorded_run import BEGAN, record_run

from loratui.runs.events import encode, make
from loratui.runs.status import read_status, write_status
from loratui.tui.app import LoratuiApp
from loratui.tui.training.follow import Followed
from loratui.tui.training.news import news
from loratui.tui.training.stopping import stopping


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("state", ["starting", "rehearsing", "evaluating"])
async def test_before_the_first_step_no_checkpoint_is_promised(home: Path, state: str) -> None:
    run = record_run(home, state=state, steps=0)
    async with LoratuiApp(screen="training", run=str(run.path)).run_test(size=(80, 24)) as pilot:
        await until(pilot, state)
        await pilot.press("s")
        text = " ".join((await until(pilot, "enter stop it")).replace("│", "").split())
        assert "It stops at once. No step was made, so there is no checkpoint:" in text, text
        assert "r starts it again." in text and "saves a checkpoint" not in text, text


def test_what_was_saved_before_stays(home: Path) -> None:
    run = record_run(home, state="starting", checkpoint=True)
    followed = Followed(run)
    followed.poll()
    assert "What was saved stays: r resumes from step 125." in stopping(followed).sentence


def test_after_a_step_it_saves_and_while_it_writes_its_result_it_finishes(home: Path) -> None:
    followed = Followed(record_run(home))
    followed.poll()
    assert stopping(followed).yes == "stop and save" and "saves a checkpoint" in stopping(followed).sentence
    status = read_status(followed.run.status_path)
    assert status is not None
    write_status(followed.run.status_path, status.model_copy(update={"state": "saving", "phase": "export"}))
    followed.poll()
    assert "it finishes" in stopping(followed).sentence and "saves a checkpoint" not in stopping(followed).sentence


def test_a_stopped_run_goes_on_from_what_there_is(home: Path) -> None:
    """It said "from there" of a step of which nothing was saved."""
    run = record_run(home, checkpoint=True)
    with run.events_path.open("a") as file:
        file.write(encode(make("stopped", BEGAN + 90, step=142, checkpoint="")) + "\n")
    status = read_status(run.status_path)
    assert status is not None
    write_status(run.status_path, status.model_copy(update={"state": "stopped"}))
    followed = Followed(run)
    followed.poll()
    told = news(followed, 120)[0].plain
    assert "Stopped at step 142." in told and "r resumes from step 125" in told, told
