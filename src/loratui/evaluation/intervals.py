"""95 % intervals by the bootstrap: of one figure, and of the difference of two models on the same rows.

Rows are drawn anew, with replacement, and the figure is computed each time (Efron 1979). Two models are compared on the
same draws, row beside row, so that what makes a row hard for both falls out (paired bootstrap: Koehn 2004,
aclanthology.org/W04-3250). Plain percentiles are too narrow in four cases, which are mended here:

- few rows: the interval is stretched as Student's t is wider than the normal distribution;
- shares near 0 or 1: Wilson's interval (1927) where every row is right or wrong; else two rows of either are added;
- a perplexity: its interval is exp of the mean loss's (few rows would stretch it far below what the loss can be);
- models that differ on few rows: a pair of rows that differ, one each way, is added (Bonett and Price 2012, "Adjusted
  Wald confidence interval for a difference of binomial proportions based on paired data", with rows drawn instead of
  Wald's formula).

`benchmarks/evaluation_intervals.py` counts how often the intervals hold the truth.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass

import numpy as np

from loratui.evaluation.measures import Measure, Numbers

DRAWS = 2000
SEED = 20_271
NORMAL = 1.959963985
"""97.5 % of a normal distribution lies below it."""
BLOCK = 4_000_000
"""Counts of rows that are held at once, over several draws."""
FEWEST_OF_A_CORPUS = 5
"""BLEU of fewer rows has no interval: two rows that score alike would seem to say it without any doubt."""
SURE_SHARE = 0.9
"""From so many rows at 0 or 1 on, a share is treated as one of rights and wrongs."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its 95 % interval. low and high are None where there are too few rows to say."""

    value: float
    low: float | None
    high: float | None
    rows: int

    def less(self, number: float) -> Interval:
        """How far the figure, with its interval, lies above this number."""
        low, high = (None if one is None else one - number for one in (self.low, self.high))
        return Interval(self.value - number, low, high, self.rows)


def interval(measure: Measure, rows: Numbers, *, draws: int = DRAWS) -> Interval:
    """The figure of all rows, [rows, columns]; rows that a measure does not apply to hold NaN and are left out."""
    kept = _known(rows)
    count = len(kept)
    if not count:
        return Interval(math.nan, None, None, 0)
    value = float(measure.value(kept.sum(0, keepdims=True))[0])
    if count < _fewest(measure) or not math.isfinite(value):
        return Interval(value, None, None, count)
    if measure.mean and measure.unit == "share":
        values = kept[:, 0]
        sure = float(((values == 0) | (values == 1)).mean())
        if sure == 1:
            return Interval(value, *wilson(value, count), count)
        if sure >= SURE_SHARE:
            kept = np.concatenate([kept, [[1.0, 1.0], [1.0, 1.0], [0.0, 1.0], [0.0, 1.0]]])
    found = _percentiles((measure.logarithm or measure.value)(_sums(kept, draws)), count)
    if measure.logarithm is not None:
        found = _exp(found[0]), _exp(found[1])
    low, high = _within(found, measure.least, measure.most)
    return Interval(value, min(low, value), max(high, value), count)


def paired(measure: Measure, one: Numbers, other: Numbers, *, draws: int = DRAWS) -> Interval:
    """`one` less `other`, over the rows that both have: [rows, columns] each, the same rows in the same order."""
    both = np.concatenate([one, other], axis=1)
    kept = _known(both)
    count, columns = len(kept), one.shape[1]
    if not count:
        return Interval(math.nan, None, None, 0)

    def difference(sums: Numbers) -> Numbers:
        found: Numbers = measure.value(sums[:, :columns]) - measure.value(sums[:, columns:])
        return found

    value = float(difference(kept.sum(0, keepdims=True))[0])
    if count < _fewest(measure) or not math.isfinite(value):
        return Interval(value, None, None, count)
    if measure.mean:
        apart = kept[:, 0] - kept[:, columns]
        differing = apart[apart != 0]
        # nothing is known of how far they can be apart where no row differs: as far as anything, for a share
        step = float(np.sqrt(np.square(differing).mean())) if len(differing) else float(measure.unit == "share")
        kept = np.concatenate([kept, [[step, 1.0, 0.0, 1.0], [0.0, 1.0, step, 1.0]]])
    apart_at_most = measure.most - measure.least
    low, high = _within(_percentiles(difference(_sums(kept, draws)), count), -apart_at_most, apart_at_most)
    return Interval(value, min(low, value), max(high, value), count)


def _fewest(measure: Measure) -> int:
    """Rows without which no interval is told."""
    return FEWEST_OF_A_CORPUS if measure.unit == "points" else 2


def _known(rows: Numbers) -> Numbers:
    kept: Numbers = rows[~np.isnan(rows).any(1)]
    return kept


def _sums(rows: Numbers, draws: int) -> Numbers:
    """Sums of the columns over rows drawn anew, as many as there are: [draws, columns]."""
    chance = np.random.default_rng(SEED)
    count = len(rows)
    kinds, each = np.unique(rows, axis=0, return_counts=True)  # equal rows are drawn together: rights and wrongs, say
    found = []
    left = draws
    while left:
        now = min(left, max(1, BLOCK // len(kinds)))
        times = chance.multinomial(count, each / count, size=now)
        found.append(times @ kinds)
        left -= now
    return np.concatenate(found)


def _percentiles(found: Numbers, count: int) -> tuple[float, float]:
    """Where 95 % of the drawn figures lie, stretched about their middle for few rows."""
    low, middle, high = (float(one) for one in np.nanpercentile(found, [2.5, 50, 97.5]))
    stretch = _student(count - 1) / NORMAL * math.sqrt(count / (count - 1))
    return middle + (low - middle) * stretch, middle + (high - middle) * stretch


def _exp(number: float) -> float:
    """exp, and the greatest number there is where that is beyond it."""
    return math.exp(min(number, math.log(sys.float_info.max)))


def _within(found: tuple[float, float], least: float, most: float) -> tuple[float, float]:
    """Nothing lies where the figure cannot be, however far few rows stretch."""
    return max(least, found[0]), min(most, found[1])


FEW_FREEDOM = {1: 12.706, 2: 4.303, 3: 3.182}
"""Student's t of few degrees of freedom, where the formula is too low."""


def student(freedom: int) -> float:
    """97.5 % of Student's t lies below it."""
    return FEW_FREEDOM.get(freedom) or _student(freedom)


def _student(freedom: int) -> float:
    """The same (Abramowitz and Stegun 26.7.5: within 0.4 % from 4 degrees of freedom on)."""
    z = NORMAL
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, start=1))


def wilson(share: float, count: int) -> tuple[float, float]:
    """Wilson's interval (95 %) of a share (0..1) of `count` things."""
    z2 = NORMAL**2
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = NORMAL / (1 + z2 / count) * math.sqrt(share * (1 - share) / count + z2 / (4 * count**2))
    return max(0.0, middle - half), min(1.0, middle + half)
