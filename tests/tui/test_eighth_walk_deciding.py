"""What made somebody hesitate on the steps that decide, walking through them for the eighth time."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import until
from wizard import model_folder, screen_text, settled, wizard

SMALL = (80, 24)


async def test_while_a_path_is_typed_the_footer_names_enter(tmp_path: Path) -> None:
    """Only ^n and ^p stood there."""
    app = wizard(tmp_path, screen="dataset", chosen=False)
    async with app.run_test(size=SMALL) as pilot:
        await settled(pilot)
        assert "Take it" not in screen_text(app).splitlines()[-1]
        await pilot.press(*"./rows.jsonl")
        await until(pilot, lambda: "enter Take it" in screen_text(app).splitlines()[-1])


@pytest.mark.parametrize("typed", ["{folder}", "some-one/little"])
async def test_a_path_that_no_model_of_the_list_has_is_looked_for(tmp_path: Path, typed: str) -> None:
    """ "Nothing matches." stood there of a folder that exists, and of the chosen model's line "enter Choose"."""
    folder = model_folder(tmp_path / "little-1b")
    app = wizard(tmp_path, screen="model")
    async with app.run_test(size=SMALL) as pilot:
        await settled(pilot)
        assert "enter Next" in screen_text(app).splitlines()[-1], "the cursor is on the chosen model"
        await pilot.press(*typed.format(folder=folder))
        await until(pilot, lambda: "enter Look for it" in screen_text(app).splitlines()[-1])
        text = screen_text(app)
        assert "Nothing matches" not in text and "enter looks for it as a folder's path or a hub id." in text


async def test_enter_is_named_by_the_line_under_the_cursor(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="model")
    async with app.run_test(size=SMALL) as pilot:
        await settled(pilot)
        chosen = app.state.draft.model
        await pilot.press("down")
        await until(pilot, lambda: "enter Choose" in screen_text(app).splitlines()[-1])
        await pilot.press("enter")
        await until(pilot, lambda: app.state.draft.model != chosen)
        await until(pilot, lambda: "enter Next" in screen_text(app).splitlines()[-1])
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.name == "dataset")
