"""What a newcomer's eighth walk stumbled over in panels, in the palette and in what is taken away."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pictured import until
from wizard import screen_text, settled, wizard

from loratui.core.glossary import TERMS
from loratui.tui.app import LoratuiApp
from loratui.tui.common.dialogs import AskLineScreen


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


async def test_help_keeps_its_columns_names_how_it_scrolls_and_touches_no_scrollbar(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("f1")
        await settled(pilot)
        if "Recipe: help" not in screen_text(app):  # F1 explained the field; ? is the whole help
            await pilot.press("escape", "question_mark")
            await settled(pilot)
        text = screen_text(app)
        assert "↑ ↓ pgdn scroll" in text, text
        panel, keys = app.screen.query_one("#panel"), app.screen.query_one("#keys")
        assert keys.content_region.right < panel.scrollable_content_region.right, "a column apart"
        lines = str(keys.render()).splitlines()
        widest = max(len(line) for line in lines)
        assert widest <= keys.content_size.width, "wrapped by us, not by the widget"
        told = [line for line in lines if line.startswith(" ")]
        start = next(line.index("Go to a step;") for line in told if "Go to a step;" in line)
        below = lines[next(at for at, line in enumerate(lines) if "Go to a step;" in line) + 1]
        assert len(below) - len(below.lstrip()) == start, below
        whole = "\n".join(lines)
        assert "Focus Next" not in whole and "super+" not in whole
        assert re.search(r"tab +Next field or list", whole), whole


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_the_palette_shows_its_own_keys_and_says_what_it_finds(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+o")
        await until(pilot, "Find actions, runs, fields, and words to explain")
        text = await until(pilot, "enter Take it")
        last = text.rstrip().splitlines()[-1]
        assert "enter Take it" in last and "esc Close" in last and "Next" not in last, last
        await pilot.press("ctrl+o", *"gguf")
        await until(pilot, "Word: GGUF")
        await pilot.press("enter")
        await until(pilot, TERMS["GGUF"].line)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.name == "machine")
        await pilot.press("ctrl+o")
        await until(pilot, "Find actions")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.name == "machine")


async def test_a_question_for_one_line_names_enter_among_its_keys(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine")
    answers: list[str | None] = []
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        app.push_screen(AskLineScreen("How many rows?", "a number", "1"), answers.append)
        text = await until(pilot, "enter Take it")
        assert re.search(r"enter Take it +esc Close", text.rstrip().splitlines()[-1]), text
        await pilot.press("6", "enter")
        await until(pilot, lambda: answers == ["6"])
