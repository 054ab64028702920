"""What the evaluations show beside the training loss: overfitting and memorising."""

from __future__ import annotations

import math
from collections.abc import Iterator

from loratui.core.diagnosis import fixes
from loratui.core.diagnosis.curves import Curves, Finding, Fix, mean, median
from loratui.core.early_stopping import interval_words
from loratui.core.plan import Plan

RISE_SHARE, RISE_NATS = 0.03, 0.02
"""The least rise of the evaluation loss that is worth a word: 3 %, and 0.02 nats (a perplexity 2 % higher)."""
RISE_NOISES = 2.0
MEMORISED_LOSS = 0.1
MEMORISED_GAP, MEMORISED_NATS = 3.0, 0.3
STAIR_SHARE = 0.15
STAIR_STEPS = 8


def overfitting(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """The evaluation loss has turned up for at least two evaluations, by more than its noise, while the training
    loss fell on. Its noise is what the evaluations show, and what the rows tell, where their own losses are known.
    """
    points = curves.evaluations
    if len(points) < 3:
        return
    best = min(range(len(points)), key=lambda index: points[index][1])
    later = [loss for _, loss in points[best + 1 :]]
    step, lowest = points[best]
    since = curves.since_best()
    since = since.alone if since is not None else None
    least = max(RISE_SHARE * lowest, RISE_NATS, RISE_NOISES * curves.evaluation_noise)
    if len(later) < 2 or min(later) <= lowest or later[-1] <= lowest + least:
        return
    if since is not None and (since.low is None or since.low <= 0):
        return
    at_best, now = _training_loss_at(curves, step), curves.smoothed[-1] if curves.smoothed else math.nan
    if math.isfinite(at_best) and math.isfinite(now) and now > at_best * 1.02:
        return
    yield Finding(
        "overfitting",
        "warning",
        f"The evaluation loss was lowest at step {step} ({lowest:.3g}) and is {later[-1]:.3g} now"
        f"{f' ({interval_words(since)})' if since is not None else ''}, while the training loss falls: the model "
        "learns the rows by heart.",
        step,
        _less_by_heart(curves, plan),
    )


def _less_by_heart(curves: Curves, plan: Plan) -> tuple[Fix, ...]:
    return fixes.kept(
        [
            fixes.keep_best(plan, curves),
            fixes.fewer_epochs(plan),
            fixes.dropout(plan),
            fixes.decay(plan),
            fixes.rank(plan, 0.5),
            fixes.MORE_ROWS,
        ]
    )


def _training_loss_at(curves: Curves, step: int) -> float:
    reached = [value for at, value in zip(curves.steps, curves.smoothed, strict=True) if at <= step]
    return reached[-1] if reached else math.nan


def memorising(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """A training loss near 0 far below an evaluation loss that falls no more; or, with nothing held out, a loss that
    falls in stairs, one an epoch.
    """
    now = curves.smoothed[-1] if curves.smoothed else math.nan
    points = curves.evaluations
    if not points:
        stair = _stairs(curves)
        if stair is not None:
            message = (
                f"The loss drops at the turn of each epoch (at step {stair}): rows seen before are recognised, and "
                "with no rows held out nothing shows whether more is learnt."
            )
            yield Finding("memorising", "note", message, stair, _less_by_heart(curves, plan))
        return
    last = points[-1][1]
    apart = math.isfinite(now) and now < MEMORISED_LOSS and last > max(MEMORISED_GAP * now, now + MEMORISED_NATS)
    if apart and not _still_falls([loss for _, loss in points]):
        since = next(
            (at for at, value in zip(curves.steps, curves.smoothed, strict=True) if value < MEMORISED_LOSS),
            curves.steps[-1],
        )
        message = (
            f"The training loss is {now:.2g} and the evaluation loss {last:.3g}, and falls no more: the rows are "
            "known by heart."
        )
        yield Finding("memorising", "warning", message, since, _less_by_heart(curves, plan))


def _still_falls(losses: list[float]) -> bool:
    """Whether the newest evaluations are the best so far."""
    return len(losses) < 3 or min(losses[-2:]) < min(losses[:-2]) * 0.99


def _stairs(curves: Curves) -> int | None:
    """The first turn of an epoch, where the curve has every step, from which every turn so far shows a drop larger
    than what happens around it.
    """
    length = curves.steps_per_epoch
    every_step = len(curves.steps) == curves.steps[-1] - curves.steps[0] + 1 and curves.steps[0] == 1
    if not every_step or length < 3 * STAIR_STEPS or len(curves.losses) < length + STAIR_STEPS:
        return None
    turns = range(length, len(curves.losses) - STAIR_STEPS + 1, length)
    for turn in turns:
        before = [loss for loss in curves.losses[turn - STAIR_STEPS : turn] if math.isfinite(loss)]
        after = [loss for loss in curves.losses[turn : turn + STAIR_STEPS] if math.isfinite(loss)]
        earlier = [loss for loss in curves.losses[turn - 2 * STAIR_STEPS : turn - STAIR_STEPS] if math.isfinite(loss)]
        if min(len(before), len(after), len(earlier)) < STAIR_STEPS - 1:
            return None
        drop, trend = median(before) - median(after), max(0.0, median(earlier) - median(before))
        spread = mean([abs(loss - median(before)) for loss in before])
        if drop < STAIR_SHARE * median(before) or drop < 3 * trend or drop < spread:
            return None
    return curves.steps[length]
