"""Whether one model is better than another, in words; and how many rows would tell it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from loratui.evaluation.intervals import NORMAL, Interval
from loratui.evaluation.measures import Measure, Unit

Told = Literal["better", "worse", "no difference"]
POWER = 0.841621
"""80 % of a normal distribution lies below it: the chance with which the rows that are named would tell."""
HOPELESS = 100
"""From so many times the rows on, no number is named."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What can be said of a difference. rows_needed: about how many more rows would tell it, with a chance of 80 %, if
    it stays as large as it is; None where it is told already, or nothing near would.
    """

    told: Told
    rows_needed: int | None = None


def verdict(measure: Measure, difference: Interval) -> Verdict:
    """Judge `one` less `other` by its interval."""
    low, high = difference.low, difference.high
    if low is None or high is None or low <= 0 <= high:
        return Verdict("no difference", _rows_needed(difference))
    return Verdict("better" if (low > 0) == (measure.better >= 0) else "worse")


def _rows_needed(difference: Interval) -> int | None:
    if difference.low is None or difference.high is None or difference.value == 0:
        return None
    half = (difference.high - difference.low) / 2
    times = ((NORMAL + POWER) / NORMAL * half / abs(difference.value)) ** 2
    if not 1 < times < HOPELESS:
        return None
    return _rounded(difference.rows * (times - 1))


def _rounded(number: float) -> int:
    """To two figures."""
    step: int = 10 ** max(0, int(math.log10(max(number, 1))) - 1)
    return max(1, round(number / step)) * int(step)


def shown(value: float | None, unit: Unit, *, sign: bool = False) -> str:
    """A figure as people read it: a share as a percentage, with one digit behind the point."""
    if value is None or math.isnan(value):
        return "–"
    number = value * 100 if unit == "share" else value
    if unit == "number" and math.isfinite(number):
        digits = max(0, 3 - len(f"{abs(number):.0f}")) if abs(number) >= 1 else 3
        return f"{number:{'+' if sign else ''},.{digits}f}"
    return f"{number:{'+' if sign else ''}.1f}"


def words(measure: Measure, difference: Interval) -> str:
    """`better by 4.1 points, 95 % between 1.2 and 7.0, on 200 rows`, or that no difference can be told."""
    found = verdict(measure, difference)
    unit = "" if measure.unit == "number" else " points"
    rows = f"on {difference.rows:,} row{'s' if difference.rows != 1 else ''}"
    low, high = difference.low, difference.high
    if low is None or high is None:
        return f"no difference can be told {rows}"
    if found.told == "no difference":
        more = f"; about {found.rows_needed:,} more rows would" if found.rows_needed else ""
        between = f"95 % between {shown(low, measure.unit, sign=True)} and {shown(high, measure.unit, sign=True)}{unit}"
        return f"no difference can be told ({between}, {rows}){more}"
    near, far = sorted((abs(low), abs(high)))
    return (
        f"{found.told} by {shown(abs(difference.value), measure.unit)}{unit}, "
        f"95 % between {shown(near, measure.unit)} and {shown(far, measure.unit)}, {rows}"
    )
