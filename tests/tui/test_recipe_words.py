"""What a field takes and what its value means is read whole on the narrowest screen."""

from __future__ import annotations

from pathlib import Path

import pytest
from wizard import screen_text, settled, wizard

from loratui.core.plan_text import allowed
from loratui.tui.app import LoratuiApp
from loratui.tui.recipe.screen import RecipeScreen


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


async def test_what_a_number_takes_is_read_to_its_end_at_80_columns(tmp_path: Path) -> None:
    """It said "takes a whole number at least 1 and at mos…"."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert isinstance(app.screen, RecipeScreen)
        await pilot.press("m")
        await settled(pilot)
        listed = app.screen.fields
        keys = [row.key for row in listed.rows if row.kind == "number"]
        assert len(keys) > 15
        for key in keys:
            listed.go_to(key)
            await pilot.press("minus")  # of no number the whole
            await pilot.pause()
            assert listed.error == f"takes {allowed(key)}"
            assert listed.error in screen_text(app), key
            await pilot.press("escape")
