"""Other runs whose results can answer beside this one's: those on the same base. Reads files: for a thread."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from loratui.core.errors import LoratuiError
from loratui.runs.listing import list_runs
from loratui.workers.target import Target, held_alike, of_run

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
        if why := held_alike(target, other):
            found.refused[other.title] = f"{why} `loratui evaluate --against` compares them."
        elif other.base_changed:  # one line has room for what is wrong with the run that is asked, not with each beside
            found.refused[other.title] = f"{other.title}: {other.base_changed}"
        else:
            found.fitting[other.title] = other.result
    return found
