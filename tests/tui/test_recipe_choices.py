"""Enter on a field with choices shows them; only what was pointed at and taken changes the plan."""

from __future__ import annotations

from pathlib import Path

import pytest
from wizard import screen_text, settled, wizard

from loratui.tui.app import LoratuiApp
from loratui.tui.common.key_bar import KeyBar
from loratui.tui.recipe.choices_line import choices_line
from loratui.tui.recipe.screen import RecipeScreen


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=str)
async def test_enter_shows_the_choices_and_changes_nothing_by_itself(tmp_path: Path, size: tuple[int, int]) -> None:
    """It turned LoRA to QLoRA at once, and esc did not take that back."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        screen = app.screen
        assert isinstance(screen, RecipeScreen)
        bar = screen.query_one(KeyBar)
        assert bar.render().plain.startswith("enter Choices")
        await pilot.press("enter")
        await settled(pilot)
        assert app.state.draft.by_hand == {} and "2/3" in screen_text(app)
        line = next(one for one in screen_text(app).splitlines() if "2/3" in one)
        assert "LoRA" in line and "QLoRA" in line
        assert bar.render().plain.startswith("enter Take this  esc Leave as it was")
        await pilot.press("right", "right", "escape")
        await settled(pilot)
        assert app.state.draft.by_hand == {} and "/3" not in screen_text(app)
        assert screen.fields.key == "method.kind"
        await pilot.press("enter", "enter")
        await settled(pilot)
        assert app.state.draft.by_hand == {}, "what stood there already is no choice of one's own"
        await pilot.press("enter", "down", "enter")
        await settled(pilot)
        assert app.state.draft.by_hand == {"method.kind": "qlora"}
        assert screen.fields.key == "method.kind"
        await pilot.press("u")
        await settled(pilot)
        assert app.state.draft.by_hand == {}
        await pilot.press("right")
        await settled(pilot)
        assert app.state.draft.by_hand == {"method.kind": "qlora"}, "the arrows are the direct way"
        await pilot.press("enter", "left", "r")
        await settled(pilot)
        assert app.state.draft.by_hand == {} and screen.fields.choice is None, "another key closes, and takes nothing"
        await pilot.press("down")
        assert bar.render().plain.startswith("enter Edit")


def test_many_choices_leave_the_one_at_hand_in_sight() -> None:
    words = [f"choice-{number}" for number in range(12)]
    for place in range(12):
        line = choices_line(words, place, 34).plain
        assert f" choice-{place} " in line and len(line) <= 34
    assert choices_line(["off", "on"], 1, 34).plain == "2/2  off  on "


async def test_esc_before_anything_was_typed_takes_no_earlier_change_back(tmp_path: Path) -> None:
    """ "Leave as it was" threw the value away that had been typed before."""
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("down", *"64", "enter")
        await settled(pilot)
        assert app.state.draft.by_hand == {"lora.r": 64}
        for keys in (("enter", "escape"), ("enter", "enter"), ("enter", "down"), ("up", "enter", "6", "escape")):
            await pilot.press(*keys)
            await settled(pilot)
            assert app.state.draft.by_hand == {"lora.r": 64}, keys
        assert app.state.plan.proposal is not None and app.state.plan.proposal.plan.lora.r == 64
        await pilot.press("u")
        await settled(pilot)
        assert app.state.draft.by_hand == {}  # the change that was made is the one that is taken back
