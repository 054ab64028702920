"""Taking away is offered where a run has made something, and stays in sight there."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from pictured import settled, shown, until
from recorded_run import record_run

from loratui.runs.directory import Run
from loratui.runs.status import read_status, write_status
from loratui.tui.app import LoratuiApp
from loratui.tui.take_away.outputs import outputs_of
from loratui.tui.training.allowed import ACTIONS
from loratui.tui.training.follow import Followed


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    return tmp_path


def with_adapter(run: Run) -> Path:
    """Its newest checkpoint, with what PEFT writes there."""
    last = run.last_checkpoint()
    assert last is not None
    (last / "adapter_config.json").write_text("{}")
    (last / "adapter_model.safetensors").write_bytes(b"x" * 2048)
    return last


@pytest.mark.parametrize("state", ["starting", "running", "stopped", "failed"])
@pytest.mark.parametrize("screen", ["training", "runs"])
async def test_a_run_that_made_nothing_offers_nothing_to_take(home: Path, state: str, screen: str) -> None:
    run = record_run(home, state=state, steps=10, message="It broke.")
    app = LoratuiApp(screen=screen, run=str(run.path) if screen == "training" else "")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, state)
        await until(pilot, "L Log")
        if screen == "runs":
            await pilot.press("down")
        await settled(pilot)
        assert "x Take away" not in shown(app), shown(app)
        await pilot.press("x")
        await until(pilot, "Take away: it has made nothing to take yet, neither a checkpoint nor a result.")
        await pilot.press("ctrl+o", *"take away")
        await settled(pilot)
        assert "Take away (x)" not in shown(app), shown(app)


async def test_a_stopped_run_with_a_checkpoint_shows_it_on_home_too(home: Path) -> None:
    for name, began in (("before", 900), ("newest", 90)):
        record_run(home, name, state="stopped", checkpoint=True, created=time.time() - began)
    async with LoratuiApp(screen="runs").run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "x Take away")
        for key in ("enter Open", "r Resume", "a Ask it", "^q Quit"):
            assert key in text.splitlines()[-1], text


def test_its_checkpoint_is_among_what_can_be_taken(home: Path) -> None:
    run = record_run(home, state="stopped", checkpoint=True)
    assert "checkpoint" not in {thing.key for thing in outputs_of(run)}, "nothing of PEFT's lies in it"
    last = with_adapter(run)
    (thing,) = (thing for thing in outputs_of(run) if thing.key == "checkpoint")
    assert (thing.state, thing.words) == ("there", "step 125 · 2.00 KiB")
    assert thing.place.endswith(last.name) and not thing.command and not thing.problem
    run.adapter_path.mkdir()
    (run.adapter_path / "adapter_config.json").write_text("{}")
    status = read_status(run.status_path)
    assert status is not None
    write_status(run.status_path, status.model_copy(update={"state": "finished"}))
    assert "checkpoint" not in {thing.key for thing in outputs_of(run)}, "the result is there"


def test_before_a_listed_run_was_looked_into_nobody_says_that_it_made_nothing(home: Path) -> None:
    """A key pressed at once was told so; to look is no work for the thread that paints."""
    run = record_run(home, state="stopped", checkpoint=True)
    followed = Followed(run, status=run.status(), plan=run.plan(), looked=True)
    take = next(action for action in ACTIONS if action.name == "take_away")
    assert take.why_not(followed) == "Take away: its checkpoints are still being looked for."
    followed.poll()
    assert take.why_not(followed) == ""
    bare = Followed(record_run(home, "bare", state="stopped"))
    bare.poll()
    assert "it has made nothing to take yet" in take.why_not(bare)
