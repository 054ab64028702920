"""What a diagnosis looks at, and what it says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from loratui.core.series import smooth

Severity = Literal["note", "warning", "error"]


@dataclass(frozen=True)
class Curves:
    """A run so far; of a long one, some of its steps. All per-step lists are as long as `steps`; NaN stands for a value that is missing.

    steps: optimizer steps, ascending, from 1. losses: training loss of each. grad_norms: before clipping. eval_steps,
    eval_losses: the evaluations. total_steps: planned. steps_per_epoch: 0 where unknown. finished: nothing more comes.
    proposed: what the calculation would propose for this run's plan keys; empty where that is not known. eval_rows,
    train_rows: held-out and training rows, 0 where unknown. bf16: whether the device computes in bfloat16; None where unknown.
    """

    steps: Sequence[int]
    losses: Sequence[float]
    grad_norms: Sequence[float] = ()
    learning_rates: Sequence[float] = ()
    eval_steps: Sequence[int] = ()
    eval_losses: Sequence[float] = ()
    total_steps: int = 0
    steps_per_epoch: int = 0
    finished: bool = False
    proposed: Mapping[str, Any] = field(default_factory=dict)
    eval_rows: int = 0
    train_rows: int = 0
    bf16: bool | None = None

    @cached_property
    def span(self) -> int:
        """Steps over which the loss is averaged: a 25th of the run, from 5 to 50."""
        return max(5, min(50, max(self.total_steps, len(self.steps)) // 25))

    @cached_property
    def smoothed(self) -> list[float]:
        """The training loss, averaged; passes over what is not finite."""
        return smooth(self.losses, self.span)

    @cached_property
    def evaluations(self) -> list[tuple[int, float]]:
        """(step, loss) of every evaluation with a finite loss."""
        pairs = zip(self.eval_steps, self.eval_losses, strict=True)
        return [(step, loss) for step, loss in pairs if math.isfinite(loss)]

    def window(self, start: float, end: float) -> list[float]:
        """Finite losses between two shares (0..1) of the steps so far."""
        count = len(self.losses)
        return [loss for loss in self.losses[int(start * count) : max(int(end * count), int(start * count) + 1)] if math.isfinite(loss)]


@dataclass(frozen=True)
class Fix:
    """One way to mend it. changes: plan keys and their new values; empty for what only a person can check.

    restart: from the base and step 0, even where a checkpoint could take the changes.
    """

    advice: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    restart: bool = False


@dataclass(frozen=True)
class Finding:
    """What is going on, since when, and what would mend it, the best fix first.

    kind is stable, for scripts and tests. since_step: the optimizer step at which it began.
    """

    kind: str
    severity: Severity
    message: str
    since_step: int
    fixes: tuple[Fix, ...] = ()


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean, in the values' own unit; NaN of nothing."""
    return sum(values) / len(values) if values else math.nan


def median(values: Sequence[float]) -> float:
    """Middle value, in the values' own unit; NaN of nothing."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if not ordered:
        return math.nan
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
