"""Which evaluation of a run is its best, and how its figures are told: the one owner of that for lists, screens,
comparisons and advice.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Protocol, TypeVar

from loratui.runs.events import Eval


class Judged(Protocol):
    """An evaluation, however it was read."""

    @property
    def loss(self) -> float | None:
        """The loss on the held-out rows; None where it was not told."""


Evaluation = TypeVar("Evaluation", bound=Judged)


def best_of(evaluations: Iterable[Evaluation]) -> Evaluation | None:
    """The first with the least held-out loss. None where none has a loss that is a number.

    The evaluation before the first step belongs to what the run began with, not to the run: leave it out.
    """
    known = [(one.loss, number, one) for number, one in enumerate(evaluations) if one.loss is not None]
    sound = [one for one in known if math.isfinite(one[0])]
    return min(sound, key=lambda one: one[:2])[2] if sound else None


def exact_match_words(event: Eval) -> str:
    """`12% of 25 rows`: of the answers that were generated, how many equal the written one; empty where none were. Of
    an event that does not tell how many (before 2026-11), the share alone.
    """
    if event.exact_match is None:
        return ""
    rows = f" of {event.generated:,} row{'s' if event.generated != 1 else ''}" if event.generated else ""
    return f"{event.exact_match:.0%}{rows}"
