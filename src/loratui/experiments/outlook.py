"""What an experiment will take before it begins: each trial's memory and time here, and those of the whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loratui.core.errors import InputError
from loratui.format import size

if TYPE_CHECKING:
    from loratui.core.plan import Plan
    from loratui.core.proposal import Proposal
    from loratui.core.situation import Situation
    from loratui.experiments.directory import Trial
    from loratui.experiments.question import Question


@dataclass(frozen=True)
class Outlook:
    """The trials, and what they take. seconds: shortest and longest of the whole, None where the machine's speed is not
    known. steps_made: by all trials that fit; steps_to_the_end: of the same trials, had each its plan's length.
    """

    trials: list[Trial]
    seconds: tuple[float, float] | None
    basis: str
    memory: int
    budget: int
    steps_made: int
    steps_to_the_end: int
    total_steps: int


def outlook(question: Question, situation: Situation) -> Outlook:
    """Plan every trial on the model, rows and device of `situation`. Raises LoratuiError where the plan cannot be
    calculated, InputError where no two trials fit, or nothing would compare them.
    """
    from loratui.core.trial_time import seconds_until
    from loratui.experiments.directory import Trial
    from loratui.experiments.rungs import rungs, usual_steps

    plan, settings, seeds, name = question.plan, question.settings, question.seeds, question.name
    base, *proposals = _proposals(plan, settings, situation)
    total, warmup = base.schedule.total_steps, base.schedule.warmup_steps
    _require_judged(plan, base)
    steps = question.steps or usual_steps(total, warmup)
    if steps > total:
        raise InputError(
            f"a trial cannot make {steps:,} steps: the plan has {total:,}.", where="--steps", hint="Give fewer."
        )
    fitting = sum(one.verdict != "too big" for one in proposals)
    at = rungs(steps, max(2, fitting), warmup=warmup)
    trials, costs = [], [[(0.0, 0.0)] * len(at) for _ in proposals]
    timed = all(one.time is not None for one in proposals)
    for number, (values, found) in enumerate(zip(settings, proposals, strict=True), 1):
        own = [max(1, round(step * found.schedule.total_steps / total)) for step in at]
        own = [max(step, rung + 1) for rung, step in enumerate(own)]
        for rung, step in enumerate(own):
            if found.time is not None:
                costs[number - 1][rung] = seconds_until(found.time, found.plan, step, starts=rung + 1)
        state, why = ("open", _tight(found)) if found.verdict != "too big" else ("too big", _too_large(found))
        seconds = sum(costs[number - 1][-1]) / 2 / len(at)
        suffixes = [""] if len(seeds) == 1 else [f"-s{seed}" for seed in seeds]
        runs = [f"{name}-{number}{suffix}" for suffix in suffixes]
        memory = found.memory.upper_bytes
        trials.append(Trial(number, dict(values), own, runs, state=state, why=why, seconds=seconds, memory=memory))
    going = [one for one in trials if one.state == "open"]
    if len(going) < 2:
        words = "; ".join(f"trial {one.number}: {one.why}" for one in trials if one.state != "open")
        raise InputError(f"fewer than two trials fit here ({words}).", hint="Vary what needs less memory.")
    return Outlook(
        trials,
        _whole(going, costs, len(seeds)) if timed else None,
        base.time.basis if base.time is not None else "",
        max(one.memory for one in going),
        base.budget.bytes,
        _made(going, len(seeds)),
        sum(one.schedule.total_steps for one in proposals if one.verdict != "too big") * len(seeds),
        total,
    )


def _proposals(plan: Plan, settings: Sequence[Mapping[str, Any]], situation: Situation) -> list[Proposal]:
    from loratui.core.plan_text import fields
    from loratui.core.proposal import propose

    values = {key: plan.get(key) for key in fields()}
    return [propose(situation, by_hand={**values, **one}) for one in ({}, *settings)]


def _require_judged(plan: Plan, base: Proposal) -> None:
    if not plan.evaluation.every_steps:
        raise InputError(
            "evaluation.every_steps = 0: nothing would compare the trials.",
            where="plan",
            hint="Trials are compared on the held-out rows: set how often they are evaluated.",
        )
    if not base.data.eval_examples:
        raise InputError(
            "no row is held out: nothing would compare the trials.", where="plan", hint="Set dataset.eval_fraction."
        )


def _too_large(found: Proposal) -> str:
    return f"it needs {size(found.memory.total_bytes)}, and {size(found.budget.bytes)} are free here"


def _tight(found: Proposal) -> str:
    if found.fits:
        return ""
    return f"it is tight: {size(found.memory.total_bytes)} of {size(found.budget.bytes)}, and it may need more"


def _going(trials: Sequence[Trial]) -> list[int]:
    """How many trials are on their way to each rung."""
    found = [len(trials)]
    for _ in trials[0].steps[1:]:
        found.append(max(1, found[-1] // 2))
    return found


def _whole(trials: Sequence[Trial], costs: Sequence[Sequence[tuple[float, float]]], seeds: int) -> tuple[float, float]:
    """Of those that go on nobody knows which they will be: they cost what the mean trial does."""
    low = high = 0.0
    for rung, going in enumerate(_going(trials)):
        for trial in trials:
            here = costs[trial.number - 1][rung]
            before = costs[trial.number - 1][rung - 1] if rung else (0.0, 0.0)
            low += (here[0] - before[0]) * going / len(trials) * seeds
            high += (here[1] - before[1]) * going / len(trials) * seeds
    return low, high


def _made(trials: Sequence[Trial], seeds: int) -> int:
    made = 0.0
    for rung, going in enumerate(_going(trials)):
        each = [one.steps[rung] - (one.steps[rung - 1] if rung else 0) for one in trials]
        made += sum(each) * going / len(trials) * seeds
    return round(made)
