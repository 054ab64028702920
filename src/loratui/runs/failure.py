"""What went wrong last in a run, as its events tell, and whether the fix after it has been judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from loratui.core.plan import Plan
from loratui.core.plan_text import fields
from loratui.format import value_text
from loratui.runs.events import Event, Failed, Finding, Fix, FixOutcome, Oom, Started

SPOILT = frozenset({"diverged", "loss-nan", "gradient-nan", "diverging", "not-finite"})
"""Kinds of finding after which weights are not gone on from: the worker's own, and those that the curves show."""
ENDING = SPOILT | {"disk-full"}


@dataclass(frozen=True)
class Trouble:
    """reason: a finding's kind or a failure's code. step: the last step before it. where: load, step, evaluation,
    generation or save.
    """

    reason: str
    step: int = 0
    where: str = ""


def trouble_of(events: Iterable[Event]) -> Trouble | None:
    """What ended the last worker; None where nothing did, or where a fix has been applied since."""
    found: Trouble | None = None
    for event in events:
        match event:
            case Started() | Fix():
                found = None
            case Oom():
                found = Trouble("oom", event.step, event.where)
            case Finding() if event.finding in ENDING and event.severity == "error":
                found = Trouble(event.finding, event.step)
            case Failed() if found is None:
                found = Trouble(event.code, event.step, event.where)
    return found


def pending_fix(events: Iterable[Event]) -> Fix | None:
    """The last fix, while nobody knows yet whether it helped."""
    found: Fix | None = None
    for event in events:
        if isinstance(event, Fix):
            found = event
        elif isinstance(event, FixOutcome):
            found = None
    return found


def failed_fixes(events: Iterable[Event]) -> list[Fix]:
    """The fixes that are known not to have helped, the oldest first."""
    found: list[Fix] = []
    last: Fix | None = None
    for event in events:
        if isinstance(event, Fix):
            last = event
        elif isinstance(event, FixOutcome) and last is not None:
            found += [] if event.helped else [last]
            last = None
    return found


def was_tried(fixes: Iterable[Fix], changes: Mapping[str, Any], restart: bool) -> bool:
    """Whether one of these put in the same values, and began at least as early: a second time it mends no more."""
    return bool(changes) and any(
        all(key in fix.changes and fix.changes[key][1] == value for key, value in changes.items())
        and (fix.start == "anew" or not restart)
        for fix in fixes
    )


@dataclass(frozen=True)
class Standing:
    """A value that a fix has left in the plan although it did not help. reason: what that fix was against."""

    key: str
    before: Any
    now: Any
    reason: str

    @property
    def may_go_back(self) -> bool:
        """Whether the value of before is not itself what went wrong: a higher rate, or one that needs more memory."""
        return self.reason != "oom" and not (self.reason in SPOILT and self.key == "training.learning_rate")


def still_standing(plan: Plan, failed: Iterable[Fix]) -> list[Standing]:
    """What fixes that did not help have left in the plan, each with its value from before the first of them."""
    found: dict[str, Standing] = {}
    for fix in failed:
        for key, (old, new) in fix.changes.items():
            found[key] = Standing(key, found[key].before if key in found else old, new, fix.reason)
    return [one for one in found.values() if one.key in fields() and plan.get(one.key) == one.now != one.before]


def standing_words(standing: Iterable[Standing]) -> str:
    """`Still in the plan, though it did not help: training.max_grad_norm 0.3 (it was 1).`; empty for nothing."""
    told = ", ".join(f"{one.key} {value_text(one.now)} (it was {value_text(one.before)})" for one in standing)
    return f"Still in the plan, though it did not help: {told}." if told else ""
