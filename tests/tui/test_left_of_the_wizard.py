"""What made people stumble in the wizard: where keys that are named belong, and what a typed path does."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input
from wizard import choose, dataset_file, settled, wizard

from loratui.tui.app import LoratuiApp
from loratui.tui.review.screen import ReviewScreen


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


async def test_the_review_names_the_step_of_the_keys_it_tells(tmp_path: Path) -> None:
    """It said "o opens a file, d takes the demo", which are keys of step 3."""
    app = wizard(tmp_path, screen="review")
    choose(app, dataset="")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert isinstance(app.screen, ReviewScreen)
        (told,) = [one.sentence for one in app.screen.hindrances() if "o opens a file" in one.sentence]
        assert told.startswith("Step 3: ")


async def test_a_path_typed_after_i_takes_the_place_of_the_one_that_stands(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset")
    other = dataset_file(tmp_path / "o.jsonl", rows=7)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert app.screen.query_one("#path", Input).value
        await pilot.press("i", *["slash" if one == "/" else "full_stop" if one == "." else one for one in str(other)])
        await pilot.press("enter")
        await settled(pilot)
        assert app.state.draft.dataset == str(other)
        await pilot.press("i", "end", "x")
        assert app.screen.query_one("#path", Input).value == f"{other}x", "an arrow or end goes on in it"
