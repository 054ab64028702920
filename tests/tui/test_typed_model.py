"""A model that is typed takes the chosen one's place only once it was found."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from pictured import until
from recorded_run import record_run
from textual.widgets import Input
from wizard import model_folder, screen_text, settled, wizard

from loratui.paths import demo_model_path


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_a_wrong_path_leaves_the_chosen_model_as_it_is(
    tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    app = wizard(tmp_path, screen="model")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        chosen, before = app.state.draft, app.state.plan.proposal
        assert chosen.model and before is not None
        await pilot.press(*"./wrong", "enter")
        text = " ".join((await until(pilot, "stays chosen.")).split())
        assert "no such folder" in text and "llama-1b stays chosen" in text
        assert app.state.draft.model == chosen.model and app.state.draft.by_hand == chosen.by_hand
        assert app.state.plan.proposal is before and app.state.model.problem == ""
        model = model_folder(tmp_path / "other-1b")
        await pilot.press(*["backspace"] * len("./wrong"), *str(model), "enter")
        await until(pilot, lambda: app.state.draft.model == str(model))
        await settled(pilot)
        assert app.state.model.found is not None and "is chosen." in " ".join(screen_text(app).split())


async def test_a_models_folder_in_the_working_directory_is_listed_and_chosen_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It lay in the folder of the start and was not listed: "Nothing matches." """
    here = tmp_path / "here"
    for name in ("little-model", "broken"):
        model_folder(here / name)
    (here / "broken" / "config.json").write_text("{")
    (here / "no-model").mkdir()
    monkeypatch.chdir(here)
    app = wizard(tmp_path, screen="model", chosen=False)
    async with app.run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "○ little-model")
        assert "FOLDERS" in text and "no-model" not in text and "broken" not in text
        await pilot.press(*"little", "enter")
        await until(pilot, lambda: app.state.draft.model == str(here / "little-model"))
        await until(pilot, "little-model is chosen.")
        await pilot.press("escape")
        app.choose_model("little-model")
        await until(pilot, lambda: app.state.model.found is not None and app.state.model.found.id == "little-model")


async def test_without_a_chosen_model_a_wrong_path_says_why(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="model", chosen=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(*str(tmp_path / "wrong"), "enter")
        text = await until(pilot, "such folder.")
        assert "stays chosen" not in text
        bar = await until(pilot, "Not known without the model. Choose another.")
        assert "no such model" not in bar, "one reason stands on the screen: the one above"


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
@pytest.mark.parametrize("chosen", [True, False])
async def test_next_says_what_is_wrong_with_what_stands_in_the_field(
    tmp_path: Path, size: tuple[int, int], chosen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """^n went on with the chosen model, or asked for one, and said nothing of the path that was typed."""
    monkeypatch.chdir(tmp_path)
    app = wizard(tmp_path, screen="model", chosen=chosen)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        field = app.screen.query_one(Input)
        for _ in range(2):  # the second ^n is no quieter
            await pilot.press(*("./wrong" if not field.value else ""), "ctrl+n")
            text = " ".join((await until(pilot, "such folder")).split())
            assert "./wrong" in text and ("stays chosen. esc empties the field." in text) == chosen
            assert app.screen.name == "model" and field.has_focus and field.value == "./wrong"
            await settled(pilot)


async def test_next_takes_a_path_that_was_typed_and_goes_on(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="model")
    other = str(model_folder(tmp_path / "other-1b"))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(*other, "ctrl+n")
        await until(pilot, lambda: app.screen.name == "dataset")
        assert app.state.draft.model == other
        await pilot.press("ctrl+p")
        await settled(pilot)
        await pilot.press(*"other", "ctrl+n")
        await settled(pilot)
        assert app.screen.name == "dataset", "a narrowed list hinders nobody"


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_what_runs_here_used_and_made_stands_first(homes: Path, size: tuple[int, int]) -> None:
    """A merged model could be trained further only by typing its path."""
    run = record_run(homes / "home", "kestrel", state="finished", values={"model.id": "demo"})
    shutil.copytree(demo_model_path(), run.merged_path)
    app = wizard(homes, screen="model", chosen=False)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        text = await until(pilot, "USED HERE")
        assert text.index("USED HERE") < text.index("kestrel/merged") < text.index("THE DEMO")
        await pilot.press(*"kestrel", "enter")
        await until(pilot, lambda: app.state.draft.model == str(run.merged_path))
        await settled(pilot)
        assert app.state.model.found is not None and app.state.model.found.weights
