"""What went wrong last in a run, as its events tell, and whether the fix after it has been judged."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
