"""A terminal of 60 x 15: every step can be used there."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import until
from recorded_run import record_run
from textual.widgets import Static
from wizard import screen_text, settled, wizard

from loratui.tui.app import LoratuiApp
from loratui.tui.experiment.begin import TryScreen
from loratui.tui.frame.bars import StepBar
from loratui.tui.take_away.screen import TakeAwayScreen
from loratui.tui.wizard.draft import STEPS

SIZE = (60, 15)


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


async def test_every_step_is_in_sight_and_the_memory_keeps_its_two_rows(tmp_path: Path) -> None:
    """`7 Playground` lay beyond the edge, and `left` of the verdict pushed the parts off the screen."""
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=SIZE) as pilot:
        for step in STEPS[:5]:
            app.open_step(step)
            await settled(pilot)
            lines = screen_text(app).splitlines()
            assert all(f"{number}" in lines[0] for number in range(1, 8)) and step.capitalize() in lines[0], lines[0]
            assert lines[-3].rstrip().endswith("left") and lines[-2].rstrip().endswith("iB"), lines
            heading = str(app.screen.query_one("#heading", Static).content)
            assert lines[1].strip() == heading or lines[1].rstrip().endswith("…"), lines[1]
            assert len(lines[2].strip()) > 1, "no row is blank where there are so few"
        place = screen_text(app).splitlines()[0].index("7")
        await pilot.click(StepBar, offset=(place, 0))
        await settled(pilot)
        assert app.screen.name == "playground"


async def test_the_cards_come_first_and_the_help_tells_the_rest(tmp_path: Path) -> None:
    """What was said of a missing driver left one row for the cards."""
    app = wizard(tmp_path, screen="machine", gpus=0)
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        text = screen_text(app)
        assert "CPU" in text and "Another GPU" in text and "▲ No NVIDIA driver was found" in text, text
        assert "… F1" in text and "512 GiB of disk free" not in text
        await pilot.press("f1")
        await pilot.resize_terminal(60, 80)
        await settled(pilot)
        assert "512 GiB of disk free" in " ".join(screen_text(app).replace("│", " ").split())


async def test_what_is_taken_away_is_told_beside_the_list(tmp_path: Path, homes: Path) -> None:
    """The list took all rows but one: what a thing is, and where it lies, had none."""
    run = record_run(homes / "home", state="finished", steps=375)
    run.adapter_path.mkdir()
    (run.adapter_path / "adapter_config.json").write_text("{}")
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        app.push_screen(TakeAwayScreen(str(run.path), "machine"))
        text = await until(pilot, "The adapter as PEFT keeps it")
        assert "✓ Adapter" in text and "where " in text and "pgdn shows more" in text, text
        await pilot.press("down", "down", "down", "down", "down")
        await until(pilot, "Hub ─")


async def test_values_to_try_say_that_there_is_more_below(tmp_path: Path) -> None:
    """The trials lay below the edge, and no word said how to get there."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=SIZE) as pilot:
        await settled(pilot)
        await pilot.press("down", "V")
        await until(pilot, lambda: isinstance(app.screen, TryScreen))
        await until(pilot, "pgdn shows more")
        assert "x Take away" not in screen_text(app)
        await pilot.press(*["pagedown"] * 6)
        await until(pilot, lambda: app.screen.query_one("#takes").scroll_y > 0)
