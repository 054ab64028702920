"""Where one trial stands: on its way to a rung, waiting there for the others, left off, or the best; and which trial a
run belongs to.
"""

from __future__ import annotations

from dataclasses import dataclass

from loratui.experiments.advance import reached
from loratui.experiments.directory import Experiment, Trial, experiments
from loratui.paths import runs_home
from loratui.runs.directory import Run
from loratui.runs.states import stopped_by_person
from loratui.runs.status import Status

WAITS = "waits for the others"


def losses_there(experiment: Experiment, trial: Trial) -> list[float]:
    """The held-out losses of an open trial's runs at the rung that it is on its way to, one a seed; empty until all of
    them are there. It waits for the other trials from then on.
    """
    found = []
    for name in trial.runs:
        run = experiment.run(name)
        status = run.status() if run.plan_path.is_file() else None
        loss = reached(run, trial.until, status) if status is not None and status.over else None
        if loss is None:
            return []
        found.append(loss)
    return found


def under_way(experiment: Experiment, trial: Trial) -> str:
    """How far an open trial is: a rung is decided once all have reached it."""
    made = [run for name in trial.runs if (run := experiment.run(name)).plan_path.is_file()]
    states = [run.status() for run in made]
    held = [
        run.name
        for run, status in zip(made, states, strict=True)
        if status.step < trial.until and stopped_by_person(status.state, status.message)
    ]
    if held:
        return f"{', '.join(held)} was stopped by a person"
    if losses_there(experiment, trial):
        return WAITS
    steps = [status.step for status in states if status.state != "queued"]
    at = f", at {min(steps):,}" if len(steps) == len(trial.runs) and len(steps) == 1 else ""
    turn = ", waits for its turn" if not steps else ""
    return f"on its way to step {trial.until:,}{at or turn}"


@dataclass(frozen=True)
class Standing:
    """A run as the trial that it is. words: which one, and how it stands. open: whether it is still being compared."""

    words: str
    open: bool


def standing_of(run: Run) -> Standing | None:
    """What a run is in an experiment; None for one that is no trial. RunError where its experiment cannot be read."""
    if run.path.absolute().parent != runs_home().absolute():
        return None
    for experiment in experiments():
        if not run.name.startswith(f"{experiment.name}-"):
            continue
        for trial in experiment.trials():
            if run.name in trial.runs:
                return Standing(_words(experiment, trial, run.status()), trial.state == "open")
    return None


def _words(experiment: Experiment, trial: Trial, status: Status) -> str:
    which = f"Trial {trial.number} of the experiment {experiment.name}"
    stops = f"{which}, stops at step {trial.steps[-1]:,}"
    promote = f"`loratui try promote {experiment.name} {trial.number}` trains it to the end"
    if trial.state == "open":
        told = under_way(experiment, trial)
        at = f" at step {trial.until:,}" if told == WAITS else ""
        return f"{stops}: {told}{at}. Once they are compared, {promote}."
    if trial.state in ("failed", "too big"):
        return f"{stops}: {trial.state}: {trial.why}"
    rung = trial.steps[len(trial.losses) - 1] if trial.losses else 0
    if status.step > rung or not status.over or status.state == "finished":
        return f"{which}, compared at step {rung:,} and trained on from there."
    if trial.state == "best":
        return f"{stops}: the best of them. {promote}."
    half = len(trial.losses) < len(trial.steps)
    left = "left off by the halving" if half else "not the best"
    return f"{stops}: {left} at step {rung:,}, where others lost less. {promote}."
