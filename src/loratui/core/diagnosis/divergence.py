"""Whether a training has diverged beyond doubt, step by step: what a worker stops itself for.

Much stricter than the finding `diverging`, which only warns: nobody may lose a night's run to a noisy hour.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from statistics import fmean, pstdev

WINDOW = 30
"""Steps over which the loss is averaged."""
LEAST_STEPS = 2 * WINDOW
TIMES = 2.0
NATS = 1.0
FIRST_STEPS = 10
"""At the beginning, where a loss that blew up is still on its way."""
LEVEL_STEPS = 5
"""The highest loss of the first ones is what a later climb is held against: one easy first batch decides nothing."""
STAYS = 60
"""Steps in a row, every single one above the start, after which a loss does not come back, whenever they began."""
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
HELD_OUT_TIMES, HELD_OUT_NATS = 3.0, 1.0
"""How far above its lowest the held-out loss has to stand at two evaluations in a row, or at the last one."""
RUINED_STEPS, RUINED_SHARE, RUINED_NATS, RUINED_DEVIATIONS = 8, 1.5, 1.0, 18.0
"""At the end of a run: its last steps and its last evaluation all so far above the start, and so many standard
deviations of those steps: an easy first batch among noisy ones is no reason.
"""
TRAINING_SHARE, TRAINING_NATS = 1.25, 0.25
"""By how much the training loss has to have climbed with it: where that falls on, the rows are learnt by heart."""


def ruined(start: float, later: Sequence[float]) -> bool:
    """Whether a run that ends with these losses knows much less than it did before its first step, whose loss was
    `start`: each of the last 8 steps is far above it, and their scatter does not explain that.
    """
    recent = [loss for loss in later if math.isfinite(loss)][-RUINED_STEPS:]
    if not math.isfinite(start) or len(recent) < RUINED_STEPS:
        return False
    scatter = pstdev([after - before for before, after in pairwise(recent)]) / math.sqrt(2)  # a trend is none
    return min(recent) > _ruin(start) and fmean(recent) - RUINED_DEVIATIONS * scatter > start


def _ruin(start: float) -> float:
    return max(RUINED_SHARE * start, start + RUINED_NATS)


class DivergenceWatch:
    """Four ways to have diverged: the mean loss of the last 30 steps is twice the lowest such mean before, and one
    nat more; every step of the last 60 is well above where the loss began, early or late; the held-out loss is several
    times its lowest, and the training loss climbed with it; or both are far above the start at the run's last
    evaluation.

    Its whole state follows from the (step, loss) pairs, so that `of` rebuilds it when a run goes on.
    """

    def __init__(self) -> None:
        self._last: deque[float] = deque(maxlen=WINDOW)
        self._since: deque[float] = deque(maxlen=STAYS)
        """Losses since the first steps, until one comes back to the start: none from then on."""
        self._came_back = False
        self._level = math.nan
        """Highest loss of the first steps; NaN as `start`."""
        self._above: deque[float] = deque(maxlen=STAYS)
        """Losses since the last one that was not above that level."""
        self._below = 0
        """The step of that last one."""
        self._steps = 0
        self.start = math.nan
        """The first step's loss: what the untrained weights know. NaN where the run's first step was not seen."""
        self.lowest = math.inf
        """Lowest mean of 30 steps in a row so far."""
        self._healthy = 0
        self._calmest = math.inf
        """Lowest mean of 3 steps in a row so far."""
        self._calm = 0
        """The last step after which the training loss had not climbed from there."""
        self._held_out = math.inf
        """Lowest held-out loss so far."""
        self._held_out_step = 0
        self._high = 0
        """Evaluations in a row that stand far above it."""
        self.reason = ""
        """Why it counts as diverged, in one sentence; empty while it does not."""

    @classmethod
    def of(cls, history: Iterable[tuple[int, float]], evaluations: Iterable[tuple[int, float]] = ()) -> DivergenceWatch:
        """The watch as it was after these steps and evaluations, at none of which it had diverged."""
        watch = cls()
        for _ in watch.follow(history, evaluations):
            pass
        watch.reason = ""
        return watch

    def follow(
        self,
        history: Iterable[tuple[int, float]],
        evaluations: Iterable[tuple[int, float]] = (),
        *,
        last: int = 0,
    ) -> Iterator[bool]:
        """Take up steps, each before its own evaluation; at each whether the training has diverged by then. last: the
        step after whose evaluation no other comes; 0 where one may.
        """
        merged = heapq.merge(
            ((step, 0, loss) for step, loss in history), ((step, 1, loss) for step, loss in evaluations)
        )
        for step, evaluation, loss in merged:
            yield self.evaluated(step, loss, last=step == last) if evaluation else self.diverged(step, loss)

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
            self.start = self._level = loss
        self._steps += 1
        self._last.append(loss)
        if self._steps <= LEVEL_STEPS:
            self._level = max(self._level, loss)
        if self._steps > FIRST_STEPS:
            self._came_back = self._came_back or not _is_above(loss, self.start)
            if not self._came_back:
                self._since.append(loss)
        if _is_above(loss, self._level):
            self._above.append(loss)
        else:
            self._above.clear()
            self._below = step
        if len(self._last) == WINDOW and self.mean < self.lowest:
            self.lowest = self.mean
        if self._is_healthy():
            self._healthy = step - 1  # a step's loss is that of the weights before its update
        recent = self._recent
        if len(self._last) >= SHORT:
            self._calmest = min(self._calmest, recent)
            if not self._training_climbed(recent):
                self._calm = step - 1
        self.reason = self._climbed() or self._stays_above()
        return bool(self.reason)

    def evaluated(self, step: int, loss: float, *, last: bool = False) -> bool:
        """Take up an evaluation after the step's own loss, and say whether the training has diverged by now.

        last: no other comes, so that this one alone decides. A loss that is no number counts as high.
        """
        lowest, known = self._held_out, math.isfinite(self._held_out)
        if not known:
            lowest = self.start  # NaN where nothing is known: then nothing is far above it
        if math.isnan(lowest):
            lowest = math.inf
        far = not loss <= max(HELD_OUT_TIMES * lowest, lowest + HELD_OUT_NATS)
        burst = not loss <= max(BURST_TIMES * lowest, lowest + BURST_NATS)
        climbed = len(self._last) >= SHORT and self._training_climbed(max(self._recent, self._last[-1]))
        self._high = self._high + 1 if far and climbed else 0
        if self._high and math.isfinite(lowest) and (burst or (known and (last or self._high > 1))):
            began = (
                f"The held-out loss was {lowest:.3g} at step {self._held_out_step}"
                if known
                else f"The loss began at {lowest:.3g}"
            )
            self._healthy = min(step - 1, max(self._held_out_step, min(self._healthy, self._calm)))
            self.reason = (
                f"{began}, the held-out loss is {loss:.3g} at step {step}, and the training loss climbed with it: "
                "the training diverged."
            )
            return True
        if last and not loss <= _ruin(self.start) and ruined(self.start, list(self._last)[-(self._steps - 1) :]):
            self._healthy = min(step - 1, self._healthy, self._calm)
            self.reason = (
                f"The training diverged: the loss began at {self.start:.3g} and ends at {self._last[-1]:.3g}, held out "
                f"{loss:.3g}; what the base knew is lost."
            )
            return True
        if loss < lowest:
            self._held_out = loss
        floor = min(self._held_out, self.start) if math.isfinite(self.start) else self._held_out
        if loss <= max(HEALTHY_SHARE * floor, floor + HEALTHY_NATS):
            self._held_out_step = step
        return False

    @property
    def _recent(self) -> float:
        recent = list(self._last)[-SHORT:]
        return sum(recent) / len(recent)

    def _training_climbed(self, now: float) -> bool:
        return now > max(TRAINING_SHARE * self._calmest, self._calmest + TRAINING_NATS)

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

    def _stays_above(self) -> str:
        if not self._came_back and self._stays(self._since, self.start):
            return (
                f"The loss began at {self.start:.3g} and has stayed above that since step {FIRST_STEPS}, at "
                f"{self.mean:.3g} now: the training diverged at once."
            )
        if self._stays(self._above, self._level):
            return (
                f"The loss was at most {self._level:.3g} in its first {LEVEL_STEPS} steps and has stayed above that "
                f"since step {self._below}, at {self.mean:.3g} now: the training diverged."
            )
        return ""

    def _stays(self, values: deque[float], level: float) -> bool:
        """Whether these losses, all above it, lie so far above the level, or for so long, that they stay there."""
        if len(values) < WINDOW:  # none where the level is not known
            return False
        if self.mean > max(BURST_TIMES * level, level + BURST_NATS):
            return True
        mean = fmean(values)
        deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
        return len(values) == STAYS and mean - DEVIATIONS * deviation >= level


def _is_above(loss: float, level: float) -> bool:
    return loss > max(ABOVE_SHARE * level, level + ABOVE_NATS)
