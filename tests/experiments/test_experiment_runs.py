"""Experiments with real runs: the better rate is found in half the steps; whatever dies, nothing is trained twice."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from loratui.commands.tree import loratui
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml, with_values
from loratui.experiments.directory import Experiment, experiments, find_experiment
from loratui.paths import runs_home
from loratui.queue import wake
from loratui.queue.trainings import trainings
from loratui.runs import row_losses
from loratui.runs.control import wait_ended
from loratui.runs.directory import Run
from loratui.runs.events import Checkpoint, EventTail, Started, Step
from loratui.runs.listing import list_runs
from loratui.runs.resume import resume_run
from loratui.runs.waiting import read_queue
from waiting import PATIENCE_SECONDS

sys.path.append(str(Path(__file__).parents[1] / "worker"))
from tiny_model import write_rows, write_tiny_model

pytest.importorskip("optuna", reason="the extra `try` is not installed")
pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]
DRIVER = Path(__file__).with_name("driver.py")
STEPS = 16


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("LORATUI_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(wake, "wake", lambda: False)  # its workers would be whole processes
    yield tmp_path
    for pid in [*working(), *(one.pid for one in trainings())]:
        os.kill(pid, signal.SIGKILL)


def working() -> list[int]:
    """Process ids of the workers that have taken a run over."""
    states = [one.status() for one in (Run(path) for path in runs_home().glob("*")) if one.plan_path.is_file()]
    return [one.pid for one in states if one.pid and not one.over]


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    model, rows = write_tiny_model(tmp_path / "model"), write_rows(tmp_path / "rows.jsonl", 60)
    values = {
        "model.id": str(model),
        "model.dtype": "fp32",
        "dataset.path": str(rows),
        "dataset.eval_fraction": 0.2,
        "training.precision": "fp32",
        "training.max_length": 64,
        "training.accumulation": 2,
        "training.max_steps": STEPS,
        "evaluation.every_steps": STEPS,
        "evaluation.batch_size": 4,
        "saving.every_steps": 2,
        "hardware.cpu": True,
    }
    path = tmp_path / "plan.toml"
    path.write_text(plan_to_toml(with_values(Plan(), values)))
    return path


@pytest.fixture
def driver(forking_interpreter: str) -> Iterator[Callable[[], subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, str(DRIVER), forking_interpreter], start_new_session=True))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait()


def asked(*words: str) -> Any:
    found = CliRunner().invoke(loratui, ["try", *words], catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def begun(plan: Path, *words: str) -> Experiment:
    asked(str(plan), *words, "--detach")
    (found,) = experiments()
    return found


def told(run: Run, kind: type) -> list[Any]:
    return [one for one in EventTail(run.events_path).stream() if isinstance(one, kind)]


def waited_for(what: Callable[[], Any], seconds: float = 200) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, [(one.name, one.state, one.words) for one in list_runs()]
        time.sleep(0.1)


def nothing_twice(run: Run, until: int) -> None:
    """Each step that counts was made once: a worker that came after another went on from its last checkpoint, which may
    be whole on the disk although the one before was killed before it told so.
    """
    saved, last = 0, 0
    for event in EventTail(run.events_path).stream():
        if isinstance(event, Started):
            assert event.step in (saved, last), "it goes on from what was saved last, and from nowhere else"
            last = event.step
        elif isinstance(event, Step):
            assert event.step == last + 1
            last = event.step
        elif isinstance(event, Checkpoint):
            saved = event.step
    assert last == until


def test_the_better_rate_is_found_in_half_the_steps_and_goes_on_to_its_end(
    plan: Path, driver: Callable[[], Any], tmp_path: Path
) -> None:
    experiment = begun(plan, "--vary", "training.learning_rate=1e-5,5e-3", "--steps", "6", "--seeds", "2")
    assert begun(plan, "--vary", "training.learning_rate=1e-5,5e-3", "--steps", "6", "--seeds", "2") == experiment
    process = driver()
    waited_for(lambda: not experiment.is_open)
    process.wait(PATIENCE_SECONDS)
    one, two = experiment.trials()
    assert (one.state, two.state) == ("stopped", "best")
    runs = [experiment.run(name) for trial in (one, two) for name in trial.runs]
    assert sum(len(told(run, Step)) for run in runs) == 24 <= 2 * 2 * STEPS / 2
    held_out = [row_losses.read(run, 6) for run in runs]
    assert all(rows is not None and rows.tokens == held_out[0].tokens for rows in held_out), "the same rows in all"
    document = json.loads(asked("show", experiment.name, "--json"))
    found = document["comparison"]
    assert found["over"] and found["best"] == 2 and found["seeds_differ_by"] > 0
    assert found["trials"][0]["share"] > 0 and found["trials"][0]["losses"][0] == one.losses[0]
    shown = asked("show", experiment.name)
    assert "held-out loss" in shown and "●" in shown and f"loratui try promote {experiment.name}" in shown
    for run in runs:  # what is true at the end, by going on to it
        resume_run(run)
    ends = [wait_ended(run, 120) for run in runs]
    assert {end.state for end in ends} == {"finished"}
    losses = [row_losses.read(run, STEPS) for run in runs]
    assert all(rows is not None for rows in losses)
    values = [rows.loss for rows in losses if rows is not None]
    assert max(values[2:]) < min(values[:2]), "the one that was found is the better one of whole runs, too"
    for run in runs:
        nothing_twice(run, STEPS)
    asked("promote", experiment.name, "-o", str(tmp_path / "best.toml"))
    assert "learning_rate = 0.005" in (tmp_path / "best.toml").read_text()


def test_whatever_is_killed_it_goes_on_and_nothing_is_trained_twice(plan: Path, driver: Callable[[], Any]) -> None:
    experiment = begun(plan, "--vary", "training.learning_rate=1e-5,1e-4,1e-3,5e-3", "--steps", "16")
    assert [one.steps for one in experiment.trials()] == [[8, 16]] * 4
    dice, kills, process = random.Random(21), 0, driver()
    until = time.monotonic() + 280
    while experiment.is_open and time.monotonic() < until:
        if process.poll() is not None:
            process = driver()
        time.sleep(dice.uniform(0.3, 2.0))
        if kills >= 6:
            continue
        victims = working() if dice.random() < 0.7 else []
        if not victims or dice.random() < 0.5:
            process.kill()
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):  # it ended by itself just now
                os.kill(pid, signal.SIGKILL)
        kills += 1
    trials = experiment.trials()
    assert not experiment.is_open, [(one.state, one.why, one.losses) for one in trials]
    assert kills
    assert sorted(one.state for one in trials) == ["best", "stopped", "stopped", "stopped"]
    assert [len(one.losses) for one in trials] == [1, 1, 2, 2], "the two higher rates went on"
    for trial in trials:
        nothing_twice(experiment.run(trial.runs[0]), trial.steps[len(trial.losses) - 1])
    assert len(list_runs()) == 4 and not read_queue()


def test_a_trial_that_a_person_stops_waits_for_them_and_the_experiment_is_taken_up_again(
    plan: Path, driver: Callable[[], Any]
) -> None:
    longer = ("--set", "training.max_steps=200", "--set", "saving.every_steps=50", "--steps", "100")
    experiment = begun(plan, "--vary", "training.learning_rate=1e-4,5e-3", *longer)
    process = driver()
    waited_for(lambda: any(told(experiment.run(one.runs[0]), Step) for one in experiment.trials()))
    asked("stop", experiment.name)
    process.wait(PATIENCE_SECONDS)
    assert not experiment.is_open and not read_queue()
    waited_for(lambda: not trainings())
    states = [experiment.run(one.runs[0]).status() for one in experiment.trials()]
    assert "waits for you" in asked("show", experiment.name)
    assert all(one.state in ("stopped", "finished") for one in states), states
    asked(experiment.name, "--detach")
    assert find_experiment(experiment.name).is_open
    driver()
    waited_for(lambda: not experiment.is_open)
    assert {one.state for one in experiment.trials()} == {"best", "stopped"}
    for one in experiment.trials():
        nothing_twice(experiment.run(one.runs[0]), 100)
