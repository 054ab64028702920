"""Without a dataset no key is offered that says something of its rows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pictured import until
from textual import events
from textual.keys import _character_to_key
from textual.pilot import Pilot
from textual.widgets import Input
from wizard import SIZES, dataset_file, screen_text, settled, wizard

from loratui.paths import demo_model_path


async def test_keys_about_rows_come_with_the_rows(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset")
    app.state.choices.choose_dataset(str(tmp_path / "absent.jsonl"))
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        assert "no such file" in screen_text(app)
        keys = screen_text(app).splitlines()[-1]
        assert "Open" in keys and "Path" in keys
        assert not any(word in keys for word in ("Problems", "Tokens", "Search", "Lengths"))
        await pilot.press("e")
        await pilot.pause()
        assert "Nothing is wrong" not in screen_text(app)


async def test_what_begins_a_path_is_typed_and_no_letter_of_it_is_a_command(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset", chosen=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(*"./data/bio.jsonl")
        await pilot.pause()
        field = app.screen.query_one("#path", Input)
        assert field.value == "./data/bio.jsonl" and app.screen.name == "dataset" and not app.state.draft.dataset
        await pilot.press("enter")
        await settled(pilot)
        assert "no such file" in screen_text(app)
        tried = app.state.draft.dataset
        await pilot.press(*"~/odi.jsonl")  # another try needs no key before it
        await pilot.pause()
        assert field.value.endswith("~/odi.jsonl") and app.state.draft.dataset == tried
        await pilot.press("escape")
        await settled(pilot)
        assert field.value == tried and "The path stays as it was." in screen_text(app)
        await pilot.press("d")
        await settled(pilot)
        assert app.state.draft.dataset == "demo"


@pytest.mark.parametrize("path", ["rows/x.jsonl", "some-one/data", "Big.csv", "été.json", "names.jsonl", "_kept/b"])
async def test_a_path_that_is_typed_without_a_key_is_whole(tmp_path: Path, path: str) -> None:
    """Only / ~ . began one: of others, letters were lost until one was a key."""
    app = wizard(tmp_path, screen="dataset", chosen=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "a letter that is no key here begins it" in screen_text(app)
        await type_slowly(pilot, path)
        field = app.screen.query_one("#path", Input)
        assert field.value == path and app.screen.name == "dataset" and not app.state.draft.dataset
        await pilot.press("escape")
        await settled(pilot)
        assert not field.value and "No path was taken." in screen_text(app)


@pytest.mark.parametrize("slow", [True, False], ids=["slow", "burst"])
async def test_a_path_that_begins_with_the_key_of_the_demo_is_whole(tmp_path: Path, slow: bool) -> None:
    """d takes the demo, as the screen says; what follows showed that it was a path, and was lost."""
    app = wizard(tmp_path, screen="dataset", chosen=False)
    rows = dataset_file(tmp_path / "data" / "mine.jsonl")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        field = app.screen.query_one("#path", Input)
        path = f"data/..{rows}"
        if slow:
            await type_slowly(pilot, path)
        else:
            for character in path:
                app.post_message(events.Key(_character_to_key(character), character))
            await settled(pilot)
        assert field.value == path
        taken = app.state.draft.dataset
        assert taken == ("demo" if slow else ""), "nothing is lost before enter takes it"
        await pilot.press("escape")
        await settled(pilot)
        assert field.value == taken
        assert ("The path stays as it was." if slow else "No path was taken.") in screen_text(app)
        if slow:
            await pilot.press("a")
            await pilot.pause()
            assert field.value == "demo", "a letter among rows begins no path"


async def test_a_letter_that_is_a_key_of_the_empty_screen_does_what_it_says(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset", chosen=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("i", *"old/rows.jsonl")
        await pilot.pause()
        field = app.screen.query_one("#path", Input)
        assert field.value == "old/rows.jsonl"
        await pilot.press("escape", "o")
        await until(pilot, "Open a dataset")
        await pilot.press("escape")
        await until(pilot, "No dataset yet.")
        await pilot.press("d", "right", "a")  # only the very next key is read as part of a path
        await settled(pilot)
        assert app.state.draft.dataset == "demo" and field.value == "demo"


async def type_slowly(pilot: Pilot[None], words: str) -> None:
    """Each key after all that the one before did."""
    for character in words:
        await pilot.press(_character_to_key(character))
        await settled(pilot)


async def test_what_is_said_of_a_dataset_is_read_to_its_end_at_80_columns(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="dataset", chosen=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("d")
        await settled(pilot)
        said = " ".join(screen_text(app).split())
        assert "usual names of a question and its answer" in said and "% of the characters learnt" in said
        assert "until then lengths are guesses" in said
        assert "assistant ▌" in screen_text(app)  # the rows keep their place below


async def test_a_path_that_comes_in_one_burst_lands_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of /tmp/x.jsonl only a dot was left, and enter took the folder that one stood in."""
    monkeypatch.chdir(tmp_path)
    app = wizard(tmp_path, screen="dataset", chosen=False)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        field = app.screen.query_one("#path", Input)
        for character in "/tmp/1/sub.d/x.jsonl":  # all of it before anything is answered
            key = _character_to_key(character)
            app.post_message(events.Key(key, character))
        await settled(pilot)
        assert field.value == "/tmp/1/sub.d/x.jsonl" and app.screen.name == "dataset" and not app.state.draft.dataset
        app.set_focus(app.screen.query_one("#row"))
        app.post_message(events.Paste("~/faq.jsonl\n"))
        await settled(pilot)
        assert field.value == "~/faq.jsonl"
        app.set_focus(app.screen.query_one("#row"))
        await pilot.press("full_stop", "enter")
        await settled(pilot)
        assert not app.state.draft.dataset and "Write ./ for that" in screen_text(app)


@pytest.mark.parametrize("size", SIZES)
async def test_a_models_folder_is_refused_with_where_it_belongs(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="dataset", chosen=False)
    shutil.copytree(demo_model_path(), tmp_path / "my-model")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        await pilot.press("i")
        app.screen.query_one("#path", Input).value = str(tmp_path / "my-model")
        await pilot.press("enter")
        await settled(pilot)
        said = " ".join(screen_text(app).split())
        assert "this folder is a model, not a dataset: choose it as the model (step 2" in said
        assert "file with rows as the dataset." in said
        await pilot.press("ctrl+n")
        await pilot.pause()
        assert app.screen.name == "dataset"


async def test_an_empty_file_is_not_offered_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "desk").mkdir()
    (tmp_path / "desk" / "a.jsonl").touch()
    dataset_file(tmp_path / "desk" / "rows.jsonl")
    monkeypatch.chdir(tmp_path / "desk")
    app = wizard(tmp_path, screen="dataset", chosen=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("o")
        await settled(pilot)
        await until(pilot, "a.jsonl")
        await pilot.press("enter")
        await settled(pilot)
        assert Path(app.state.draft.dataset).name == "rows.jsonl"
