"""Experiments from the recipe screen: marked fields, their values, what they take, the table, and what is done then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pictured
import pytest
from nothing_trains import needs_optuna, nothing_trains  # noqa: F401 (a fixture among them)
from pictured import shown
from textual.pilot import Pilot
from textual.widgets import Input
from wizard import SIZES, settled, wizard

from loratui.commands.experiment_words import outlook_words
from loratui.commands.experiment_words import shown as printed
from loratui.core.plan import Plan
from loratui.core.plan_text import fields, with_values
from loratui.experiments.begin import begin
from loratui.experiments.directory import Experiment, Trial, experiments
from loratui.experiments.vary import read_varied
from loratui.paths import runs_home
from loratui.runs import row_losses
from loratui.runs.row_losses import RowLosses
from loratui.runs.waiting import read_queue
from loratui.tui.experiment.begin import TryScreen
from loratui.tui.experiment.lines import laid_out
from loratui.tui.experiment.screen import ExperimentScreen
from loratui.tui.recipe.screen import RecipeScreen
from loratui.tui.recipe.tried import offered_values, typed_values
from loratui.tui.wizard.draft import Draft, draft_from_json, draft_to_json

RATE, RANK = "training.learning_rate", "lora.r"


async def until(pilot: Pilot[None], wanted: str | Callable[[], bool]) -> str:
    """As `pictured.until`, however busy the machine is."""
    return await pictured.until(pilot, wanted, 300.0)


# Values


def test_a_rate_is_offered_a_third_and_three_times_and_others_their_neighbours() -> None:
    plan = with_values(Plan(), {RATE: 2e-4, RANK: 16, "training.batch_size": 1})
    assert offered_values(plan, RATE) == [6.7e-5, 2e-4, 6e-4]
    assert offered_values(plan, RANK) == [8, 16, 32]
    assert offered_values(plan, "training.batch_size") == [1, 2], "below one there is none"
    assert offered_values(plan, "training.scheduler")[0] == plan.training.scheduler
    assert offered_values(plan, "lora.targets") == []


def test_what_is_offered_is_read_as_exactly_these_values_again() -> None:
    plan = with_values(Plan(), {RATE: 0.00012345678901})
    for key in fields():
        values = offered_values(plan, key)
        if len(values) > 1:
            assert read_varied([f"{key}={typed_values(values)}"]) == {key: values}
            assert plan.get(key) in values and all(with_values(plan, {key: value}) for value in values)


def test_marks_are_kept_in_the_draft_and_decide_nothing() -> None:
    from loratui.tui.wizard.draft import choices_mark, same_choices

    draft = Draft(model="demo", varied={RATE: "1e-4, 2e-4"})
    assert draft_from_json(draft_to_json(draft)) == draft
    assert draft_from_json('{"varied": {"lora.r": 8}}').varied == {}
    assert same_choices(draft, Draft(model="demo")) and choices_mark(draft) == choices_mark(Draft(model="demo"))


def test_words_stand_below_their_row_where_there_is_no_room_beside() -> None:
    rows = [["trial", "r", "beside the best", "state"], ["1", "8", "the best", ""], ["2", "16", "a " * 30 + "b", ""]]
    wide = laid_out(rows, 120, loose=2, right=frozenset())
    assert [len(lines) for lines in wide] == [1, 1, 1] and "beside the best" in wide[0][0].plain
    narrow = laid_out(rows, 40, loose=2, right=frozenset())
    assert narrow[0][0].plain == "trial  r" and [len(lines) for lines in narrow] == [1, 2, 3]
    assert all(len(line) <= 40 for lines in narrow for line in lines)


# Marking, and what it takes


async def at_field(pilot: Pilot[None], key: str) -> RecipeScreen:
    await settled(pilot)
    screen = pilot.app.screen
    assert isinstance(screen, RecipeScreen)
    screen.fields.go_to(key)
    await settled(pilot)
    return screen


async def asked_line(pilot: Pilot[None], text: str) -> None:
    await pilot.pause()
    pilot.app.screen.query_one(Input).value = text
    await pilot.press("enter")
    await settled(pilot)


@needs_optuna
@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_a_field_is_marked_and_its_count_grows_with_the_next_one(homes: Path, size: tuple[int, int]) -> None:
    app = wizard(homes, screen="recipe", demo=True, gpus=0)
    async with app.run_test(size=size) as pilot:
        await at_field(pilot, RATE)
        assert "V Try values" in shown(app) or size == (80, 24)
        await pilot.press("V")
        await until(pilot, "3 trials")
        text = await until(pilot, "stops at")
        assert isinstance(app.screen, TryScreen)
        values = app.state.draft.varied[RATE]
        assert values in text and "steps" in text and "to train all of them to the end" in text
        question, seen = app.screen._seen
        for line in outlook_words(question, seen).splitlines()[3:5]:
            assert (
                line.split()
                == next(one for one in text.splitlines() if line.split()[1] in one.split()).split()[
                    1 : 1 + len(line.split())
                ]
            ), "the command's own figures"
        await pilot.press("escape")
        await settled(pilot)
        assert "◆Learning rate" in shown(app) and "1 field is marked" in shown(app)
        await at_field(pilot, RANK)
        await pilot.press("V")
        await until(pilot, "9 trials")
        await pilot.press("end", "up", "up", "up", "enter")
        await asked_line(pilot, "2")
        await until(pilot, "9 trials × 2 seeds")
        await pilot.press("end", "up", "enter")
        await asked_line(pilot, "4")
        await until(pilot, "4 trials × 2 seeds")
        await pilot.press("home", "down", "x")
        await settled(pilot)
        assert set(app.state.draft.varied) == {RATE}, "x takes the field under the cursor away"
        assert not experiments() and not read_queue(), "nothing has begun"


@needs_optuna
async def test_a_value_out_of_bounds_is_said_and_nothing_starts(homes: Path) -> None:
    app = wizard(homes, screen="recipe", demo=True, gpus=0)
    async with app.run_test(size=(120, 36)) as pilot:
        await at_field(pilot, RANK)
        await pilot.press("V")
        await until(pilot, "stops at")
        await pilot.press("home", "enter")
        await asked_line(pilot, "8, 4096")
        text = await until(pilot, "not yet: see below")
        assert "Rank takes a whole number, 1 to 1024" in " ".join(text.split())
        await pilot.press("end", "enter")
        await settled(pilot)
        assert not experiments()
        await pilot.press("home", "enter")
        await asked_line(pilot, "8, 8")
        assert "lora.r has the value 8 twice" in " ".join((await until(pilot, "twice")).split())


@needs_optuna
async def test_what_cannot_vary_is_said_and_is_not_marked(homes: Path) -> None:
    app = wizard(homes, screen="recipe", demo=True, gpus=0)
    async with app.run_test(size=(120, 36)) as pilot:
        await at_field(pilot, "training.epochs")
        await pilot.press("V")
        await until(pilot, "training.epochs cannot be varied")
        assert app.state.draft.varied == {} and isinstance(app.screen, RecipeScreen)


async def test_without_optuna_one_sentence_says_how_to_install_it(homes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("loratui.experiments.halving.find_spec", lambda name: None)
    app = wizard(homes, screen="recipe", demo=True, gpus=0)
    async with app.run_test(size=(120, 36)) as pilot:
        await at_field(pilot, RATE)
        await pilot.press("V")
        await until(pilot, "pip install 'loratui[try]'")
        assert app.state.draft.varied == {} and isinstance(app.screen, RecipeScreen)


@needs_optuna
async def test_a_plan_for_another_machine_is_not_tried_here(homes: Path) -> None:
    app = wizard(homes, screen="recipe")
    async with app.run_test(size=(120, 36)) as pilot:
        app.state.choices.plan_for_gpu("A10G")
        await at_field(pilot, RATE)
        await pilot.press("V")
        await until(pilot, "This plan is for A10G")
        assert isinstance(app.screen, RecipeScreen)


# How it stands


def over(name: str = "made", *, seeds: int = 2) -> Experiment:
    """Two rates of the demo that were tried; the second one won."""
    plan = with_values(
        Plan(), {"model.id": "demo", "dataset.path": "demo", "hardware.cpu": True, "evaluation.every_steps": 20}
    )
    hard, trials = np.random.default_rng(7).gamma(2.0, 10.0, 60), []
    for number, (rate, more, state) in enumerate(((5e-5, 0.5, "stopped"), (1e-3, 0.0, "best")), 1):
        runs, losses = [], []
        for seed in range(seeds):
            run = Experiment(homes_experiment(name)).run(f"{name}-{number}-s{seed}")
            run.path.mkdir(parents=True)
            found = RowLosses((hard + 10 * (more + 0.01 * seed)).tolist(), [10] * 60)
            row_losses.keep(run, 8, found)
            runs.append(run.name)
            losses.append(found.loss)
        trials.append(Trial(number, {RATE: rate}, [8], runs, losses=[losses], state=state))
    return begin(name, plan, {RATE: [5e-5, 1e-3]}, list(range(seeds)), trials)


def homes_experiment(name: str) -> Path:
    return runs_home().parent / "experiments" / name


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_home_lists_it_and_shows_the_table_that_the_command_prints(homes: Path, size: tuple[int, int]) -> None:
    experiment = over()
    app = wizard(homes, screen="runs")
    async with app.run_test(size=size) as pilot:
        await until(pilot, "made  over  learning rate: 2 trials × 2 seeds")
        await pilot.press("V")
        await until(pilot, "●")
        text = await until(pilot, "A makes the trial")
        assert isinstance(app.screen, ExperimentScreen)
        words = {word for line in printed(experiment).splitlines()[3:5] for word in line.split()}
        assert words <= set(text.split()), "what the command prints"
        assert "Two seeds of the same values differ by" in text and "├" in text
        assert app.screen.trial == 2, "the cursor is on the best one"


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_the_winner_becomes_the_plan_and_what_moved_is_shown(homes: Path, size: tuple[int, int]) -> None:
    over()
    app = wizard(homes, screen="recipe", demo=True, gpus=0)
    async with app.run_test(size=size) as pilot:
        await settled(pilot)
        before = app.state.plan.proposal.plan
        app.push_screen(ExperimentScreen("made"))
        await until(pilot, "A makes the trial")
        await pilot.press("A")
        await until(pilot, "The plan has the values of trial 2")
        assert app.state.draft.by_hand[RATE] == 1e-3 and app.state.plan.proposal.plan.training.learning_rate == 1e-3
        line = next(one for one in shown(app).splitlines() if "Learning rate" in one)
        assert "mine" in line and "0.001" in line
        assert app.state.plan.change is not None and RATE in app.state.plan.change.was
        await pilot.press("u")
        await settled(pilot)
        assert app.state.plan.proposal.plan == before


async def test_the_winner_of_other_rows_begins_a_draft_of_its_own(homes: Path) -> None:
    experiment = over()
    app = wizard(homes, screen="runs")
    async with app.run_test(size=(120, 36)) as pilot:
        await settled(pilot)
        model = app.state.draft.model
        app.push_screen(ExperimentScreen("made"))
        await until(pilot, "A makes the trial")
        await pilot.press("A")
        await until(pilot, "Begin a draft with the plan of made?")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.name == "recipe" and app.state.plan.proposal is not None)
        await settled(pilot)
        assert app.state.draft.model == "demo" and app.state.file.others()[0].draft.model == model
        plan = app.state.plan.proposal.plan
        assert plan.training.learning_rate == 1e-3
        wanted = with_values(experiment.plan(), {RATE: 1e-3})
        assert all(
            plan.get(key) == wanted.get(key)
            for key in fields()
            if key.startswith(("lora.", "training.", "method.", "evaluation.", "preference.", "saving."))
        ), "the plan that was tried"


async def test_it_is_stopped_and_goes_on_by_keys(homes: Path) -> None:
    from loratui.experiments.advance import go_on

    plan = with_values(Plan(), {"model.id": "demo", "dataset.path": "demo", "hardware.cpu": True})
    trials = [Trial(number, {RANK: 8 * number}, [8], [f"waits-{number}"]) for number in (1, 2)]
    experiment = begin("waits", plan, {RANK: [8, 16]}, [42], trials)
    go_on(experiment)
    app = wizard(homes, screen="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "goes on")
        await pilot.press("V")
        await until(pilot, "It goes on without this program")
        await pilot.press("enter")
        await until(pilot, "Trial 1 has no run yet")
        await pilot.press("m")
        await until(pilot, "trial 1 is still being compared")
        await pilot.press("s")
        await until(pilot, "Stop waits?")
        await pilot.press("enter")
        await until(pilot, "waits for you")
        assert not experiment.is_open
        await pilot.press("r")
        await until(pilot, "goes on")
        assert experiment.is_open


@needs_optuna
@pytest.mark.worker
@pytest.mark.usefixtures("ready_workers")
async def test_two_rates_are_tried_from_the_recipe_with_real_runs(
    homes: Path, forking_interpreter: str, workers_gone: None
) -> None:
    app = wizard(homes, screen="recipe", demo=True, gpus=0)
    async with app.run_test(size=(120, 36)) as pilot:
        for key, value in (("evaluation.patience", 0), ("training.max_steps", 16)):
            app.state.choices.set_value(key, value)
        await at_field(pilot, RATE)
        await pilot.press("V")
        await until(pilot, "stops at")
        await pilot.press("home", "enter")
        await asked_line(pilot, "1e-5, 2e-3")
        await until(pilot, "2 trials")
        await until(pilot, "stops at")
        await pilot.press("end", "enter")
        await until(pilot, lambda: isinstance(app.screen, ExperimentScreen))
        await until(pilot, "goes on")
        (experiment,) = experiments()
        assert app.state.draft.varied == {}, "what was started is marked no more"
        assert [Path(one.path).name for one in read_queue()] == [] and experiment.is_open
    driver = Path(__file__).parents[1] / "experiments" / "driver.py"
    with subprocess.Popen([sys.executable, str(driver), forking_interpreter], start_new_session=True) as process:
        process.wait(280)
    assert not experiment.is_open, "it went on although the wizard was gone"
    app = wizard(homes, screen="runs")
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "over")
        await pilot.press("V")
        text = await until(pilot, "A makes the trial")
        assert app.screen.trial == 2 and "the best" in text and "worse" in text
        await pilot.press("m")
        await until(pilot, "Train trial 2 to its full length?")
        await pilot.press("enter")
        await until(pilot, lambda: app.screen.name == "training")
        run = experiment.run(experiment.trials()[1].runs[0])
        assert app.state.run.path == str(run.path)
        await until(pilot, lambda: run.status().state == "finished")
        assert run.status().step == 16, "to the end of its plan, from where the trial stopped"


@pytest.fixture
def workers_gone() -> Iterator[None]:
    from loratui.queue.trainings import trainings

    yield
    for one in trainings():
        os.kill(one.pid, signal.SIGKILL)
