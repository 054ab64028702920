"""Which part of the curves is shown, and where one reads them: zoom and cursor."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from loratui.core.series import Bucket
from loratui.format import number_text
from loratui.tui.monitor.record import RunRecord

CLOSEST = 8
"""Steps below which zooming in ends."""


@dataclass(frozen=True, slots=True)
class Window:
    """halvings: how often the whole run was halved. cursor: the step that is read; None where none is."""

    halvings: int = 0
    cursor: float | None = None

    def span(self, end: float, newest: float) -> tuple[float, float]:
        """First and last step shown. end: the run's last step. newest: the newest one so far."""
        if not self.halvings:
            return 0.0, end
        width = end / 2**self.halvings
        middle = self.cursor if self.cursor is not None else newest - width * 0.4
        start = min(max(0.0, middle - width / 2), max(0.0, end - width))
        return start, start + width

    def zoomed(self, by: int, end: float) -> Window:
        """One step closer (1) or farther (-1)."""
        halvings = max(0, self.halvings + by)
        return Window(halvings if end / 2**halvings >= CLOSEST or by < 0 else self.halvings, self.cursor)

    def moved(self, by: int, columns: int, end: float, newest: float) -> Window:
        """The cursor by so many columns of the chart; from the newest step where there was none."""
        start, stop = self.span(end, newest)
        one = max(1.0, (stop - start) / max(1, columns))
        now = self.cursor if self.cursor is not None else newest + (one if by < 0 else 0)
        return Window(self.halvings, float(round(min(max(1.0, now + by * one), newest))))


def reading(record: RunRecord, step: float) -> str:
    """The values at a step: `step 120: loss 0.41, smoothed 0.43, evaluated 0.44 at 100`."""
    parts = []
    for name, curve in (("loss", record.loss), ("smoothed", record.loss_smooth), ("rate", record.learning_rate), ("gradient", record.grad_norm)):
        value = _at(curve.xs, curve.points, step)
        if value is not None:
            parts.append(f"{name} {number_text(float(f'{value:.4g}'))}")
    before = [one for one in record.evals if one.step <= step and one.loss is not None]
    if before:
        parts.append(f"evaluated {number_text(float(f'{before[-1].loss:.4g}'))} at {before[-1].step:,}")
    return f"step {step:,.0f}: {', '.join(parts)}" if parts else f"step {step:,.0f}"


def _at(xs: Sequence[float], points: Sequence[Bucket], step: float) -> float | None:
    if not xs:
        return None
    place = min(bisect_left(xs, step), len(xs) - 1)
    if place and abs(xs[place - 1] - step) < abs(xs[place] - step):
        place -= 1
    return points[place].last
