"""A terminal of 60 x 15: every step can be used there."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Static
from wizard import screen_text, settled, wizard

from loratui.tui.app import LoratuiApp
from loratui.tui.frame.bars import StepBar
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
