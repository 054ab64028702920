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
from recorded_run import BEGAN, record_run
from textual.screen import ModalScreen
from wizard import settled

import loratui.tui
from loratui.runs.events import make
from loratui.tui.app import LoratuiApp
from loratui.tui.common.text import wrap
from loratui.tui.home.compare import CompareScreen
from loratui.tui.home.reading import Looker
from loratui.tui.training.figures import fitting_figures
from loratui.tui.training.follow import follow
from loratui.tui.training.log import LogScreen
from loratui.tui.training.news import MARGIN, news
from loratui.tui.training.record import RunRecord
from loratui.tui.training.screen import TrainingScreen
from loratui.tui.wizard.draft import STEPS, Draft, choices_mark
from loratui.tui.wizard.state import WizardState


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


@pytest.mark.parametrize(("width", "way"), [(80, "4 changes a value"), (120, "4 changes a value for the next")])
def test_a_finished_run_of_the_draft_names_the_key_to_the_next_one(homes: Path, width: int, way: str) -> None:
    """How one trains the same again with another value was looked for, and not found."""
    followed = follow(str(record_run(homes / "home", state="finished", checkpoint=True).path))
    followed.poll()

    def rows(*, drafted: bool) -> list[str]:
        lines = news(followed, width, drafted=drafted)
        return [row for line in lines for row in wrap(line.plain, max(20, width - MARGIN))]

    told = next(row for row in rows(drafted=True) if "asks it" in row)
    assert f"{way}   ^r Home" in told and "a asks it   x merges, exports or serves it" in told
    assert not any("changes a value" in row for row in rows(drafted=False)), "the recipe is that of another plan"


async def test_the_key_to_the_next_run_leads_to_its_recipe(homes: Path) -> None:
    run = record_run(homes / "home", state="finished", checkpoint=True)
    draft = Draft(
        model="demo", dataset="demo", by_hand={"lora.r": 8}, step="training", visited=[*STEPS[:6]], run=str(run.path)
    )
    draft = replace(draft, run_for=choices_mark(draft))
    state = WizardState(homes / "draft.json", draft=draft)
    async with LoratuiApp(screen="training", run=str(run.path), state=state).run_test(size=(80, 24)) as pilot:
        await until(pilot, "4 changes a value")
        await pilot.press("4")
        await until(pilot, lambda: pilot.app.screen.name == "recipe")
        assert state.draft.by_hand == {"lora.r": 8}


def test_figures_say_of_what_they_are_shares() -> None:
    """ "100% of 8 rows" while 16 were held out; "predicted 740 MiB peak 82%": of what?"""
    record, predicted = RunRecord(), 740 << 20
    record.take(
        [
            make("data", BEGAN, rows=160, examples=144, eval_examples=16),
            make("step", BEGAN + 1, step=20, loss=0.1, memory_peak=607 << 20),
            make("eval", BEGAN + 2, step=20, loss=0.2, exact_match=1.0, rows=16, generated=8),
        ]
    )
    wide, narrow = (
        [line.plain.rstrip() for line in fitting_figures(record, predicted, cells, 40)] for cells in (48, 30)
    )
    assert "exact match   100% of 8 rows of 16 held out" in wide
    assert "peak memory   607 MiB 82% of the predicted" in wide and "predicted     740 MiB" in wide
    assert "peak memory 607 MiB" in narrow and "predicted   740 MiB 82% of it" in narrow
    assert "a few of the held-out rows" in TrainingScreen.HELP_TEXT
    record.take([make("step", BEGAN + 3, step=21, loss=0.1, memory_peak=742 << 20)])
    above = [line.plain.rstrip() for line in fitting_figures(record, predicted, 52, 40)]
    assert "peak memory   742 MiB 2.00 MiB above the predicted" in above and "predicted     740 MiB" in above
