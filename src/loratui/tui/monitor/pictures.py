"""A run's record as the charts' pictures."""

from __future__ import annotations

from loratui.core.series import Thinned
from loratui.format import number_text
from loratui.tui.monitor.chart import Line, Picture
from loratui.tui.monitor.record import RunRecord


def loss_picture(record: RunRecord, *, log: bool = False, cursor: float | None = None, span: tuple[float, float] | None = None) -> Picture:
    """Each step's loss faint, smoothed strong, evaluations as diamonds, checkpoints on the axis."""
    return Picture(
        lines=(
            Line(record.loss.xs, record.loss.points, "raw"),
            Line(record.loss_smooth.xs, record.loss_smooth.points, "smooth"),
        ),
        x_start=span[0] if span else 0.0,
        x_end=span[1] if span else x_end(record),
        marks=tuple((one.step, one.loss) for one in record.evals if one.loss is not None),
        ticks=tuple(one.step for one in record.checkpoints),
        log=log,
        from_zero=True,
        format=lambda value: f"{value:.3f}" if abs(value) < 10 else f"{value:.4g}",
        axis_format=lambda value: f"{value:.2f}" if 0.1 <= abs(value) < 10 or value == 0 else f"{value:.3g}",
        cursor=cursor,
    )


def small_picture(record: RunRecord, curve: Thinned, cursor: float | None = None, span: tuple[float, float] | None = None) -> Picture:
    """One curve alone, from 0."""
    return Picture(
        lines=(Line(curve.xs, curve.points, "smooth"),), x_start=span[0] if span else 0.0, x_end=span[1] if span else x_end(record), from_zero=True, format=short_number, cursor=cursor
    )


def x_end(record: RunRecord) -> float:
    """The whole run's last step: the curve grows towards it. The newest step while the total is not known."""
    done = record.step.step if record.step else 0
    return float(max(record.total_steps, done, 1))


def short_number(value: float) -> str:
    """At most six characters: `1.8e-4`, `0.52`, `12.3k`."""
    if value == 0:
        return "0"
    if abs(value) >= 1e9:
        return f"{value / 1e9:.3g}G"
    if abs(value) >= 1e6:
        return f"{value / 1e6:.3g}M"
    if abs(value) >= 1e4:
        return f"{value / 1e3:.3g}k"
    if abs(value) >= 1e3:
        return f"{value:,.0f}"
    return number_text(float(f"{value:.2g}")) if abs(value) < 1 else f"{value:.3g}"
