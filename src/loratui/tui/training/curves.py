"""A run's record as the charts' curves: which part is shown, where one reads it, and what was predicted beside it."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

from loratui.core.dataset import uniform
from loratui.core.errors import LoratuiError
from loratui.core.measured import learned_memory
from loratui.core.plan import Plan
from loratui.core.smoothing import Bucket, Thinned
from loratui.format import loss_text, number_text
from loratui.tui.common.run_names import shortened
from loratui.tui.training.chart import Line, Picture
from loratui.tui.training.record import RunRecord


def loss_picture(
    record: RunRecord, *, log: bool = False, cursor: float | None = None, span: tuple[float, float] | None = None
) -> Picture:
    """Each step's loss faint, smoothed strong, evaluations as diamonds, checkpoints on the axis."""
    return Picture(
        lines=(
            Line(record.loss.xs, record.loss.points, "raw"),
            Line(record.loss_smooth.xs, record.loss_smooth.points, "smooth"),
        ),
        x_start=span[0] if span else 0.0,
        x_end=span[1] if span else x_end(record),
        marks=record.marks,
        ticks=tuple(one.step for one in record.checkpoints),
        log=log,
        from_zero=True,
        format=lambda value: (
            loss_text(value) if abs(value) < 0.1 else f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}"
        ),
        axis_format=lambda value: (
            f"{value:.2f}" if not log and (0.1 <= abs(value) < 10 or value == 0) else f"{value:.3g}"
        ),
        cursor=cursor,
    )


FLOOR, MOST = 0.1, 0.5
"""A curve lies on the floor where more than half of it is below a tenth of its top."""


def lies_on_floor(values: Sequence[float]) -> bool:
    """Whether a curve says nothing on a linear axis: it has fallen so far that most of it lies on the bottom."""
    known = [value for value in values if math.isfinite(value)]
    if len(known) < 20 or min(known) <= 0:
        return False
    low = FLOOR * max(known)
    return sum(value < low for value in known) > MOST * len(known)


READABLE = 0.25
"""Share of the axis below which a curve cannot be read."""


def first_steps(ends: Sequence[float], end: float) -> float | None:
    """Where the axis ends on which the shortest of several curves can be read beside the others; None where it can on
    the whole one. ends: each curve's last step. end: that of the axis.
    """
    shortest = min(ends, default=0.0)
    return shortest if 1 < shortest < READABLE * end else None


BORDER = 6
"""Columns of a border's line that its title does not have."""
SHORT_MARKS = {"⠒ each step": "⠒ step", "━ smoothed": "━ mean"}
"""Names of the lines where there is no room for the whole ones: none is left out before that."""


def loss_legend(record: RunRecord, log: bool, *, chosen: bool, width: int) -> str:
    """What is drawn, and the key of the other axis; shorter where there is little room."""
    marks = ["⠒ each step", "━ smoothed"]
    marks += ["◆ held out"] if record.held_out else []
    marks += ["┴ saved"] if record.checkpoints else []
    axis = f"g: {'linear' if log else 'log axis'}"
    whole = " · ".join([*marks, "log, since most lies on the floor", axis] if log and not chosen else [*marks, axis])
    room, short = width - 4, [SHORT_MARKS.get(mark, mark) for mark in marks]
    ways = [
        whole,
        " · ".join([*marks, axis]),
        "  ".join([*short, axis]),
        " ".join([*short, axis]),
    ]
    ways.append(" ".join([*(mark.replace(" ", "", 1) for mark in short), axis]))
    ways += [" ".join([*short[told:], axis]) for told in range(1, len(marks) + 1)]
    return next((way for way in ways if len(way) <= room), axis)


def loss_title(name: str, log: bool, width: int) -> str:
    """What stands over the losses of a run, for a chart of so many columns: whole, else without what its legend says of
    the axis, else with a shorter name. Of a chart that has no columns yet nothing is cut.
    """
    width = width or 2 * BORDER + len(name) + len(" · loss (log)")
    ways = [f"{name} · loss (log)", f"{name} · loss"] if log else [f"{name} · loss"]
    return next((way for way in ways if len(way) <= width - BORDER), f"{shortened(name, width - BORDER - 7)} · loss")


def small_picture(
    record: RunRecord, curve: Thinned, cursor: float | None = None, span: tuple[float, float] | None = None
) -> Picture:
    """One curve alone, from 0."""
    return Picture(
        lines=(Line(curve.xs, curve.points, "smooth"),),
        x_start=span[0] if span else 0.0,
        x_end=span[1] if span else x_end(record),
        from_zero=True,
        format=short_number,
        cursor=cursor,
    )


def x_end(record: RunRecord) -> float:
    """The whole run's last step: the curve grows towards it. The newest step while the total is not known."""
    done = record.step.step if record.step else 0
    return float(max(record.total_steps, done, 1))


def short_number(value: float) -> str:
    """At most six characters: `1.8e-4`, `0.52`, `12.3k`."""
    if value == 0:
        return "0"
    as_written = abs(float(f"{value:.3g}"))
    if as_written >= 1e12:
        return number_text(float(f"{value:.2g}"))
    if as_written >= 1e9:
        return f"{value / 1e9:.3g}G"
    if as_written >= 1e6:
        return f"{value / 1e6:.3g}M"
    if as_written >= 1e4:
        return f"{value / 1e3:.3g}k"
    if as_written >= 1e3:
        return f"{value:,.0f}"
    return number_text(float(f"{value:.2g}")) if as_written < 1 else f"{value:.3g}"


def predicted_bytes(plan: Plan, record: RunRecord) -> int | None:
    """The predicted peak in bytes with the run's real row lengths, by what was measured here before its first word: the
    same figure whenever it is asked for. None where model or machine cannot be found any more.

    Slow (NVML, files): for a thread.
    """
    from loratui.core.memory import estimate
    from loratui.machine.detect import detect_machine
    from loratui.machine.device import device_for
    from loratui.models.find import find_model
    from loratui.runs.measured import read_measurements

    if record.data is None or not record.data.longest_tokens:
        return None
    try:
        found = find_model(plan.model.id, revision=plan.model.revision, online=False)
        device = device_for(detect_machine(), plan.hardware.devices, cpu=plan.hardware.cpu)
        earlier = [one for one in read_measurements() if one.time < record.first_time]
        learned = learned_memory(earlier, device=device.name, family=found.spec.family)
        device = replace(device, learned=learned)
        told = record.data
        share = told.trained_tokens / told.tokens if told.tokens else 1.0
        rows = replace(uniform(max(1, told.examples), told.longest_tokens), trained_share=share)
        return estimate(found.spec, plan, rows, device).total_bytes
    except (LoratuiError, OSError):
        return None


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
    for name, curve in (
        ("loss", record.loss),
        ("smoothed", record.loss_smooth),
        ("rate", record.learning_rate),
        ("gradient", record.grad_norm),
    ):
        value = _at(curve.xs, curve.points, step)
        if value is not None:
            is_loss = curve in (record.loss, record.loss_smooth)
            parts.append(f"{name} {loss_text(value) if is_loss else number_text(float(f'{value:.4g}'))}")
    before = [one for one in record.held_out if one.step <= step]
    if before:
        parts.append(f"evaluated {loss_text(before[-1].loss)} at {before[-1].step:,}")
    return f"step {step:,.0f}: {', '.join(parts)}" if parts else f"step {step:,.0f}"


def _at(xs: Sequence[float], points: Sequence[Bucket], step: float) -> float | None:
    if not xs:
        return None
    place = min(bisect_left(xs, step), len(xs) - 1)
    if place and abs(xs[place - 1] - step) < abs(xs[place] - step):
        place -= 1
    return points[place].last
