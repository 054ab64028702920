"""One grammar of the keys: the same letter means the same on every screen, at every width, and none is lost without a
word.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from pictured import palette, until
from recorded_run import record_run
from textual.binding import Binding
from textual.dom import DOMNode
from textual.widgets import Input, TextArea
from wizard import dataset_file, screen_text, settled, wizard

import loratui.tui
from loratui.tui.app import SCREEN_CLASSES, LoratuiApp
from loratui.tui.common.key_bar import KeyBar
from loratui.tui.dataset.path_field import PATH_BEGINS
from loratui.tui.frame.step import StepScreen
from loratui.tui.keys import CONTROLS, FOOTERS, LETTERS, NAMES, RUN, USES
from loratui.tui.recipe.field_list import FieldList
from loratui.tui.training.allowed import ACTIONS
from loratui.tui.wizard.draft import STEPS

SIGNS = {name: sign for sign, name in NAMES.items()}
VOTES = {"1", "2", "3", "0"}
"""Of answers without names, while they wait for it."""


pytestmark = pytest.mark.usefixtures("ready_workers")  # the playground's, which open with it


@pytest.fixture(autouse=True)
def no_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)


def letters(screen: StepScreen) -> dict[str, str]:
    """Every letter and sign that is bound on a screen or on what it holds, with its action."""
    found = {}
    for node in (screen, *screen.walk_children()):
        if not type(node).__module__.startswith("textual."):
            for key, bindings in node._bindings.key_to_bindings.items():
                letter = SIGNS.get(key, key)
                if len(letter) == 1 and letter != " ":
                    found[letter] = bindings[0].action
    return found


async def test_a_letter_means_the_same_on_every_screen(homes: Path) -> None:
    run = record_run(homes / "home", state="running", checkpoint=True)
    app = wizard(homes, screen="machine")
    app.state.run.open(str(run.path), "")
    actions: dict[str, set[str]] = {}
    async with app.run_test(size=(120, 36)) as pilot:
        for name in SCREEN_CLASSES:
            app.open_step(name)
            await settled(pilot)
            assert isinstance(app.screen, StepScreen)
            for letter, action in letters(app.screen).items():
                if letter.isdigit():
                    step = f"open_step('{STEPS[int(letter) - 1]}')" if letter != "0" else ""
                    assert action == step or (name == "playground" and letter in VOTES), (name, letter, action)
                else:
                    assert letter in LETTERS, f"{name}: {letter} ({action}) stands in no grammar"
                    actions.setdefault(letter, set()).add(action)
    told = {(use.letter, use.action) for uses in USES.values() for use in uses}
    told |= {(letter, f"act('{name}')") for name, letter in RUN.items()}
    own = {"j", "k", "q", "?", "/"}  # moving, leaving, help and finding are the same in every list
    assert not {(letter, one) for letter, all_ in actions.items() if letter not in own for one in all_} - told


def test_a_letter_with_ctrl_means_the_same_on_every_screen_and_panel() -> None:
    """^s searched the hub on Model, set how answers are generated in the playground, and took a folder in a panel."""
    for module in pkgutil.walk_packages(loratui.tui.__path__, "loratui.tui."):
        importlib.import_module(module.name)
    found: dict[str, set[str]] = {}
    classes = [DOMNode]
    while classes:
        one = classes.pop()
        classes += one.__subclasses__()
        if one.__module__.startswith("loratui."):
            for binding in Binding.make_bindings(one.__dict__.get("BINDINGS", ())):
                for key in binding.key.split(","):
                    if re.fullmatch(r"ctrl\+[a-z]", key):
                        found.setdefault(key[-1], set()).add(binding.action)
    assert {letter for letter in found if letter not in CONTROLS} == set()
    assert all(actions <= CONTROLS[letter][1] for letter, actions in found.items()), found
    assert set(CONTROLS) - set(found) == {"o", "u"}, "the palette is Textual's own, ^u the field's"


def test_no_screen_gives_a_letter_twice() -> None:
    for screen, uses in USES.items():
        # A switch has a label each way.
        told = dict.fromkeys((use.letter, use.action.partition("(")[0]) for use in uses)
        given = [letter for letter, _ in told] + (list(RUN.values()) if screen in ("training", "runs") else [])
        assert len(given) == len(set(given)), screen
    assert {action.name for action in ACTIONS} == set(RUN)
    used = {use.letter for uses in USES.values() for use in uses} | set(RUN.values())
    assert set(LETTERS) - used == {"a", "j", "k", "q", "?"} - used, "what is used nowhere is no part of it"


async def test_the_footer_shows_first_what_is_needed(homes: Path) -> None:
    run = record_run(homes / "home", state="running", checkpoint=True)
    app = wizard(homes, screen="machine")
    app.state.run.open(str(run.path), "")
    lines = {}
    async with app.run_test(size=(80, 24)) as pilot:
        for name in SCREEN_CLASSES:
            app.open_step(name)
            await settled(pilot)
            bar = app.screen.query_one(KeyBar)
            lines[name] = bar.render().plain
            actions = {one.binding.action for one in app.screen.active_bindings.values()}
            declared = {
                binding.action
                for node in (app.screen, *app.screen.walk_children())
                for bindings in node._bindings.key_to_bindings.values()
                for binding in bindings
            }
            assert set(FOOTERS.get(name, ())) <= actions | declared, name
    assert all("^n Next" in line for name, line in lines.items() if name not in ("playground", "runs")), lines
    assert "V Try values" in lines["recipe"] and "s Stop" in lines["training"], lines
    assert "^l Held-out row" in lines["playground"], lines


async def test_the_footer_of_the_answers_leads_to_what_was_made(homes: Path) -> None:
    """`x` was one of twelve keys that only the help told of at 80 columns."""
    data = dataset_file(homes / "rows.jsonl")
    run = record_run(homes / "home", state="finished", steps=375, values={"dataset.path": str(data)})
    run.adapter_path.mkdir()
    (run.adapter_path / "adapter_config.json").write_text("{}")
    app = LoratuiApp(screen="playground", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        bar = app.screen.query_one(KeyBar)
        assert "^l Held-out row" in bar.render().plain
        await pilot.press("escape")
        await settled(pilot)
        line = bar.render().plain
        assert all(key in line for key in ("enter Write", "^l Held-out row", "x Take away", "^g Score")), line


async def test_keys_that_an_empty_dataset_tells_of_are_in_the_footer(homes: Path) -> None:
    app = wizard(homes, screen="dataset", chosen=False)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        line = app.screen.query_one(KeyBar).render().plain
        assert all(f"{key} " in line for key in ("^n", "o", "i", "d")) and "d Demo" in line, line
        said = " ".join(screen_text(app).split())
        assert "chosen and rejected (DPO, ORPO)" in said and "Several at once (a mix)" in said


@pytest.mark.parametrize("width", [80, 120, 160, 200])
async def test_the_footer_tells_how_many_keys_it_has_no_room_for(homes: Path, width: int) -> None:
    run = record_run(homes / "home", state="running", checkpoint=True)
    app = wizard(homes, screen="machine")
    app.state.run.open(str(run.path), "")
    full = []
    async with app.run_test(size=(width, 36)) as pilot:
        for name in SCREEN_CLASSES:
            app.open_step(name)
            await settled(pilot)
            bar = app.screen.query_one(KeyBar)
            line, shown = bar.render().plain, bar.shown()
            more = re.search(r"\+(\d+) (?:\?|F1)$", line)
            told = f" {line}"
            missing = [one for one, _ in shown if one.description != "Help" and f" {one.description}" not in told]
            assert (int(more[1]) if more else 0) == len(missing), (name, line)
            assert len(line) <= width - 4, (name, line)
            full += [name] if more else []
    assert ("training" in full) == (width < 160)


@pytest.mark.parametrize("width", [80, 120])
async def test_help_and_leaving_are_named_alike_on_every_screen(homes: Path, width: int) -> None:
    """`F1 Help` was `? Help` on Recipe, `q` became `^q` in the playground, and the number of the rest stood before
    both."""
    run = record_run(homes / "home", state="running", checkpoint=True)
    app = wizard(homes, screen="machine")
    app.state.run.open(str(run.path), "")
    ends = {}
    async with app.run_test(size=(width, 36)) as pilot:
        for name in SCREEN_CLASSES:
            app.open_step(name)
            await settled(pilot)
            typed = isinstance(app.focused, (Input, TextArea))
            line = app.screen.query_one(KeyBar).render().plain
            helps = "F1" if typed else r"\?"
            assert re.search(rf"  \^q Quit  (?:{helps} Help|\+\d+ {helps})$", line), (name, line)
            ends[name] = line
    assert any(re.search(r"\+\d+ \?$", line) for line in ends.values()), ends


async def test_a_key_can_be_clicked_and_the_rest_is_a_click_away(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="recipe")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        line = app.screen.query_one(KeyBar).render().plain
        await pilot.click("#key-bar", offset=(2 + line.index("Choices"), 0))
        await settled(pilot)
        assert app.state.draft.by_hand == {}, "enter shows the choices and takes none"
        await pilot.press("right")
        line = app.screen.query_one(KeyBar).render().plain
        await pilot.click("#key-bar", offset=(2 + line.index("Take this"), 0))
        await settled(pilot)
        assert app.state.draft.by_hand == {"method.kind": "qlora"}
        line = app.screen.query_one(KeyBar).render().plain
        await pilot.click("#key-bar", offset=(2 + line.index("?"), 0))
        await settled(pilot)
        assert "Recipe: help" in screen_text(app)
        await pilot.press("escape", "question_mark")
        await settled(pilot)
        assert "Recipe: help" in screen_text(app), "the key that the footer names does the same"


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (160, 40), (200, 50)], ids=str)
async def test_the_steps_show_their_numbers_and_the_numbers_go_there(tmp_path: Path, size: tuple[int, int]) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        for number, step in enumerate(STEPS[:5], start=1):
            assert f"{number} {step.capitalize()}" in screen_text(app).splitlines()[0]
            await pilot.press(str(number) if step != "dataset" else "alt+3")  # the filter takes what is typed
            await settled(pilot)
            assert app.screen.name == step or step == app.screen.STEP  # type: ignore[attr-defined]
            app.set_focus(None)


async def test_help_begins_with_the_screens_own_keys(tmp_path: Path) -> None:
    """It began with the cursor keys of the text field that has the focus."""
    app = wizard(tmp_path, screen="model")
    async with app.run_test(size=(120, 50)) as pilot:
        await settled(pilot)
        await pilot.press("f1")
        await settled(pilot)
        text = screen_text(app)
        assert "1 … 7" in text
        places = [
            text.index(group) for group in ("ON THIS SCREEN", "FROM STEP TO STEP", "EVERYWHERE", "INSIDE A FIELD")
        ]
        assert places == sorted(places) and text.index("Find a model on the hub") < places[1]


async def test_the_palette_jumps_to_a_field_of_the_plan(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await palette(pilot, "field learning rate")
        assert app.screen.name == "recipe"
        await pilot.pause()
        assert app.screen.query_one(FieldList).key == "training.learning_rate"
        await palette(pilot, "field weight decay")
        await pilot.pause()
        assert app.screen.query_one(FieldList).key == "training.weight_decay", "one that is not among the everyday ones"


async def test_the_palette_holds_every_run_theme_and_action(homes: Path) -> None:
    run = record_run(homes / "home", "kestrel", state="finished", checkpoint=True)
    app = wizard(homes, screen="machine")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        await palette(pilot, "run kestrel")
        assert app.screen.name == "training" and app.state.run.path == str(run.path)
        await palette(pilot, "theme dracula")
        assert app.theme == "dracula" and app.state.draft.theme == "dracula"
        await palette(pilot, "recipe all fields")
        await pilot.pause()
        assert app.screen.name == "recipe" and app.screen.everything  # type: ignore[attr-defined]


async def test_enter_on_what_is_chosen_goes_on(tmp_path: Path) -> None:
    """From the machine that was chosen for you to the recipe: enter, enter, enter, and none of them is dead."""
    app = wizard(tmp_path, screen="machine")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        seen = []
        for _ in range(3):
            await pilot.press("enter")
            await settled(pilot)
            seen.append(app.screen.name)
        assert seen == ["model", "dataset", "recipe"]


@pytest.mark.parametrize("size", [(80, 24), (200, 50)], ids=str)
async def test_esc_is_dead_on_no_step(tmp_path: Path, size: tuple[int, int]) -> None:
    """On Review and on Recipe it did nothing."""
    app = wizard(tmp_path, screen="review")
    seen = []
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        for _ in range(7):
            await pilot.press("escape")
            await settled(pilot)
            seen.append(app.screen.name)
    assert [name for name, after in zip(seen, [*seen[1:], ""], strict=True) if name != after] == [
        *("recipe", "dataset", "model", "machine", "runs", "machine")
    ], "Model's field is left before Model"


async def test_esc_says_where_something_may_be_at_work_that_nothing_is_open(homes: Path) -> None:
    run = record_run(homes / "home", state="finished", checkpoint=True)
    app = wizard(homes, screen="playground")
    app.state.run.open(str(run.path), "")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("escape", "escape")
        await until(pilot, "Nothing is open here")
        assert app.screen.name == "playground"


async def test_esc_leaves_what_is_open_before_it_leaves_the_step(tmp_path: Path) -> None:
    app = wizard(tmp_path, screen="model")
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press(*"llama")
        field = app.screen.query_one(Input)
        seen = []
        for _ in range(3):
            await pilot.press("escape")
            await settled(pilot)
            seen.append((app.screen.name, field.value, field.has_focus))
        assert seen == [("model", "", True), ("model", "", False), ("machine", "", False)]
        app.open_step("recipe")
        await settled(pilot)
        for typed in ("enter", "3"):
            await pilot.press("home", *(["down"] * 3 if typed == "3" else []), typed, "escape")
            await settled(pilot)
            assert app.screen.name == "recipe", "the value is left as it was, not the step"
        await pilot.press("escape")
        await settled(pilot)
        assert app.screen.name == "dataset"


@pytest.mark.parametrize("step", STEPS[:5])
async def test_help_says_what_esc_does(tmp_path: Path, step: str) -> None:
    app = wizard(tmp_path, screen=step)
    async with app.run_test(size=(120, 80)) as pilot:
        await settled(pilot)
        await pilot.press("escape") if step == "model" else None  # out of the filter
        await pilot.press("question_mark")
        await settled(pilot)
        assert "esc  Leave what is open; where nothing is, go to the step before" in screen_text(app)


PAGES = {"machine", "model", "dataset", "recipe", "review", "training", "playground", "home"}


@pytest.mark.parametrize("page", sorted(PAGES))
def test_the_pages_name_the_keys_of_today(page: str) -> None:
    text = (Path(__file__).parents[2] / "docs" / "screens" / f"{page}.md").read_text(encoding="utf-8")
    used = {use.letter for use in USES.get({"home": "runs"}.get(page, page), ())} | set(RUN.values())
    used |= {*(use.letter for use in USES["rows"]), *PATH_BEGINS} if page == "dataset" else set()
    used |= {use.letter for use in USES["compare"]} if page == "home" else set()
    assert set(re.findall(r"`([!-~])`", text)) <= used | set("123456789?")
