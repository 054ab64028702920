"""What a person stumbled over who walked through the wizard for the first time, with only a task and the screens."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pictured import until
from recorded_run import record_run
from test_dataset_panels import checked, result
from wizard import model_folder, screen_text, settled, wizard

from loratui.core.moves import Move, Moves
from loratui.tui.app import LoratuiApp
from loratui.tui.common.filter_list import FilterList
from loratui.tui.common.run_names import shortened
from loratui.tui.dataset.facts import text_words
from loratui.tui.frame.change_line import ChangeLine, change_content
from loratui.tui.machine.device_card import DeviceCard
from loratui.tui.playground.answer_view import AnswerView
from loratui.tui.playground.screen import PlaygroundScreen
from loratui.tui.wizard.change import Change
from loratui.tui.wizard.check import Check
from loratui.workers.protocol import Done


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


CHARACTERS = {"source": 1000, "learnt": 300, "shown": 500, "cut": 200, "reading": 0, "template": 0, "unused": 0}


async def test_enter_after_planning_for_another_gpu_goes_on(tmp_path: Path) -> None:
    """The cursor stayed on the CPU: enter, which was to go on, took the CPU instead."""
    app = wizard(tmp_path, screen="machine", gpus=0)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("o")
        await settled(pilot)
        await pilot.press(*"4090", "enter")
        await settled(pilot)
        assert isinstance(app.focused, DeviceCard) and app.focused.key == "other"
        assert "enter or ^n goes on, o takes another" in screen_text(app)
        await pilot.press("enter")
        await settled(pilot)
        assert app.state.draft.gpu == "RTX 4090" and app.screen.name == "model"


async def test_the_keys_that_the_empty_dataset_names_work_after_a_refusal(tmp_path: Path) -> None:
    """^n put the focus into the path: "d takes the demo" stood there, and d wrote a d."""
    app = wizard(tmp_path, screen="dataset", chosen=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+n")
        await settled(pilot)
        assert "o opens a file, d takes the demo" in screen_text(app) and app.screen.name == "dataset"
        await pilot.press("d")
        await settled(pilot)
        assert app.state.draft.dataset == "demo"


async def test_keys_may_be_asked_for_before_and_after_the_playground_stands() -> None:
    """Quitting while a model was being loaded ended in a defect: the footer asked a screen that had lost its prompt."""
    screen = PlaygroundScreen()
    assert not screen.prompt.has_focus
    screen.check_action("system", ())


def test_what_is_cut_is_not_told_of_another_maximum_length() -> None:
    """The check's own counts moved the maximum length, and "15.4% cut off" stood beside rows none of which is cut."""
    found = result(characters=CHARACTERS, truncation={"max_length": 128, "cut": 20})
    assert "20.0% cut off" in text_words(found, 128)
    assert text_words(found, 1024) == "1,000 characters: none is cut off at 1,024 tokens"
    assert text_words(found, 384) == "1,000 characters: 4 rows are cut at 384 tokens · r counts what is lost"


@pytest.mark.parametrize(("length", "again"), [(128, False), (384, True), (1024, False)])
async def test_where_rows_are_cut_at_another_length_the_check_can_be_done_again(
    tmp_path: Path, length: int, again: bool
) -> None:
    app = checked(tmp_path)
    app.state.check.key = lambda: "this"  # type: ignore[method-assign]
    asked: list[dict[str, Any]] = []
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.state.choices.set_value("training.max_length", length)
        await settled(pilot)
        app.state.check.take(Check("this", result=result(characters=CHARACTERS)))
        await settled(pilot)
        app.check_dataset = lambda **how: asked.append(how)  # type: ignore[method-assign]
        await pilot.press("r")
        assert asked == ([{"again": True}] if again else [])


async def test_model_tells_what_enter_does_and_begins_anew_on_the_next_visit(tmp_path: Path) -> None:
    """While one typed what nothing matches, "demo is chosen. enter goes on" stood below; and the words of the last
    visit were still there, so that those of the next were added to them.
    """
    app = wizard(tmp_path, screen="model", demo=True)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "enter Next" in screen_text(app).splitlines()[-1]
        await pilot.press("enter")
        await settled(pilot)
        await pilot.press("ctrl+p")
        await settled(pilot)
        await pilot.press(*"zzz")
        await settled(pilot)
        assert "enter looks for zzz" in screen_text(app) and "goes on" not in screen_text(app)
        await pilot.press("escape", *"Qwen3-4B")
        await settled(pilot)
        chooser = app.screen.query_one(FilterList)
        assert chooser.filter_field.value == "Qwen3-4B" and "goes on" not in screen_text(app)
        await pilot.press("ctrl+n")
        await settled(pilot)
        await pilot.press("ctrl+p")
        await settled(pilot)
        assert chooser.filter_field.value == "" and app.state.draft.model == "demo"


async def test_a_folder_that_is_no_model_is_not_offered_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """ "use this folder" stood first, and took the place of the model that was chosen."""
    model_folder(tmp_path / "work" / "little")
    monkeypatch.chdir(tmp_path / "work")
    app = wizard(tmp_path, screen="model")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("ctrl+f")
        await until(pilot, "little/")
        await settled(pilot)
        assert "use this folder" not in screen_text(app)
        await pilot.press("right")
        await until(pilot, "use this folder")


@pytest.mark.parametrize("size", [(160, 45), (200, 50)], ids=str)
async def test_without_a_model_a_wide_recipe_is_not_empty(tmp_path: Path, size: tuple[int, int]) -> None:
    """From 160 columns on nothing at all stood there."""
    app = wizard(tmp_path, screen="recipe", chosen=False)
    async with app.run_test(size=size) as pilot:
        await until(pilot, "No recipe yet.")
        assert "2   chooses a model" in screen_text(app)


async def test_without_a_model_the_recipe_says_which_key_helps(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe", chosen=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "No recipe yet." in screen_text(app) and "2   chooses a model" in screen_text(app)
        app.choose_model(str(tmp_path / "nothing"))
        await settled(pilot)
        assert "Looking up" not in screen_text(app), "it stood there for ever"
        keys = screen_text(app).splitlines()[-1]
        assert "F1 Why  ^q Quit  +" in keys and keys.count("F1") == 1


CHANGE = Change(
    "Dataset none → /tmp/work/questions.jsonl",
    Moves((), tuple(Move("lora.r", 16, n) for n in range(8)), 26 << 20, "2 times as long"),
)


@pytest.mark.parametrize("width", range(40, 200, 7))
@pytest.mark.parametrize("height", [1, 2])
def test_a_change_is_told_in_whole_words_at_any_width(width: int, height: int) -> None:
    """It ended in "memory +26.1 MiB," or in a dot with nothing behind it."""
    lines = change_content(CHANGE, width, height).plain.split("\n")
    assert len(lines) <= height and all(len(line) <= width for line in lines)
    assert lines[0].startswith("Dataset none → ")
    assert lines[-1].endswith(("MiB", "as long")) or (lines[-1].endswith("…") and width < 60)


@pytest.mark.parametrize(("height", "rows"), [(24, 1), (36, 3)])
async def test_an_explanation_and_a_change_share_a_line_where_the_screen_is_low(
    tmp_path: Path, new_here: None, height: int, rows: int
) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, height)) as pilot:
        await settled(pilot)
        notice, line = app.screen.query_one("#notice"), app.screen.query_one(ChangeLine)
        assert notice.display and "rank" in screen_text(app)
        app.state.choices.set_value("lora.r", 64)
        await settled(pilot)
        assert line.display and notice.display == (height >= 30) and "Rank 16 → 64" in screen_text(app)
        await pilot.press("ctrl+p")  # what changed there was told there: the new words of this step have the line
        await settled(pilot)
        assert "token  a piece of a word" in screen_text(app)
        assert app.screen.query_one(ChangeLine).display == (height >= 30)


async def test_a_start_that_has_said_nothing_yet_shows_its_stages(homes: Path) -> None:
    """For 20 s, while PyTorch was read, it said "starting" over the axes of an empty chart."""
    run = record_run(homes / "home", state="starting", steps=0)
    run.events_path.unlink(missing_ok=True)
    app = wizard(homes, screen="training")
    app.state.run.open(str(run.path), "")
    async with app.run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "start the worker: PyTorch")  # whole, also here
        assert "○" in text and "load the model" in text
        assert not app.screen.query_one("#loss").display


async def test_a_blank_answer_says_so_and_needs_no_bar_below(tmp_path: Path) -> None:
    """A box of blank lines over a blue bar: was that an answer? Text ran under the bar at the side, too."""
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(80, 24)) as pilot:
        view = AnswerView("base")
        await app.mount(view)
        view.feed("\n \n" * 40)
        view.end(Done(1, "base", "length", 40, 0.1, 10.0))
        await pilot.pause()
        assert "nothing but blanks" in str(view.border_subtitle)
        assert view.show_vertical_scrollbar and not view.show_horizontal_scrollbar
        width = view.scrollable_content_region.width
        view.begin()
        await pilot.pause()
        assert view.scrollable_content_region.width == width, "what was wrapped stays wrapped"


def test_a_runs_name_keeps_what_tells_it_from_others() -> None:
    assert shortened("little-model-lora-20261126-0544", 20) == "little-mod…1126-0544"
    assert shortened("short", 20) == "short"


async def test_home_names_the_way_to_the_runs(homes: Path) -> None:
    run = record_run(homes / "home", "a-model-with-a-long-name-lora-20261126-0544", state="finished", checkpoint=True)
    app = wizard(homes)
    async with app.run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "1126-0544")
        assert "↓ Runs" in text.splitlines()[-1] and run.name in text, "with few runs there is room for all of it"
        assert "…" not in "".join(text.splitlines()[3:7])
