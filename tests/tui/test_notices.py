"""Notices in the corner, and what the palette and F1 tell first."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import shown, until
from textual.command import CommandPalette
from textual.widgets import OptionList
from textual.widgets._toast import Toast
from wizard import settled, wizard

from loratui.tui.common.key_bar import KeyBar
from loratui.tui.keys import USES


async def test_the_same_notice_stands_once(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+c", "ctrl+c")
        await until(pilot, "q leaves loratui")
        app.notify("Another word.", timeout=60)
        app.notify("Another word.", timeout=60)
        app.notify("Another word.", severity="warning", timeout=60)
        app.notify("The last word.", timeout=60)
        text = await until(pilot, "The last word.")
        assert text.count("q leaves loratui") <= 1, "it may have gone again, but never stands twice"
        assert text.count("Another word.") == 2, "as a warning it is another notice"


async def test_a_notice_that_was_closed_is_shown_again(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        app.notify("A word.", timeout=60)
        await until(pilot, "A word.")
        await pilot.click(Toast)
        await until(pilot, lambda: "A word." not in shown(app))
        app.notify("A word.", timeout=60)
        await until(pilot, "A word.")


async def test_the_palette_opens_with_what_is_done_here(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+o")
        assert isinstance(app.screen, CommandPalette)
        lines = app.screen.query_one(OptionList)
        titles: list[str] = []

        def told() -> bool:
            titles[:] = [str(option.prompt).partition("\n")[0] for option in lines.options]
            return {"Screenshot", "Tokens (t)"} <= set(titles)

        await until(pilot, told)
        ours = [place for place, title in enumerate(titles) if title.endswith(")")]
        theirs = [place for place, title in enumerate(titles) if title in ("Keys", "Maximize", "Screenshot", "Theme")]
        assert min(theirs) > max(ours), titles


@pytest.mark.parametrize(
    ("screen", "first"), [("recipe", "Choices"), ("dataset", "Next"), ("review", "Start"), ("machine", "Choose")]
)
async def test_the_palette_begins_with_the_actions_of_the_screen(tmp_path: Path, screen: str, first: str) -> None:
    """On the recipe it began with Up, Down, Less."""
    app = wizard(tmp_path, screen=screen)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        named = [use.label for use in USES[screen]]
        footer = [binding.description for binding, _ in app.screen.query_one(KeyBar).shown()]
        await pilot.press("ctrl+o")
        lines = app.screen.query_one(OptionList)
        titles: list[str] = []

        def told() -> bool:
            titles[:] = [str(option.prompt).partition("\n")[0] for option in lines.options]
            return any(title.startswith("Quit (") for title in titles) and "Screenshot" in titles

        await until(pilot, told)
        ours = [title.rpartition(" (")[0] for title in titles if title.endswith(")")]
        assert ours[0] == first == footer[0], titles
        assert [one for one in ours if one in footer] == [one for one in footer if one in ours]
        moves = [ours.index(one) for one in ("Up", "Down", "Less", "First", "Next card") if one in ours]
        actions = [ours.index(one) for one in named if one in ours]
        assert actions and max(actions) < min(moves, default=len(ours)), ours


async def test_f1_says_which_of_the_function_keys_is_which_step(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(80, 70)) as pilot:
        await settled(pilot)
        await pilot.press("f1")
        text = await until(pilot, "FROM STEP TO STEP")
        assert "F2 to F8: steps 1 to 7" in " ".join(text.replace("│", " ").split())
        await pilot.press("escape", "f4")
        await until(pilot, lambda: app.screen.name == "dataset")


@pytest.mark.parametrize("screen", ["machine", "model", "recipe", "runs"])
async def test_on_80_columns_a_notice_covers_neither_the_title_nor_what_the_screen_is_about(
    tmp_path: Path, screen: str
) -> None:
    app = wizard(tmp_path, screen=screen)
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await settled(pilot)
        app.clear_notifications()
        await until(pilot, lambda: not app.screen.query(Toast))
        before = shown(app).splitlines()
        title = before[1].split("  ")[1]
        app.notify("A notice of two lines: " + "words " * 14 + "last.", timeout=60)
        after = (await until(pilot, "last.")).splitlines()
        assert after[1].startswith(f"  {title} ") and "A notice" in after[1] and "last." in after[2]
        assert (before[0], before[3:]) == (after[0], after[3:])
