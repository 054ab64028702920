"""Curves of a training: smoothed, and cut down to what a chart can show."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass


def smooth(values: Iterable[float], span: float = 20.0, *, before: Smoother | None = None) -> list[float]:
    """Exponential moving average of the values; `before` continues an earlier one."""
    smoother = before or Smoother(span)
    return [smoother.add(value) for value in values]


class Smoother:
    """An exponential moving average that is not pulled towards 0 at its beginning.

    `span` is about how many values it looks back (decay 1 - 2 / (span + 1)); values that are not finite are passed over
    and give the average so far (NaN before the first finite one). The correction is Adam's (Kingma & Ba 2015).
    """

    def __init__(self, span: float = 20.0) -> None:
        self._keep = 1.0 - 2.0 / (max(span, 1.0) + 1.0)
        self._sum = 0.0
        self._weight = 0.0

    def add(self, value: float) -> float:
        """Take one value; the average after it."""
        if math.isfinite(value):
            self._sum = self._keep * self._sum + (1.0 - self._keep) * value
            self._weight = self._keep * self._weight + (1.0 - self._keep)
        return self._sum / self._weight if self._weight else math.nan


@dataclass(frozen=True, slots=True)
class Bucket:
    """What one column of a chart stands for: the least, greatest and last of its values."""

    low: float
    high: float
    last: float


SMALLEST = 1e-300
"""Below it a float has no room for a quarter of itself in round numbers: what is smaller counts as nothing."""


def nice_bounds(low: float, high: float, *, from_zero: bool = False) -> tuple[float, float]:
    """Round limits around values, so that an axis seldom moves while a curve grows."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return 0.0, 1.0
    if from_zero:
        low = min(0.0, low)
    if high - low < SMALLEST:
        spread = abs(high) * 0.1 if abs(high) >= SMALLEST else 1.0
        low, high = (low if from_zero else low - spread), high + spread
    step = nice_step((high - low) / 4)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def nice_step(rough: float) -> float:
    """The least of 1, 2, 2.5, 5 times a power of ten that is not below `rough` (> 0)."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1.0, 2.0, 2.5, 5.0, 10.0) if factor * power >= rough * (1 - 1e-9))


class Thinned:
    """A curve of any length in little memory: neighbours are merged when there are too many points.

    Each point keeps the least, greatest and last value of the steps it stands for, so no peak is lost. Adding costs the
    same for the first point as for the millionth.
    """

    def __init__(self, limit: int = 2048) -> None:
        self._limit = max(4, limit)
        self._stride = 1
        self._in_last = 0
        self.xs: list[float] = []
        """The last x of each point, ascending."""
        self.points: list[Bucket] = []

    def __len__(self) -> int:
        return len(self.xs)

    @property
    def last(self) -> float:
        """The newest value; NaN where there is none."""
        return self.points[-1].last if self.points else math.nan

    def add(self, x: float, y: float) -> None:
        """Take a value that lies after all others. Values that are not finite are passed over."""
        if not math.isfinite(y):
            return
        if self.points and self._in_last < self._stride:
            now = self.points[-1]
            self.xs[-1], self.points[-1] = x, Bucket(min(now.low, y), max(now.high, y), y)
            self._in_last += 1
            return
        self.xs.append(x)
        self.points.append(Bucket(y, y, y))
        self._in_last = 1
        if len(self.xs) > self._limit:
            self._halve()

    def drop_after(self, x: float) -> None:
        """Forget what lies after x: a resumed run does those steps again."""
        while self.xs and self.xs[-1] > x:
            self.xs.pop()
            self.points.pop()
        self._in_last = self._stride

    def _halve(self) -> None:
        merged = [
            Bucket(min(one.low, two.low), max(one.high, two.high), two.last)
            for one, two in zip(self.points[0::2], self.points[1::2], strict=False)
        ]
        xs = self.xs[1::2]
        if len(self.points) % 2:
            merged.append(self.points[-1])
            xs.append(self.xs[-1])
        else:
            self._in_last += self._stride
        self.points, self.xs = merged, xs
        self._stride *= 2
