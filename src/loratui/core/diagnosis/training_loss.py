"""What the training loss and the gradients say of learning: nothing, too little, no more."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator

from loratui.core.diagnosis import fixes
from loratui.core.diagnosis.curves import Curves, Finding, Fix, median
from loratui.core.plan import Plan

LEAST_STEPS = 30
NOT_FALLING_SHARE = 0.03
LOW_LOSS = 0.3
CLIMBS_SHARE = 0.25
FLAT_SHARE = 0.01
STILL_FALLING_SHARE = 0.03
ZERO_GRADIENT_STEPS = 5
SMALL_RANK = 4


def not_falling(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """After the warm-up and a fair number of steps the loss is where it began, held-out rows included."""
    begun = bisect_right(curves.steps, plan.training.warmup_steps)
    losses = [loss for loss in curves.losses[begun:] if math.isfinite(loss)]
    if len(losses) < max(LEAST_STEPS, curves.total_steps // 10):
        return
    quarter = max(5, len(losses) // 4)
    first, last = median(losses[:quarter]), median(losses[-quarter:])
    noise = curves.noise / math.sqrt(quarter)
    if last < LOW_LOSS or first - last > max(NOT_FALLING_SHARE * first, 3 * noise) or last > first * (1 + CLIMBS_SHARE):
        return
    if curves.start_loss - last > max(2 * NOT_FALLING_SHARE * first, DEVIATIONS * curves.noise):
        return  # it fell at once, and what is flat since then is what the data leaves
    held_out = [loss for _, loss in curves.evaluations]
    if len(held_out) >= 2 and held_out[0] - held_out[-1] > NOT_FALLING_SHARE * held_out[0]:
        return
    yield Finding(
        "not-falling",
        "warning",
        f"The loss does not fall: {first:.3g} at the start, {last:.3g} now.",
        curves.steps[min(begun, len(curves.steps) - 1)],
        fixes.kept(
            [
                fixes.raised_rate(plan, curves),
                fixes.all_layers(plan),
                fixes.rank(plan, 2),
                fixes.CHECK_TEMPLATE,
                fixes.CHECK_DATA,
            ]
        ),
    )


DEVIATIONS = 4.0


def plateau(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """The loss fell, has been flat for the last 40 % of the steps while the learning rate is still high, and
    something of the plan holds it there: a rate well below the proposed one, few layers or a small rank. Else it is
    what the data leaves.
    """
    over = curves.finished or 0 < curves.total_steps <= curves.steps[-1]
    if over or len(curves.steps) < max(60, curves.total_steps // 4):
        return
    early, middle, late = (median(curves.window(*share)) for share in ((0.0, 0.1), (0.6, 0.75), (0.85, 1.0)))
    rates = [value for value in curves.learning_rates if math.isfinite(value)]
    high = not rates or rates[-1] > 0.3 * max(rates)
    noise = 2 * curves.noise / math.sqrt(max(1, 0.15 * len(curves.losses)))
    flat = abs(middle - late) < max(FLAT_SHARE * middle, min(noise, 3 * FLAT_SHARE * middle))
    held_back = _held_back(curves, plan)
    if held_back and high and early > middle * 1.05 and flat and late >= LOW_LOSS:
        since = curves.steps[int(0.6 * len(curves.steps))]
        yield Finding(
            "plateau", "note", f"The loss has stood at {late:.3g} since about step {since}.", since, held_back
        )


def _held_back(curves: Curves, plan: Plan) -> tuple[Fix, ...]:
    """What of the plan may keep the loss from falling further."""
    slow = plan.training.learning_rate * fixes.FAR <= fixes.proposed_rate(plan, curves)
    return fixes.kept(
        [
            fixes.raised_rate(plan, curves) if slow else None,
            fixes.all_layers(plan),
            fixes.rank(plan, 4) if plan.lora.r <= SMALL_RANK else None,
        ]
    )


def underfitting(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """The run is over and the loss was still falling."""
    if not curves.finished or curves.steps[-1] < 40:
        return
    points = curves.evaluations
    least = 0.0
    if len(points) >= 4:
        before, last = points[-1 - max(1, len(points) // 4)][1], points[-1][1]
        if last > min(loss for _, loss in points):
            return
        least = curves.evaluation_noise
    else:
        before, last = median(curves.window(0.7, 0.85)), median(curves.window(0.85, 1.0))
        least = 3 * curves.noise / math.sqrt(max(1.0, 0.15 * len(curves.losses)))
    if last < LOW_LOSS or before - last < max(STILL_FALLING_SHARE * before, least):
        return
    slow = plan.training.learning_rate * fixes.FAR <= fixes.proposed_rate(plan, curves)
    yield Finding(
        "underfitting",
        "note",
        f"The loss was still falling at the end ({before:.3g} to {last:.3g}): there is more to learn.",
        curves.steps[int(0.7 * len(curves.steps))],
        fixes.kept(
            [fixes.raised_rate(plan, curves) if slow else None, fixes.more_epochs(plan), fixes.all_layers(plan)]
        ),
    )


def no_gradient(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """Gradients of exactly 0 over several steps: nothing is trained."""
    norms = list(curves.grad_norms[:ZERO_GRADIENT_STEPS])
    if len(norms) == ZERO_GRADIENT_STEPS and all(norm == 0.0 for norm in norms):
        every_token = Fix("Start anew and learn from every token.", {"training.loss_on": "all"}, restart=True)
        yield Finding(
            "no-gradient",
            "error",
            "The gradient is 0: no token bears loss, or nothing is trainable.",
            curves.steps[0],
            fixes.kept([every_token if plan.training.loss_on == "answers" else None, fixes.CHECK_TEMPLATE]),
        )
