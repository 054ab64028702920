"""`/` on the recipe finds a field by its name: of fifty fields one had to look for it by eye."""

from __future__ import annotations

from pathlib import Path

import pytest
from wizard import SIZES, choose, screen_text, settled, wizard

from loratui.tui.app import LoratuiApp
from loratui.tui.recipe.field_list import FieldList
from loratui.tui.recipe.find import FindFieldScreen


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


@pytest.mark.parametrize("size", [*SIZES, (200, 50)], ids=str)
@pytest.mark.parametrize(
    ("typed", "key"),
    [("warm", "training.warmup_steps"), ("lora.alpha", "lora.alpha"), ("weight decay", "training.weight_decay")],
)
async def test_a_field_is_found_by_its_name_or_key(tmp_path: Path, size: tuple[int, int], typed: str, key: str) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("slash")
        await settled(pilot)
        assert isinstance(app.screen, FindFieldScreen) and "Find a field" in screen_text(app)
        await pilot.press(*("space" if letter == " " else letter for letter in typed))
        await settled(pilot)
        await pilot.press("enter")
        await settled(pilot)
        await pilot.pause()
        assert app.screen.name == "recipe" and app.screen.query_one(FieldList).key == key
        assert app.state.draft.by_hand == {}, "nothing that was typed was taken for a key of the screen"


async def test_esc_leaves_the_cursor_where_it_was(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down", "down")
        before = app.screen.query_one(FieldList).key
        await pilot.press("slash")
        await settled(pilot)
        await pilot.press("escape")
        await settled(pilot)
        assert app.screen.name == "recipe" and app.screen.query_one(FieldList).key == before


async def test_values_stand_with_their_units(tmp_path: Path) -> None:
    """ "Minimum rate 0.1" said not of what."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("slash", *"minimum")
        await settled(pilot)
        assert "0.1 of the peak" in screen_text(app)


async def test_what_means_nothing_here_is_not_offered(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    choose(app, by_hand={"method.kind": "full"})
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("slash", *"lora")
        await settled(pilot)
        assert "Nothing matches" in screen_text(app)


async def test_a_slash_in_a_value_is_typed(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.screen.go_to_field("lora.adapter")  # type: ignore[attr-defined]
        await settled(pilot)
        await pilot.press("enter", "slash", "t", "m", "p")
        await settled(pilot)
        assert app.screen.query_one(FieldList).text == "/tmp"
