"""Lengths and Recipe tell one number; the picture of lengths stands on Dataset, while they are guessed too."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_dataset_panels import checked, result
from textual.widgets import OptionList, Static
from wizard import dataset_file, screen_text, settled, wizard

from loratui.core.histogram import length_histogram
from loratui.tui.app import LoratuiApp
from loratui.tui.review.cards import time_span
from loratui.tui.wizard.check import Check


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=str)
async def test_lengths_and_recipe_propose_the_same_and_the_current_row_is_marked(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    """Of gsm8k it said 640, while Recipe said "768 proposed"; no row was marked, and the cursor began at 128."""
    app = checked(tmp_path)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        app.state.check.take(Check(app.state.check.key(), result=result()))
        await settled(pilot)
        proposal = app.state.plan.proposal
        assert proposal is not None
        proposed = proposal.recommendations["training.max_length"].value
        assert proposed != 384, "the check alone would take another"
        await pilot.press("l")
        await settled(pilot)
        lines = screen_text(app).splitlines()
        (marked,) = [line for line in lines if f"● {proposed:,}" in line]
        assert ("now, proposed" in marked) or "◂" in marked
        assert not [line for line in lines if "○" in line and ("proposed" in line or "◂" in line)]
        ledger = app.screen.query_one("#ledger", OptionList)
        assert ledger.get_option_at_index(ledger.highlighted or 0).id == str(proposed)
        assert f"Proposed is {proposed:,}" in " ".join(screen_text(app).split())


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 45)], ids=str)
async def test_lengths_and_review_tell_one_time(tmp_path: Path, size: tuple[int, int]) -> None:
    """Lengths said "≤" and the upper end of another sum than Review's."""
    app = checked(tmp_path)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        app.state.check.take(Check(app.state.check.key(), result=result()))
        await settled(pilot)
        proposal = app.state.plan.proposal
        assert proposal is not None
        span = time_span(proposal)
        assert " to " in span
        await pilot.press("l")
        await settled(pilot)
        text = screen_text(app)
        (now,) = [line for line in text.splitlines() if f"● {proposal.plan.training.max_length:,}" in line]
        if size[0] == 80:
            assert "time up to" in text and span.partition(" to ")[2] in now
        else:
            assert span in now and "up to" not in text
        assert "≤" not in text


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)], ids=str)
async def test_the_lengths_are_a_picture_on_dataset_while_guessed_too(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="dataset")
    rows = tmp_path / "rows.jsonl"
    dataset_file(rows, rows=300, answer="It is so. " * 9)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        app.choose_dataset(str(rows))
        await settled(pilot)
        app.state.choices.set_value("training.max_length", 32)
        await pilot.pause()
        text = screen_text(app)
        assert "▲ 32" in text and "guessed from characters" in text
        bars = str(app.screen.query_one("#dataset-facts", Static).content)
        assert "█" in bars
        assert "┊" in bars or size[1] == 24, "a line stands at the maximum length"
        app.state.choices.set_value("training.max_length", 4096)
        await pilot.pause()
        assert "▸ 4,096 maximum" in screen_text(app), "a maximum length beyond all rows is told, too"
        assert app.screen.query_one("#row").size.height >= 4, "the rows keep their room"


@pytest.mark.parametrize("lengths", [[1], [5] * 40, list(range(1, 400)), [*range(1, 400), 90_000], [3, 3, 9_999]])
def test_every_row_is_in_one_bin(lengths: list[int]) -> None:
    edges, counts = length_histogram(lengths, 40)
    assert sum(counts) == len(lengths) and len(edges) == len(counts) + 1 <= 43
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        assert count == sum(low <= length < high for length in lengths)
