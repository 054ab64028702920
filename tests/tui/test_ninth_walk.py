"""What made somebody hesitate who walked through it at 80 columns without knowing it, for the ninth time."""

from __future__ import annotations

import importlib
import pkgutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pictured import shown, until
from recorded_run import record_run
from textual.screen import ModalScreen
from wizard import settled

import loratui.tui
from loratui.tui.app import LoratuiApp
from loratui.tui.home.compare import CompareScreen
from loratui.tui.home.reading import Looker
from loratui.tui.training.log import LogScreen
from loratui.tui.wizard.draft import Draft


def panels() -> list[type[ModalScreen[Any]]]:
    """Every panel of the program."""
    for module in pkgutil.walk_packages(loratui.tui.__path__, "loratui.tui."):
        importlib.import_module(module.name)
    found, left = [], list(ModalScreen.__subclasses__())
    while left:
        panel = left.pop()
        left += panel.__subclasses__()
        found += [panel] if panel.__module__.startswith("loratui.") else []
    return found


@pytest.mark.parametrize("screen", ["runs", "training"])
async def test_esc_closes_the_log_and_nothing_below_it(homes: Path, screen: str) -> None:
    """It led on from Home to Training, and from Training to Home; the log's own line of keys did not name it."""
    run = record_run(homes / "home", state="finished", checkpoint=True)
    run.log_path.write_text("one line\nanother\n")
    async with LoratuiApp(screen=screen, run=str(run.path)).run_test(size=(80, 24)) as pilot:
        await until(pilot, "Take away")
        below = pilot.app.screen
        await pilot.press("L")
        await until(pilot, lambda: isinstance(pilot.app.screen, LogScreen) and "esc Close" in shown(pilot.app))
        await pilot.press("slash", "a", "n", "o")
        await until(pilot, lambda: "one line" not in shown(pilot.app))
        await pilot.press("escape")
        assert "one line" in await until(pilot, "another") and isinstance(pilot.app.screen, LogScreen)
        await pilot.press("f1")
        await until(pilot, lambda: not isinstance(pilot.app.screen, LogScreen) and "esc" in shown(pilot.app))
        assert any("esc" in line and "close the log" in line for line in shown(pilot.app).splitlines())
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, LogScreen))
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(pilot.app.screen, LogScreen))
        await until(pilot, "Take away")
        assert pilot.app.screen is below


def test_every_panel_takes_esc_as_a_key_of_its_own() -> None:
    """A method for the key lets it go on to the screen below, which takes it, too."""
    found = panels()
    assert LogScreen in found and len(found) > 20
    without = [one.__name__ for one in found if "escape" not in one._merge_bindings().key_to_bindings]
    assert not without
    assert not [one.__name__ for one in found if hasattr(one, "key_escape")]


APART = {
    "training.learning_rate": 0.0026,
    "training.epochs": 30.0,
    "training.batch_size": 16,
    "lora.dropout": 0.05,
    "training.warmup_steps": 18,
    "evaluation.every_steps": 19,
    "saving.every_steps": 19,
    "training.weight_decay": 0.02,
}


async def test_home_says_that_a_run_differs_in_more_and_by_which_key_all_of_it_is_seen(homes: Path) -> None:
    """Its rate alone was told, as if that were all, of two runs with one plan, too; `1 more (d)` named a dead key."""
    for age, name, values in ((600, "first", APART), (300, "second", {}), (60, "third", {})):
        record_run(homes / "home", name=name, state="finished", created=time.time() - age, values=values)
    async with LoratuiApp(screen="runs").run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "differs in")
        rows = {name: next(row for row in text.splitlines() if f" {name} " in row) for name in ("first", "second")}
        assert f"rate 0.0026 +{len(APART) - 1} " in rows["first"], text
        assert f" +{len(APART) - 1} " in rows["second"] and "rate" in rows["second"], text
        assert " the same " in next(row for row in text.splitlines() if " third " in row), text
        await until(pilot, "the same settings")
        await pilot.press("down")
        assert "(d)" not in await until(pilot, "more (=)")
        await pilot.press("=")
        await until(pilot, "second is marked")
        await pilot.press("down", "=")
        await until(pilot, lambda: isinstance(pilot.app.screen, CompareScreen))


def test_runs_that_were_all_set_the_same_differ_in_nothing(homes: Path) -> None:
    """The model's name stood below "differs in"."""
    for name in ("first", "second"):
        record_run(homes / "home", name=name, state="finished")
    look = Looker().look()
    assert sorted(look.sets_apart(line) for line in look.lines) == [[], ["the same"]]


def last_notice(app: LoratuiApp) -> str:
    """The newest notice."""
    return [one.message for one in app._notifications][-1]


async def test_who_takes_up_a_draft_is_told_which_and_whether_another_is_kept(homes: Path) -> None:
    """ "This one is kept aside" was said of an empty draft, and Home said that no other was kept."""
    app = LoratuiApp(screen="runs")
    own = Draft(model=str(homes / "llama-1b"), dataset=str(homes / "questions.jsonl"), step="model", visited=["model"])
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await until(pilot, "▸ New")
        app.begin_draft(own)
        await settled(pilot)
        app.begin_draft(Draft())
        await settled(pilot)
        (other,) = app.state.file.others()
        app.take_up(other, where_left=True)
        await settled(pilot)
        assert last_notice(app) == "Taken up: llama-1b on questions.jsonl. No draft is kept aside for it."
        assert not app.state.file.others()
        app.begin_draft(replace(own, model="qwen"))
        await settled(pilot)
        (other,) = app.state.file.others()
        app.take_up(other)
        await settled(pilot)
        assert last_notice(app) == "Taken up: llama-1b on questions.jsonl. Kept aside: qwen on questions.jsonl."
        assert [one.draft.model for one in app.state.file.others()] == ["qwen"]


async def test_the_help_of_home_says_how_the_arrows_lead_to_the_ways_on(homes: Path) -> None:
    """Left and right did nothing in the list, against the help."""
    record_run(homes / "home", name="first", state="finished")
    async with LoratuiApp(screen="runs").run_test(size=(80, 24)) as pilot:
        await until(pilot, "Take away")
        assert "↑ from the first run leads to them; there ← → and enter" in pilot.app.screen.HELP_TEXT  # type: ignore[attr-defined]
        await pilot.press("up")
        await until(pilot, "▸ New")
        await pilot.press("right")
        await until(pilot, "▸ The demo")
        await pilot.press("down")
        await until(pilot, "Take away")
