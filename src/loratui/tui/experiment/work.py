"""What takes its time: called in threads, each returns a value or raises an error with one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from loratui.core.errors import LoratuiError
from loratui.experiments.directory import Experiment, experiments, find_experiment

if TYPE_CHECKING:
    from loratui.core.plan import Plan
    from loratui.core.situation import Situation
    from loratui.experiments.directory import Trial
    from loratui.experiments.outlook import Outlook
    from loratui.experiments.question import Question
    from loratui.runs.directory import Run


@dataclass(frozen=True)
class Asked:
    """What is to be tried of a plan. varied: values by key, as they are typed. steps: of a trial, 0 for the usual
    share. most: so many of the combinations, None for all.
    """

    plan: Plan
    varied: Mapping[str, str]
    seeds: int = 1
    steps: int = 0
    most: int | None = None

    def question(self) -> Question:
        """The same as `loratui try` asks it. Raises LoratuiError."""
        from loratui.experiments.question import ask

        vary = [f"{key}={text}" for key, text in self.varied.items()]
        return ask(self.plan, vary, seeds=self.seeds, steps=self.steps, most=self.most)


@dataclass(frozen=True)
class Look:
    """An experiment as it stands. rows: as `table_rows` gives them. numbers: of its trials, in the order of the rows.
    best: the number of the best one so far, 0 for none. runs: of each trial by number. state: in words.
    """

    name: str
    state: str
    open: bool
    over: bool
    rows: list[list[str]]
    numbers: list[int]
    best: int
    chart: list[str]
    verdict: list[str]
    runs: dict[int, list[str]] = field(default_factory=dict)


def outlook_of(asked: Asked, situation: Situation) -> tuple[Question, Outlook]:
    """What the trials take before they begin. Raises LoratuiError."""
    from loratui.experiments.outlook import outlook

    question = asked.question()
    return question, outlook(question, situation)


def begin(question: Question, seen: Outlook) -> Experiment:
    """Begin it, or go on with the one that asks the same; its trials wait in this machine's queue, which goes on
    without this program. Raises LoratuiError.
    """
    from loratui.experiments.advance import go_on
    from loratui.experiments.question import known, written
    from loratui.queue.wake import wake

    experiment = known(question) or written(question, seen.trials)
    go_on(experiment)
    wake()
    return experiment


def look_at(name: str) -> Look:
    """An experiment as it stands now; whoever looks sees to it that it is watched. Raises LoratuiError."""
    from loratui.evaluation.experiment import compare
    from loratui.evaluation.experiment_table import chart_of, table_rows, verdict_lines
    from loratui.experiments.words import state_of
    from loratui.queue.wake import wake

    experiment = find_experiment(name)
    wake()
    found = compare(experiment)
    return Look(
        experiment.name,
        state_of(experiment, found.over),
        experiment.is_open,
        found.over,
        table_rows(experiment, found),
        [one.trial.number for one in found.trials],
        found.best.trial.number if found.best is not None else 0,
        chart_of(found),
        verdict_lines(found),
        {one.trial.number: one.trial.runs for one in found.trials},
    )


def resumed(name: str) -> None:
    """Let an experiment go on. Raises LoratuiError."""
    from loratui.experiments.advance import go_on
    from loratui.queue.wake import wake

    go_on(find_experiment(name))
    wake()


def stopped(name: str) -> list[str]:
    """Let nothing of it go on; the runs that were at work or waited. Raises LoratuiError."""
    from loratui.experiments.advance import halt

    return halt(find_experiment(name))


def trial_of(name: str, number: int) -> tuple[Experiment, Trial, Plan]:
    """A trial of an experiment, and its plan. Raises LoratuiError."""
    from loratui.evaluation.promoted import chosen_trial, plan_of

    experiment = find_experiment(name)
    trial = chosen_trial(experiment, number)
    return experiment, trial, plan_of(experiment, trial)


def run_of(name: str, number: int) -> Run:
    """The run of a trial, to be trained to its full length. Raises LoratuiError."""
    from loratui.evaluation.promoted import chosen_trial, run_to_the_end

    experiment = find_experiment(name)
    return run_to_the_end(experiment, chosen_trial(experiment, number))


@dataclass(frozen=True)
class Listed:
    """An experiment in a list: what varies, and how it stands, in words."""

    name: str
    state: str
    varies: str
    created: float = 0.0


def listed() -> list[Listed]:
    """All experiments, the newest first; of one that cannot be read, why."""
    from loratui.experiments.words import state_of, trials_words, varied_words

    found = []
    for one in experiments():
        try:
            facts, trials = one.facts(), one.trials()
            over = all(trial.state != "open" for trial in trials)
            varies = f"{varied_words(facts['vary'])}: {trials_words(len(trials), len(facts['seeds']))}"
            found.append(Listed(one.name, state_of(one, over), varies, float(facts.get("created") or 0.0)))
        except LoratuiError as error:
            found.append(Listed(one.name, "cannot be read", error.sentence))
    return sorted(found, key=lambda one: -one.created)
