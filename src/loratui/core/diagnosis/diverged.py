"""Whether a training has diverged beyond doubt, step by step: what a worker stops itself for.

Much stricter than the finding `diverging`, which only warns: nobody may lose a night's run to a noisy hour.
"""

from __future__ import annotations

import math
from collections import deque

WINDOW = 30
"""Steps over which the loss is averaged."""
LEAST_STEPS = 2 * WINDOW
TIMES = 2.0
NATS = 1.0


class DivergenceWatch:
    """Compares the mean loss of the last 30 steps with the lowest such mean before: diverged from twice as much, and one nat more."""

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=WINDOW)
        self._steps = 0
        self.lowest = math.inf
        """Lowest mean of 30 steps in a row so far."""
        self.lowest_step = 0
        """The step at which those 30 ended: what was saved later is spoilt."""

    @property
    def mean(self) -> float:
        """Mean of the last steps; infinite before there is one."""
        return sum(self._last) / len(self._last) if self._last else math.inf

    def diverged(self, step: int, loss: float) -> bool:
        """Take up the finite loss of a step, and say whether the training has diverged by now."""
        self._last.append(loss)
        self._steps += 1
        if len(self._last) < WINDOW:
            return False
        if self.mean < self.lowest:
            self.lowest, self.lowest_step = self.mean, step
        return self._steps >= LEAST_STEPS and self.mean > max(TIMES * self.lowest, self.lowest + NATS)
