"""What a diagnosis looks at, and what it says."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

from loratui.core.diagnosis.divergence import DivergenceWatch
from loratui.core.early_stopping import Change
from loratui.core.smoothing import smooth

FIRST_STEPS = 5
"""A curve that begins by then shows where the loss began."""
NOISE_STEPS = 200
NORMAL_JUMP = 1.05
"""Standard deviation over the median jump between neighbours, of normal noise: 1 / (0.6745 √2)."""
ROW_SPREAD = 0.1
"""Assumed share of the loss by which a row's change from one evaluation to the next deviates."""

Severity = Literal["note", "warning", "error"]


@dataclass(frozen=True)
class Curves:
    """A run so far; of a long one, some of its steps. All per-step lists are as long as `steps`; NaN stands for a
    value that is missing.

    steps: optimizer steps, ascending, from 1. losses: training loss of each. grad_norms: before clipping. eval_steps,
    eval_losses: the evaluations after them. base_loss: of that before the first one, NaN where there is none.
    total_steps: planned. steps_per_epoch: 0 where unknown. finished: nothing more comes. proposed: what the
    calculation would propose for this run's plan keys; empty where that is not known. eval_rows: held-out rows, 0
    where unknown. trained_tokens: tokens an epoch that bear loss. bf16: whether the device computes in bfloat16. None
    where unknown. chosen_rewards, margins, orders: where preferences are learnt, of each step the chosen answers'
    reward, how far it is above the rejected ones', and the share of its pairs in the right order. kls: KTO's, in nats
    an answer. log_odds: ORPO's, of chosen over rejected answers. changes: of each evaluation how it stands beside the
    best one before it, by its rows; None where they are not known, and empty in older runs. part_changes: of the newest
    one, how each part of a mix stands beside its own lowest before.
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
    trained_tokens: int | None = None
    bf16: bool | None = None
    chosen_rewards: Sequence[float] = ()
    margins: Sequence[float] = ()
    orders: Sequence[float] = ()
    kls: Sequence[float] = ()
    log_odds: Sequence[float] = ()
    base_loss: float = math.nan
    changes: Sequence[Change | None] = ()
    part_changes: Mapping[str, Change] = field(default_factory=dict)

    @cached_property
    def span(self) -> int:
        """Steps over which the loss is averaged: a 25th of the run, from 5 to 50."""
        return max(5, min(50, max(self.total_steps, len(self.steps)) // 25))

    @property
    def reached_end(self) -> bool:
        """Whether the last planned step was made: from there no run can be stopped early."""
        return self.finished and bool(self.steps) and self.steps[-1] >= self.total_steps

    @property
    def start_loss(self) -> float:
        """Loss of the first steps, before anything was learnt; NaN where the curve does not show them."""
        seen = bool(self.steps) and self.steps[0] <= FIRST_STEPS
        return next((loss for loss in self.losses if math.isfinite(loss)), math.nan) if seen else math.nan

    def healthy_step(self, before: int | None = None) -> int:
        """The last step (before one that is known to be broken) whose weights were as good as any; 0 where none
        were.
        """
        seen = [
            (step, loss) for step, loss in zip(self.steps, self.losses, strict=True) if before is None or step < before
        ]
        judged = [(step, loss) for step, loss in self.evaluations if before is None or step < before]
        return DivergenceWatch.of(seen, judged).healthy_step

    @cached_property
    def divergence(self) -> tuple[str, int]:
        """Why it has diverged beyond doubt, as its worker judges, and the last step whose weights were healthy then;
        an empty reason where it has not.
        """
        watch, last = DivergenceWatch(), self.eval_steps[-1] if self.finished and self.eval_steps else 0
        steps = zip(self.steps, self.losses, strict=True)
        diverged = any(watch.follow(steps, self.evaluations, last=last if last >= self.steps[-1] else 0))
        return (watch.reason, watch.healthy_step) if diverged else ("", 0)

    @cached_property
    def noise(self) -> float:
        """Standard deviation of one step's loss around its trend, from the jumps between neighbours; 0 of fewer than
        5.
        """
        finite = [loss for loss in self.losses if math.isfinite(loss)]
        jumps = [abs(one - other) for one, other in pairwise(finite[-NOISE_STEPS:])]
        return NORMAL_JUMP * median(jumps) if len(jumps) >= 4 else 0.0

    @cached_property
    def evaluation_noise(self) -> float:
        """By how much evaluation losses move without meaning: the largest step back between neighbours on the way
        down to the best and up again, and what so few rows leave uncertain.
        """
        losses = [loss for _, loss in self.evaluations]
        if not losses:
            return 0.0
        best = losses.index(min(losses))
        back = [later - earlier for earlier, later in pairwise(losses[: best + 1])] + [
            earlier - later for earlier, later in pairwise(losses[best:])
        ]
        return max([0.0, *back, self.rows_noise(losses[best])])

    def since_best(self) -> Change | None:
        """How the newest evaluation stands beside the best one, by their rows; None where those are not known, or the
        newest is the best.
        """
        newest, points = (self.changes[-1] if self.changes else None), self.evaluations
        if newest is None or not points or self.eval_steps[-1] != points[-1][0]:
            return None
        best = min(points, key=lambda point: point[1])[0]
        return newest if newest.step == best else None

    def rows_noise(self, loss: float) -> float:
        """What so few held-out rows leave uncertain of a difference from this loss: its standard deviation."""
        return ROW_SPREAD * loss / math.sqrt(self.eval_rows) if self.eval_rows else 0.0

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
        return [
            loss
            for loss in self.losses[int(start * count) : max(int(end * count), int(start * count) + 1)]
            if math.isfinite(loss)
        ]


@dataclass(frozen=True)
class Fix:
    """One way to mend it. changes: plan keys and their new values; empty for what only a person can check.

    restart: from the base and step 0, even where a checkpoint could take the changes. sure: it takes away what was
    found; the others may help.
    """

    advice: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    restart: bool = False
    sure: bool = True


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
    sound: int | None = None
    """The last step whose weights are sound, 0 where none are; None where nothing is spoilt."""


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
