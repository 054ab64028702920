"""A trial on the screens: the way to its run and back, what its run says that it is, and what its fields are called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from nothing_trains import needs_optuna, nothing_trains  # noqa: F401 (a fixture among them)
from pictured import shown, until
from recorded_run import record_run
from wizard import SIZES, settled, wizard

from loratui.commands.experiment import command
from loratui.commands.experiment_words import shown as printed
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.evaluation.experiment import compare
from loratui.evaluation.experiment_table import table_rows
from loratui.experiments.begin import begin
from loratui.experiments.directory import Experiment, Trial
from loratui.experiments.standing import standing_of
from loratui.paths import runs_home
from loratui.runs.states import UNTIL_WORDS
from loratui.tui.app import LoratuiApp
from loratui.tui.common.dialogs import AskLineScreen
from loratui.tui.experiment.begin import TryScreen
from loratui.tui.experiment.screen import ExperimentScreen
from loratui.tui.home.doors import Door
from loratui.tui.recipe.screen import RecipeScreen

RATE = "training.learning_rate"


def tried(**first: object) -> Experiment:
    """Two rates. The first one's run waits at step 50, its first rung of two; the second one's is on its way."""
    home, plan = runs_home().parent, with_values(Plan(), {"model.id": "demo", "dataset.path": "demo"})
    record_run(home, "made-1", state="stopped", steps=50, message=f"{UNTIL_WORDS} 50", checkpoint=True)
    record_run(home, "made-2", state="running", steps=30)
    trials = [Trial(number, {RATE: rate}, [50, 100], [f"made-{number}"]) for number, rate in ((1, 5e-5), (2, 1e-3))]
    trials[0] = trials[0].with_(**first)
    return begin("made", plan, {RATE: [5e-5, 1e-3]}, [42], trials)


@pytest.mark.parametrize("screen", ["runs", "recipe"])
async def test_esc_leads_from_a_trials_run_back_to_its_experiment(homes: Path, screen: str) -> None:
    tried()
    app = wizard(homes, screen=screen, demo=True, gpus=0)
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.push_screen(ExperimentScreen("made"))
        await until(pilot, lambda: isinstance(app.screen, ExperimentScreen) and app.screen.look is not None)
        await pilot.press("end")
        await until(pilot, lambda: app.screen.trial == 2)
        await pilot.press("enter")
        await until(pilot, "made-2")
        await until(pilot, lambda: app.screen.name == "training")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, ExperimentScreen) and app.screen.trial == 2)
        assert app.screen_stack[-2].name == screen, "over the screen that it was opened on"
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.name == screen)
        app.show_other_run(str(runs_home() / "made-1"))
        await until(pilot, "made-1")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.name == screen)
        await settled(pilot)
        assert app.screen.name == screen, "a run that was opened elsewhere leads back there"


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize(
    ("first", "words"),
    [
        ({}, ["waits for the others at step 50", "Once they are compared, `loratui try promote made 1`"]),
        ({"state": "stopped", "losses": [[0.3]]}, ["left off by the halving at step 50", "r trains it to the end"]),
        ({"state": "best", "losses": [[0.3], [0.2]], "steps": [25, 50]}, ["the best of them", "try promote made 1"]),
    ],
    ids=["waits", "left off", "best"],
)
async def test_a_trials_run_says_which_one_it_is_and_how_it_goes_on(
    homes: Path, size: tuple[int, int], first: dict[str, object], words: list[str]
) -> None:
    tried(**first)
    app = LoratuiApp(screen="training", run=str(runs_home() / "made-1"))
    async with app.run_test(size=size) as pilot:
        await until(pilot, "Trial 1 of the experiment made, stops at step")
        text = " ".join(shown(app).split())
        assert all(one in text for one in words), text
        assert "resumes from there" not in text, "by itself it would leave the others"


def test_who_was_promoted_is_told_as_that_and_another_run_is_no_trial(homes: Path) -> None:
    experiment = tried(state="best", losses=[[0.3]], steps=[25])
    found = standing_of(experiment.run("made-1"))
    assert found is not None and "trained on from there" in found.words and not found.open
    assert "on its way to step 50, at 30" in standing_of(experiment.run("made-2")).words
    other = record_run(runs_home().parent, "made-3", state="stopped")
    assert standing_of(other) is None


def test_a_trial_that_waits_at_its_rung_has_its_step_and_loss_in_the_table(homes: Path) -> None:
    experiment = tried()
    row, other = table_rows(experiment, compare(experiment))[1:]
    assert row[2] == "50" and float(row[3]) > 0 and row[-1] == "waits for the others"
    assert other[2:4] == ["–", "–"] and other[-1] == "on its way to step 50, at 30"


def test_a_trial_that_waits_at_its_first_rung_says_so_to_programs(homes: Path) -> None:
    experiment = tried()
    found = CliRunner().invoke(command, ["show", "made", "--json"])
    waits, other = json.loads(found.output)["comparison"]["trials"]
    row = table_rows(experiment, compare(experiment))[1]
    assert (waits["step"], f"{waits['loss']:.4f}", waits["standing"]) == (50, row[3], "waits for the others")
    assert waits["losses"] == [] and waits["state"] == "open", "no rung is decided yet"
    assert (other["step"], other["loss"], other["standing"]) == (0, None, "on its way to step 50, at 30")


async def test_columns_are_called_as_the_fields_are(homes: Path) -> None:
    experiment = tried()
    app = wizard(homes, screen="runs")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        app.push_screen(ExperimentScreen("made"))
        text = await until(pilot, "held-out loss")
        await until(pilot, lambda: "trial  Learning rate" in shown(app))
        assert "trial  learning_rate" not in text
    told = CliRunner().invoke(command, ["list"]).output
    assert "trial  Learning rate" in printed(experiment) and "learning rate" in told
    assert "learning_rate" not in printed(experiment) + told


@needs_optuna
async def test_an_emptied_list_of_values_is_not_dropped_in_silence(homes: Path) -> None:
    app = wizard(homes, screen="recipe", demo=True, gpus=0)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert isinstance(app.screen, RecipeScreen)
        app.screen.fields.go_to(RATE)
        await settled(pilot)
        await pilot.press("V")
        text = await until(pilot, "stops at")
        assert "Learning rate" in text.split("stops at")[0].splitlines()[-1], "the column has the field's name"
        values = app.state.draft.varied[RATE]
        await pilot.press("home", "enter")
        await until(pilot, lambda: isinstance(app.screen, AskLineScreen))
        await pilot.press("ctrl+u", "end", *["backspace"] * 40, "enter")
        text = await until(pilot, "Values are needed here")
        assert "varies the field no more" in " ".join(text.replace("│", " ").split())
        assert isinstance(app.screen, AskLineScreen) and app.state.draft.varied[RATE] == values
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, TryScreen))
        assert app.state.draft.varied[RATE] == values


async def test_a_panel_that_closes_on_home_leaves_the_focus_where_it_was(homes: Path) -> None:
    tried()
    app = wizard(homes, screen="runs")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "V shows it")
        await pilot.press("home", "up")
        await until(pilot, lambda: isinstance(app.screen.focused, Door))
        await pilot.press("V")
        await until(pilot, lambda: isinstance(app.screen, ExperimentScreen))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen.name == "runs")
        await settled(pilot)
        assert isinstance(app.screen.focused, Door)


@pytest.mark.parametrize("screen", ["training", "runs"])
async def test_a_finished_run_is_evaluated_elsewhere_and_it_is_said_where(homes: Path, screen: str) -> None:
    record_run(runs_home().parent, "made", state="finished")
    app = LoratuiApp(screen=screen, run=str(runs_home() / "made"))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "finished")
        if screen == "runs":
            await until(pilot, "made")
            app.screen.listed.rows.focus()
        await settled(pilot)
        await pilot.press("v")
        text = await until(pilot, "▲ Evaluate:")
        assert "a then ^g scores it, or loratui evaluate made" in " ".join(text.split())
