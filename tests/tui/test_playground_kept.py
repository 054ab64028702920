"""What was asked in the playground stands there when one comes back to it."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import shown, until
from recorded_run import record_run
from test_playground_screen import answers, home, run

from loratui.runs.directory import Run
from loratui.tui.app import LoratuiApp
from loratui.tui.playground import loader
from loratui.tui.playground.screen import PlaygroundScreen

__all__ = ["home", "run"]

ASKED = {"base": "base answers hello", "adapter": "adapter answers hello"}


@pytest.mark.parametrize("away", ["x", "4"], ids=["take away", "another step"])
async def test_who_stays_away_until_the_model_is_given_back_finds_the_answers(
    run: Run, monkeypatch: pytest.MonkeyPatch, away: str
) -> None:
    monkeypatch.setattr(loader, "IDLE_CLOSE_SECONDS", 0.05)
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        playground = app.screen
        assert isinstance(playground, PlaygroundScreen)
        await pilot.press(*"hello", "enter")
        await until(pilot, lambda: answers(app) == ASKED and playground.session.ready is not None)
        await until(pilot, lambda: bool(playground.conversation.turns))
        await pilot.press("escape", away)
        await until(pilot, lambda: app.screen is not playground)
        await until(pilot, lambda: playground.session.client is None)
        await pilot.press("escape" if away == "x" else "7")
        await until(pilot, lambda: app.screen is playground)
        await until(pilot, lambda: playground.session.ready is not None and playground.session.settled)
        assert answers(app) == ASKED
        assert "❯ hello" in shown(app) and "stop token" in shown(app)
        playground.prompt.focus()
        await pilot.press(*"more", "enter")
        await until(pilot, lambda: answers(app)["adapter"].startswith("adapter answers more"))
        assert len(playground.conversation.messages("base", "x")) == 5, "the conversation goes on"


async def test_a_question_does_not_stand_over_what_another_run_has_not_answered(run: Run, home: Path) -> None:
    other = record_run(home, name="other-run", state="finished", steps=375)
    other.adapter_path.mkdir()
    (other.adapter_path / "adapter_config.json").write_text("{}")
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, f"● {run.name}")
        await pilot.press(*"hello", "enter")
        await until(pilot, lambda: answers(app) == ASKED)
        app.open_step("recipe")
        await until(pilot, lambda: app.screen.name == "recipe")
        app.state.run.ask(str(other.path))
        app.open_step("playground")
        await until(pilot, "● other-run")
        assert "❯ hello" not in shown(app) and not any(answers(app).values())
