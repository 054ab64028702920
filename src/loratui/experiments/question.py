"""What an experiment asks: a plan, the values that are tried, seeds, steps. Refused in one sentence before anything is
written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from loratui.core.errors import InputError, RunError
from loratui.core.plan import Plan
from loratui.experiments.begin import begin, experiment_name, require_name
from loratui.experiments.directory import Experiment, Trial
from loratui.experiments.vary import read_varied, require_free, seeds_of, settings
from loratui.paths import experiments_home
from loratui.runs.start import with_absolute_paths


@dataclass(frozen=True)
class Question:
    """steps: of a trial of the plan's own batches, 0 for a usual share of its length. most: so many of the combinations
    are drawn; None for all of them. settings: the values of each trial.
    """

    name: str
    plan: Plan
    varied: dict[str, list[Any]]
    settings: list[dict[str, Any]]
    seeds: list[int]
    steps: int = 0
    most: int | None = None

    @property
    def asked(self) -> list[int | None]:
        """What was asked beside values and seeds."""
        return [self.steps, self.most]


def ask(
    plan: Plan,
    vary: Sequence[str],
    *,
    seeds: int = 1,
    steps: int = 0,
    most: int | None = None,
    name: str | None = None,
    where: str = "",
) -> Question:
    """The question that `KEY=VALUE,VALUE` for each varied key asks of a plan. where: the plan's file, for what is said.
    LoratuiError where it cannot be asked.
    """
    if plan.cluster.engine:
        hint = "Trials wait in the queue of one machine: set cluster.engine to nothing and plan for it."
        raise InputError("this plan is for a scheduler.", where=where, hint=hint)
    if not plan.dataset.named:
        raise InputError("no dataset is chosen.", where=where, hint="Add --set dataset.path=DATASET.")
    varied = read_varied(vary)
    require_free(plan, varied)
    found = settings(plan, varied, seeds=seeds, most=most)
    numbers = seeds_of(plan, seeds)
    called = require_name(name) if name else experiment_name(plan, varied, numbers, [steps, most])
    return Question(called, plan, varied, found, numbers, steps, most)


def known(question: Question) -> Experiment | None:
    """The experiment that asks this already; None where there is none. RunError where one of its name asks something
    else.
    """
    found = Experiment(experiments_home() / question.name)
    if not found.path.exists():
        return None
    facts = found.facts()
    wanted = {"vary": question.varied, "seeds": question.seeds, "asked": question.asked}
    other = any(facts.get(key) != value for key, value in wanted.items())
    if other or found.plan() != with_absolute_paths(question.plan):
        raise RunError(f"experiment {question.name} asks something else.", hint="Give another --name.")
    return found


def written(question: Question, trials: Sequence[Trial]) -> Experiment:
    """The experiment that asks this, new, with the trials of its outlook; nothing of it goes on yet. RunError where it
    cannot be written.
    """
    return begin(question.name, question.plan, question.varied, question.seeds, trials, question.asked)
