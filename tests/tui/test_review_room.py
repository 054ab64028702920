"""The pictures of the review have room before words are explained."""

from __future__ import annotations

from pathlib import Path

import pytest
from wizard import choose, screen_text, settled, wizard

from loratui.core.glossary import TERMS
from loratui.core.schedule import times_in
from loratui.tui.app import LoratuiApp
from loratui.tui.review.pictures import _marks
from loratui.tui.review.screen import ReviewScreen
from loratui.tui.wizard.state import WizardState


async def test_the_pictures_are_seen_below_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their frames were empty."""
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)
    monkeypatch.setattr("loratui.tui.wizard.words.SeenWords.unseen", lambda self, terms: tuple(terms))
    app = wizard(tmp_path, screen="review")
    choose(app, gpu="NVIDIA GeForce RTX 4090")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert app.screen.query_one("#said").size.height >= 2, screen_text(app)
        text = screen_text(app)
        assert app.screen.query_one("#memory-picture").content_size.height >= 1, text
        assert "together" in text, text


@pytest.mark.parametrize("written", [False, True])
async def test_below_warnings_the_time_has_its_line_at_80_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)
    monkeypatch.setattr("loratui.tui.wizard.words.SeenWords.unseen", lambda self, terms: tuple(terms))
    app = wizard(tmp_path, screen="review")
    choose(app, gpu="NVIDIA GeForce RTX 4090", by_hand={"training.learning_rate": 0.05})
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        if written:
            await pilot.press("enter")
            await settled(pilot)
        text = screen_text(app)
        assert ("▲ " in text or "✓ plan" in text or "✓ /" in text) and "m shows all" in text, text
        assert "tested" in text and "◆" in text, text
        button = app.screen.query_one("#start")
        assert app.screen.query_one("#body").region.contains_region(button.region), text


@pytest.mark.parametrize(("total", "every"), [(144, 15), (150, 15), (9, 0), (7, 100)])
def test_as_many_marks_as_there_are_evaluations(total: int, every: int) -> None:
    """The one at the last step, which is no multiple, was left out."""
    drawn = _marks(every, total, 200, "◆")
    assert drawn.count("◆") == times_in(total, every) and len(drawn) == 200
    assert (drawn[-1] == "◆") == (every > 0)


async def test_a_larger_terminal_shows_what_a_small_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_here: None
) -> None:
    """Words and what changed took the marks of tests and saves away at 120 x 36, and the button had three rows."""
    monkeypatch.setattr(ReviewScreen, "_said_rows", lambda self, hindrances: [])
    app = wizard(tmp_path, screen="review")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.state.choices.set_value("lora.r", 64)
        await settled(pilot)
        text = screen_text(app)
        assert not app.screen.query_one("#said").display and TERMS["adapter"].line in text, text
        assert "Rank 16 → 64" in text, text
        assert "◆ tested" in text and "■ saved" in text and "rate " in text, text
        assert app.screen.query_one("#start").size.height == 1
        button, notice = app.screen.query_one("#start").region, app.screen.query_one("#notice").region
        assert notice.y - button.bottom <= 0, text


async def test_before_anything_is_chosen_no_box_is_empty(tmp_path: Path) -> None:
    app = LoratuiApp(state=WizardState(tmp_path / "draft.json"), screen="review")
    async with app.run_test(size=(200, 50)) as pilot:
        await settled(pilot)
        text = screen_text(app)
        assert text.count("not known yet: it follows from model, dataset and machine") == 3  # memory, time, everything
