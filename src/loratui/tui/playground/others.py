"""Other runs whose results can answer beside this one's: those on the same base. Reads files: for a thread."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from loratui.core.errors import LoratuiError
from loratui.runs.listing import list_runs
from loratui.workers.target import Target, of_run

MOST = 20
"""Runs that are looked at, the newest first."""


@dataclass(frozen=True)
class Others:
    """fitting: folders of other runs' results by the run's name. refused: why another run's cannot answer here."""

    fitting: dict[str, Path] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)


def other_runs(target: Target) -> Others:
    """The other runs of this machine that have something to ask."""
    found = Others()
    for summary in list_runs()[:MOST]:
        if target.run is not None and summary.run.path == target.run.path:
            continue
        try:
            other = of_run(summary.run)
        except LoratuiError:
            continue  # a run that cannot be read is told of on Home
        if other.result is None or other.title in (*target.sides, *target.checkpoints):
            continue
        if why := _differing(target, other):
            found.refused[other.title] = why
        else:
            found.fitting[other.title] = other.result
    return found


def _differing(target: Target, other: Target) -> str:
    """Why the other's result cannot be put on the base that is held here; "" where it can."""
    one, two = target.load, other.load
    if (one.base, one.revision) != (two.base, two.revision):
        there = Path(two.base).name
        return f"{other.title} was trained on another base ({there}): `loratui evaluate --against` compares them."
    if replace(one, sides={}) != replace(two, sides={}):
        return (
            f"{other.title} holds the same base in another way (quantised, in another number format or template): "
            "`loratui evaluate --against` compares them."
        )
    return ""
