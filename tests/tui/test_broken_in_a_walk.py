"""What made somebody hesitate, or lose something, who walked through it without knowing it, for the eighth time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pictured import shown, until
from recorded_run import record_run
from textual.widgets import Input
from wizard import settled, wizard

from loratui.tui.app import LoratuiApp
from loratui.tui.dataset.path_field import PathField


def other_rows(folder: Path, name: str = "other.jsonl") -> Path:
    rows = folder / name
    rows.write_text("".join(json.dumps({"question": f"{n}?", "answer": f"{n}!"}) + "\n" for n in range(20)))
    return rows


def write(app: LoratuiApp, path: str) -> None:
    field = app.screen.query_one(PathField)
    field.focus()
    field.value = path


@pytest.mark.parametrize("key", ["enter", "ctrl+n"])
async def test_a_wrong_path_leaves_the_chosen_dataset(tmp_path: Path, key: str) -> None:
    """The good choice was gone with enter, and ^n went on with it without a word about what had been typed."""
    app = wizard(tmp_path, screen="dataset")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        before = app.state.draft.dataset
        assert before and app.state.dataset.view is not None
        write(app, str(tmp_path / "absent.jsonl"))
        await pilot.press(key)
        text = await until(pilot, "stays chosen")
        assert "no such file or folder" in text and app.screen.name == "dataset"
        assert app.state.draft.dataset == before and app.state.dataset.view is not None
        field = app.screen.query_one(PathField)
        assert field.has_focus and field.value.endswith("absent.jsonl"), "it can be corrected"
        await pilot.press("escape")
        assert field.value == app.screen.query_one(PathField).stands


@pytest.mark.parametrize("chosen", [True, False])
async def test_going_on_takes_the_path_that_was_typed(tmp_path: Path, chosen: bool) -> None:
    app = wizard(tmp_path, screen="dataset", chosen=chosen)
    rows = other_rows(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        write(app, str(rows))
        await pilot.press("ctrl+n")
        await until(pilot, lambda: app.screen.name == "recipe")
        assert app.state.draft.dataset == str(rows) and app.state.dataset.view is not None


@pytest.mark.parametrize("size", [(200, 50), (160, 45)], ids=str)
async def test_home_outlives_a_window_that_becomes_tiny(homes: Path, size: tuple[int, int]) -> None:
    for number in range(4):
        record_run(homes / "home", f"run-{number}", state="finished")
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=size) as pilot:
        await until(pilot, "run-3")
        for small in ((60, 15), (20, 8), (1, 1), (60, 15)):
            await pilot.resize_terminal(*small)
            await pilot.pause()
        await pilot.resize_terminal(80, 24)
        await until(pilot, "run-3")
        assert "Everything that was trained here" in shown(app)


async def test_the_chosen_model_is_known_however_its_folder_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`little-model/` was another model than `little-model`: what was trained with it no longer counted."""
    app = wizard(tmp_path, screen="model")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        monkeypatch.chdir(tmp_path)
        chosen = Path(app.state.draft.model)
        assert chosen.is_dir() and chosen.parent == tmp_path
        for written in (f"{chosen}/", chosen.name, f"./{chosen.name}/"):
            assert app.state.model.is_chosen(written), written
        assert not app.state.model.is_chosen("demo") and not app.state.model.is_chosen(str(tmp_path))
        await pilot.press(*f"./{chosen.name}/", "enter")
        await until(pilot, lambda: app.screen.name == "dataset")
        assert app.state.draft.model == str(chosen)


async def test_a_filter_without_the_keys_says_which_one_leads_to_it(tmp_path: Path) -> None:
    """ "type to filter" stood there while letters were keys of the screen: `o` opened a folder."""
    app = wizard(tmp_path, screen="model")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "type to filter" in shown(app)
        await pilot.press("escape")
        await until(pilot, "/ to write here")
        assert "type to filter" not in shown(app)
        await pilot.press("slash")
        await until(pilot, "type to filter")
        await pilot.press("o")
        await until(pilot, lambda: app.screen.query_one(Input).value == "o")


async def test_a_start_whose_rows_are_gone_says_so_and_makes_no_run(tmp_path: Path, homes: Path) -> None:
    app = wizard(tmp_path, screen="review")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await until(pilot, lambda: app.state.plan.proposal is not None)
        rows = Path(app.state.draft.dataset)
        rows.rename(rows.with_name("moved.jsonl"))
        await pilot.press("enter")
        await until(pilot, lambda: "no such file or folder. In" in " ".join(shown(app).split()))
        assert app.screen.name == "review" and "moved.jsonl" in shown(app)
        assert not list((homes / "home" / "runs").glob("*"))


async def test_in_the_playground_too_digits_are_the_steps_numbers(homes: Path) -> None:
    """1, 2 and 3 were dead there, as they vote in a blind comparison."""
    run = record_run(homes / "home", "run-1", state="finished")
    for key, step in zip("123", ("machine", "model", "dataset"), strict=True):
        app = LoratuiApp(screen="playground", run=str(run.path))
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, "Playground  ")
            await pilot.press("escape", key)
            await until(pilot, lambda app=app, step=step: app.screen.name == step)
