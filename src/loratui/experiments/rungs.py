"""Where the trials of an experiment are compared: successive halving (Jamieson and Talwalkar 2016, arXiv 1502.07943).

All trials are trained up to the first rung, the better half of them goes on to the next one, twice as far. The last
rung is where those that are left have made all their steps; it is reached by two at least, so that the end is a
comparison too. Which half is better says optuna (`halving.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

FEWEST_STEPS = 8
"""A rung before this step shows little but the warm-up and the first batches."""
USUAL_SHARE = 0.25
"""Of a plan's steps, where nobody says how many a trial makes."""


def rungs(steps: int, trials: int, *, warmup: int = 0) -> list[int]:
    """The steps at which so many trials of `steps` steps are compared, the last one at the end.

    warmup: no rung lies before twice that step, since until then the learning rates have hardly been tried.
    """
    found, left = [steps], trials
    while left // 2 >= 2 and found[0] // 2 >= max(FEWEST_STEPS, 2 * warmup):
        found.insert(0, found[0] // 2)
        left //= 2
    return found


def steps_made(at: Sequence[int], trials: int) -> int:
    """Optimizer steps of all trials together, where half of them is stopped at each of these rungs."""
    made = before = 0
    for step in at:
        made += trials * (step - before)
        before, trials = step, max(1, trials // 2)
    return made


def usual_steps(total: int, warmup: int = 0) -> int:
    """How many steps a trial makes of a run of `total`, where nobody says it."""
    return min(total, max(FEWEST_STEPS, 2 * warmup, round(total * USUAL_SHARE)))
