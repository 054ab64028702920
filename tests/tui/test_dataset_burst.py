"""Over a chosen dataset, what begins a path and what comes in one burst goes into the path, and opens no panel."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot
from wizard import dataset_file, screen_text, settled, wizard

from loratui.tui.app import LoratuiApp
from loratui.tui.dataset.path_field import PathField


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


def burst(app: LoratuiApp, words: str) -> None:
    """The keys of some words, as a terminal's driver hands out what it read at once."""
    for character in words:
        name = {"/": "slash", ".": "full_stop", "_": "underscore", "-": "minus"}.get(character, character)
        app.post_message(events.Key(name, character))


async def field_of(pilot: Pilot[None]) -> PathField:
    await settled(pilot)
    app = pilot.app
    assert isinstance(app, LoratuiApp) and app.screen.name == "dataset", "a panel was opened"
    return app.screen.query_one(PathField)


@pytest.mark.parametrize("begun", ["~", "."])
async def test_what_begins_a_path_goes_into_the_path(tmp_path: Path, begun: str) -> None:
    app = wizard(tmp_path, screen="dataset")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert app.state.dataset.view is not None
        await pilot.press(begun)
        field = await field_of(pilot)
        assert field.value == begun and field.written_in
        await pilot.press("escape")
        field = await field_of(pilot)
        assert field.value.endswith("questions.jsonl") and not field.written_in


@pytest.mark.parametrize("words", ["other.jsonl", "tokens/x.jsonl", "/data/x.jsonl", "col"])
async def test_a_word_in_one_burst_is_a_path(tmp_path: Path, words: str) -> None:
    app = wizard(tmp_path, screen="dataset")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        burst(app, words)
        field = await field_of(pilot)
        assert field.value == words and field.written_in


async def test_a_path_and_its_enter_in_one_burst_are_taken(tmp_path: Path) -> None:
    other = dataset_file(tmp_path / "other.jsonl", rows=12)
    app = wizard(tmp_path, screen="dataset")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.post_message(events.Paste(str(other)))
        field = await field_of(pilot)
        assert field.value == str(other) and field.written_in
        await pilot.press("enter")
        await settled(pilot)
        assert app.state.draft.dataset == str(other)


async def test_a_letter_alone_is_its_key_and_so_is_one_that_repeats(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        burst(app, "tt")
        field = await field_of(pilot)
        assert not field.written_in, "tokens on, and off again"
        await pilot.press("t")
        await settled(pilot)
        assert "as the trainer receives it" in screen_text(app) or "its tokens come" in screen_text(app)
        await pilot.press("slash")
        await settled(pilot)
        assert "Search the rows" in screen_text(app)


async def test_the_rest_of_a_path_that_was_searched_for_is_offered_as_a_path(tmp_path: Path) -> None:
    """A `/` that is typed slowly searches the rows."""
    other = dataset_file(tmp_path / "other.jsonl", rows=12)
    app = wizard(tmp_path, screen="dataset")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await pilot.press("slash")
        await settled(pilot)
        burst(app, str(other)[1:])
        await settled(pilot)
        await pilot.press("enter")
        field = await field_of(pilot)
        assert field.value == str(other) and "enter takes it" in screen_text(app)
        await pilot.press("enter")
        await settled(pilot)
        assert app.state.draft.dataset == str(other)
