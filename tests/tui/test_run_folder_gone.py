"""A run whose folder was removed: nothing is offered that needs it, and the draft's plan starts it anew."""

from __future__ import annotations

import shutil
from pathlib import Path

from pictured import until
from recorded_run import record_run
from wizard import settled, wizard

from loratui.tui.training.allowed import ACTIONS
from loratui.tui.training.screen import TrainingScreen


async def test_only_what_works_is_offered_and_what_is_left_is_said(homes: Path) -> None:
    run = record_run(homes / "home", "kestrel", state="finished", checkpoint=True)
    app = wizard(homes, screen="review")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.show_run(str(run.path))
        await until(pilot, "asks it")
        screen = app.screen
        assert isinstance(screen, TrainingScreen)
        shutil.rmtree(run.path)
        text = await until(pilot, "The draft still has its plan: 5 reviews it")
        assert "There is no directory" in text and "shows the log" not in text and "asks it" not in text
        last = text.splitlines()[-1]
        assert "Resume" not in last and "L Log" not in last and "Take away" not in last
        assert all("folder is gone" in screen.actions.why_not(action.name) for action in ACTIONS)
        await pilot.press("r")
        await until(pilot, "Resume: the run's folder is gone.")
        await pilot.press("ctrl+r")
        text = await until(pilot, "at review")
        assert "at training" not in text
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.name == "review")


async def test_of_another_plan_than_the_drafts_nothing_is_left(homes: Path) -> None:
    run = record_run(homes / "home", "kestrel", state="stopped")
    app = wizard(homes, screen="review")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.show_other_run(str(run.path))
        await until(pilot, "Stopped at step")
        shutil.rmtree(run.path)
        text = await until(pilot, "Nothing of it can be gone on with")
        assert "starts it" not in text
