"""When a run ends early: patience that knows what its held-out rows can tell. The one place where that is decided.

**The rule.** An evaluation is better where its held-out loss is below the lowest so far, and patience counts those in a
row that are not: as in transformers' `EarlyStoppingCallback` (5.23, threshold 0). Once that count has reached patience,
the run ends at the first evaluation whose rows can tell that going on gained nothing:

- *worse*: the loss has risen since the best evaluation by more than chance explains, or
- *no better*: whatever chance explains, it has not fallen by 1 % (`WORTH_SHARE`).

Where the rows cannot tell either, and always where they are fewer than ten, the run goes on, at most to its last step,
and the best checkpoint is its result. It never ends before patience is used up: how long to wait for a recovery is the
person's word, not a matter of noise.

**What chance explains.** Both evaluations measured the same rows, so that each row's own change is known, and what
makes a row hard falls out (paired differences: Miller 2024, arXiv 2411.00640, section 4.2). With row i's loss summed
over its w_i tokens, a_i at the best evaluation and b_i now:

    D = Σ (b_i − a_i) / Σ w_i                                      the difference of the two losses, weighted by tokens
    SE² = n / (n − 1) · Σ (b_i − a_i − D · w_i)² / (Σ w_i)²        of a ratio, rows drawn whole (Cochran 1977, 6.4)
    D ± t · SE,   t = Student's, 1 − 0.05 / (2 · pairs), n − 1 degrees of freedom

A run looks often, and the best is chosen afterwards as the one that chance favoured: so 95 % hold for all pairs of the
run's evaluations together, k (k − 1) / 2 of them (Bonferroni; Dunn 1961). What is told is told for all of them, too.
A finding that only warns (`diagnosis.overfitting`) takes 95 % for its own comparison alone, and says so.
`benchmarks/patience.py` counts how often the rule ends a run that it should not. Prechelt 1998 ("Early stopping, but
when?") compares rules of a bare loss; slower ones cost time and find slightly lower losses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from loratui.core.quantiles import student_quantile

Told = Literal["better", "worse", "no better", "unknown"]
UNDECIDED = "held-out-noise"
"""The finding that patience is used up, and the rows cannot tell whether that means anything."""
GOES_ON = "training goes on, and the checkpoint with the lowest loss will be the result."
WENT_ON = "training went on, and the checkpoint with the lowest loss is the result."
WENT_ON_ALONE = "training went on."
DIGITS = 6
CONFIDENCE = 0.95
"""For all evaluations of a run together."""
FEWEST_ROWS = 10
"""Of fewer rows nothing is decided: where most rows stay as they are, so few may all have stayed by chance."""
WORTH_SHARE = 0.01
"""An improvement by less than this share of the loss is none worth going on for."""


class Change(BaseModel):
    """A held-out loss less that of an earlier evaluation, by the rows that both measured; in the loss's own unit.

    step: of the earlier one. before: its loss. low, high: what chance leaves open, 95 % for all evaluations of the run
    together; None where a single row tells nothing. error: standard error of the difference.
    """

    model_config = ConfigDict(frozen=True)
    step: Annotated[int, Field(ge=0)] = 0
    before: float = math.nan
    difference: float = math.nan
    low: float | None = None
    high: float | None = None
    error: float | None = None
    rows: Annotated[int, Field(ge=0)] = 0

    @property
    def alone(self) -> Change:
        """The same with 95 % for this one comparison: enough for a word of warning, which ends nothing."""
        if self.error is None or self.rows < 2:
            return self
        half = student_quantile((1 + CONFIDENCE) / 2, self.rows - 1) * self.error
        low, high = round(self.difference - half, DIGITS), round(self.difference + half, DIGITS)
        return self.model_copy(update={"low": low, "high": high})

    @property
    def told(self) -> Told:
        """What the rows can tell of it. no better: it may have risen, and has not fallen by 1 %."""
        if self.low is None or self.high is None or self.rows < FEWEST_ROWS:
            return "unknown"
        if self.high < 0:
            return "better"
        if self.low > 0:
            return "worse"
        return "no better" if self.low > -WORTH_SHARE * abs(self.before) else "unknown"


def change(
    step: int, before: Sequence[float], now: Sequence[float], weights: Sequence[int], looks: int, parts: int = 1
) -> Change:
    """How a loss changed since the evaluation at `step`. before, now: each row's loss, summed over its `weights`
    (tokens that bear loss, or 1). looks: evaluations that the run makes in all. parts: of a mix, where each is compared
    alone.
    """
    total, count = sum(weights), len(weights)
    if not total:
        return Change(step=step)
    changes = [later - earlier for earlier, later in zip(before, now, strict=True)]
    loss, difference = math.fsum(before) / total, math.fsum(changes) / total
    if count < 2 or not math.isfinite(difference):
        return Change(step=step, before=loss, difference=difference, rows=count)
    squares = math.fsum((one - difference * weight) ** 2 for one, weight in zip(changes, weights, strict=True))
    error = math.sqrt(count / (count - 1) * squares) / total
    pairs = parts * max(1, looks * (looks - 1) // 2)
    half = student_quantile(1 - (1 - CONFIDENCE) / (2 * pairs), count - 1) * error
    figures = {"before": loss, "difference": difference, "low": difference - half, "high": difference + half}
    figures["error"] = error
    return Change(step=step, rows=count, **{name: round(value, DIGITS) for name, value in figures.items()})


def ends(without_better: int, patience: int, since_best: Change | None) -> bool:
    """Whether a run ends after so many evaluations in a row that were not better. since_best: how the loss has changed
    since the best one; None where the rows' losses are not known, so that patience alone decides.
    """
    if not patience or without_better < patience:
        return False
    return since_best is None or since_best.told in ("worse", "no better")


def interval_words(change: Change) -> str:
    """`95 % between +0.012 and +0.034, 50 rows`."""
    rows = f"{change.rows:,} row{'s' if change.rows != 1 else ''}"
    if change.low is None or change.high is None:
        return rows
    return f"95 % between {change.low:+.2g} and {change.high:+.2g}, {rows}"


def end_words(without_better: int, best_step: int, since_best: Change | None) -> str:
    """Why a run ended early."""
    times = "once" if without_better == 1 else f"{without_better} times"
    said = f"no better evaluation {times} in a row; the best was at step {best_step:,}"
    if since_best is None:
        return f"{said} (the rows' own losses are not known: patience alone decided)"
    if since_best.told == "worse":
        return f"{said}, and the held-out loss has risen since ({interval_words(since_best)})"
    return (
        f"{said}, and the held-out loss has not fallen by {WORTH_SHARE * 100:g} % since ({interval_words(since_best)})"
    )


def undecided_words(without_better: int, since_best: Change) -> str:
    """That patience is used up, and the rows cannot tell whether that means anything."""
    times = "once" if without_better == 1 else f"{without_better} times"
    return (
        f"No better evaluation {times} in a row, but the held-out rows cannot tell that from chance "
        f"({interval_words(since_best)}): {GOES_ON}"
    )


def undecided_afterwards(message: str, *, finished: bool) -> str:
    """The same, as its worker told it, once the run is over. finished: whether it has a result."""
    return message.replace(GOES_ON, WENT_ON if finished else WENT_ON_ALONE)
