"""Whether a training has diverged beyond doubt, step by step: what a worker stops itself for.

Much stricter than the finding `diverging`, which only warns: nobody may lose a night's run to a noisy hour.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

WINDOW = 30
"""Steps over which the loss is averaged."""
LEAST_STEPS = 2 * WINDOW
TIMES = 2.0
NATS = 1.0
FIRST_STEPS = 10
"""At the beginning, where a loss that blew up is still on its way."""
STAYS = 60
"""Steps in a row, every single one above the start, after which a loss does not come back."""
ABOVE_SHARE, ABOVE_NATS = 1.2, 0.2
DEVIATIONS = 5.0
"""How far the start lies below the losses since then, in their own standard deviations: it was not just one easy
batch.
"""
BURST_TIMES, BURST_NATS = 3.0, 5.0
"""A mean so far above the start needs no patience: ln(150,000 tokens) is 12, and a guess is not that bad."""
HEALTHY_SHARE, HEALTHY_NATS = 1.1, 0.1
SHORT = 3
SHORT_SHARE, SHORT_NATS = 1.25, 0.25
"""Of the last 3 steps: an average of 10 sees a climb too late."""


class DivergenceWatch:
    """Two ways to have diverged: the mean loss of the last 30 steps is twice the lowest such mean before, and one
    nat more; or the loss blew up at the start and every step of the last 60 is well above where it began.

    Its whole state follows from the (step, loss) pairs, so that `of` rebuilds it when a run goes on.
    """

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=WINDOW)
        self._since: deque[float] = deque(maxlen=STAYS)
        self._steps = 0
        self.start = math.nan
        """The first step's loss: what the untrained weights know. NaN where the run's first step was not seen."""
        self.lowest = math.inf
        """Lowest mean of 30 steps in a row so far."""
        self._healthy = 0
        self._came_back = False
        self.reason = ""
        """Why it counts as diverged, in one sentence; empty while it does not."""

    @classmethod
    def of(cls, history: Iterable[tuple[int, float]]) -> DivergenceWatch:
        """The watch as it was after these steps, of which none had diverged."""
        watch = cls()
        for step, loss in history:
            watch.diverged(step, loss)
        watch.reason = ""
        return watch

    @property
    def mean(self) -> float:
        """Mean of the last steps; infinite before there is one."""
        return sum(self._last) / len(self._last) if self._last else math.inf

    @property
    def healthy_step(self) -> int:
        """The last step whose weights are as good as any before: what was saved later is spoilt. 0 where none are,
        not even the first's.
        """
        return self._healthy

    def diverged(self, step: int, loss: float) -> bool:
        """Take up the loss of a step, and say whether the training has diverged by now. What is not finite is passed
        over.
        """
        if not math.isfinite(loss):
            return False
        if self._steps == 0 and step == 1:
            self.start = loss
        self._steps += 1
        self._last.append(loss)
        if self._steps > FIRST_STEPS:
            self._since.append(loss)
            self._came_back = self._came_back or not self._above(loss)
        if len(self._last) == WINDOW and self.mean < self.lowest:
            self.lowest = self.mean
        if self._is_healthy():
            self._healthy = step - 1  # a step's loss is that of the weights before its update
        self.reason = self._climbed() or self._blew_up()
        return bool(self.reason)

    def _is_healthy(self) -> bool:
        """As low as at any time before, and not above the start."""
        recent = list(self._last)[-FIRST_STEPS:]
        now, newest = sum(recent) / len(recent), sum(recent[-SHORT:]) / len(recent[-SHORT:])
        floor = min(self.lowest, self.start) if math.isfinite(self.start) else self.lowest
        if not math.isfinite(floor):
            return True
        return now <= max(HEALTHY_SHARE * floor, floor + HEALTHY_NATS) and newest <= max(
            SHORT_SHARE * floor, floor + SHORT_NATS
        )

    def _climbed(self) -> str:
        if self._steps < LEAST_STEPS or not self.mean > max(TIMES * self.lowest, self.lowest + NATS):
            return ""
        return (
            f"The loss was {self.lowest:.3g} over {WINDOW} steps and is {self.mean:.3g} over the last {WINDOW}: "
            "the training diverged."
        )

    def _above(self, loss: float) -> bool:
        return loss > max(ABOVE_SHARE * self.start, self.start + ABOVE_NATS)

    def _blew_up(self) -> str:
        if not math.isfinite(self.start) or self._came_back or len(self._since) < WINDOW:
            return ""
        values = list(self._since)
        mean = sum(values) / len(values)
        burst = self.mean > max(BURST_TIMES * self.start, self.start + BURST_NATS)
        if len(values) < STAYS and not burst:
            return ""
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
        if not burst and mean - DEVIATIONS * deviation < self.start:
            return ""
        return (
            f"The loss began at {self.start:.3g} and has stayed above that since step {FIRST_STEPS}, at "
            f"{self.mean:.3g} now: the training diverged at once."
        )
