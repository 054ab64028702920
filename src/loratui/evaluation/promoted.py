"""The trial that an experiment ends with: the best one, or the one that a person names; its run, and its plan."""

from __future__ import annotations

from loratui.core.errors import RunError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.evaluation.experiment import compare
from loratui.experiments.directory import Experiment, Trial
from loratui.runs.directory import Run


def chosen_trial(experiment: Experiment, number: int | None = None) -> Trial:
    """The trial of this number; without one the best so far. RunError where there is none."""
    best = compare(experiment).best if number is None else None
    wanted = number or (best.trial.number if best is not None else 0)
    found = next((one for one in experiment.trials() if one.number == wanted), None)
    if found is None:
        words = f"there is no trial {number}" if number else "no trial was compared yet"
        raise RunError(f"{words}.", where=experiment.name, hint=f"`loratui try show {experiment.name}` lists them.")
    return found


def plan_of(experiment: Experiment, trial: Trial) -> Plan:
    """The experiment's plan with the values of a trial."""
    return with_values(experiment.plan(), trial.values)


def run_to_the_end(experiment: Experiment, trial: Trial) -> Run:
    """The trial's run, to be trained to its full length. RunError where it is still being compared, or never began."""
    if experiment.is_open and trial.state == "open":
        hint = f"Wait for its end, or end it: loratui try stop {experiment.name}"
        raise RunError(f"trial {trial.number} is still being compared.", where=experiment.name, hint=hint)
    run = experiment.run(trial.runs[0])
    if not run.plan_path.is_file():
        raise RunError(f"trial {trial.number} has no run: {trial.why or 'it never began'}.", where=experiment.name)
    return run
