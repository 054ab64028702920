"""What the training loss and the gradients show."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from itertools import pairwise

from loratui.core.diagnosis import fixes
from loratui.core.diagnosis.curves import Curves, Finding, Fix, mean, median
from loratui.core.plan import Plan

LEAST_STEPS = 20
DIVERGED_SHARE = 0.25
BLOWN_UP_SHARE = 1.1
NOT_FALLING_SHARE = 0.03
LOW_LOSS = 0.3
SPIKE_WINDOW, SPIKE_DEVIATIONS, SPIKE_SHARE = 20, 8.0, 1.3
SPIKE_NATS = 0.1
"""The least jump worth a word: a loss near 0 moves by large shares of itself and nothing is wrong."""
ERRATIC_SHARE = 0.35
FLAT_SHARE = 0.01
STILL_FALLING_SHARE = 0.03
ZERO_GRADIENT_STEPS = 5
CLIPPED_SHARE = 0.9


def not_finite(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """NaN or infinite loss; NaN gradients too, except in float16, whose loss scaling skips such steps."""
    broken = next((step for step, loss in zip(curves.steps, curves.losses, strict=True) if not math.isfinite(loss)), None)
    what = "The loss"
    if broken is None and plan.training.precision != "fp16":
        norms = zip(curves.steps, curves.grad_norms, strict=False)
        broken = next((step for step, norm in norms if math.isinf(norm)), None)
        what = "The gradient"
    if broken is not None:
        yield Finding(
            "not-finite", "error", f"{what} is no number any more since step {broken}: the weights are spoilt from there on.", broken,
            fixes.kept([fixes.rate(plan, 0.5), fixes.safer_precision(plan), fixes.warm_up(plan, curves), fixes.clip(plan), fixes.CHECK_DATA]),
        )


def diverging(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """The averaged loss has turned and climbed by a quarter, and stays there."""
    smoothed = curves.smoothed
    if len(smoothed) < LEAST_STEPS:
        return
    begun = next((loss for loss in curves.losses if math.isfinite(loss)), math.nan)
    highest = max((value for value in smoothed if math.isfinite(value)), default=math.nan)
    if highest > begun * BLOWN_UP_SHARE and smoothed[-1] > begun * (2 - BLOWN_UP_SHARE):
        yield Finding(
            "diverging", "error", f"The loss rose from {begun:.3g} to {highest:.3g} and has not come back below its start: {smoothed[-1]:.3g} now.",
            curves.steps[0], _calmer(curves, plan),
        )
        return
    lowest = min(range(len(smoothed)), key=lambda index: smoothed[index] if math.isfinite(smoothed[index]) else math.inf)
    floor, now = smoothed[lowest], smoothed[-1]
    recent = [value for value in smoothed[-max(5, curves.span) :] if math.isfinite(value)]
    climb = max(DIVERGED_SHARE * floor, 0.15)
    if not recent or lowest >= len(smoothed) - curves.span or min(recent) < floor + climb:
        return
    yield Finding(
        "diverging", "error", f"The loss climbs: {floor:.3g} at step {curves.steps[lowest]}, now {now:.3g}.", curves.steps[lowest],
        _calmer(curves, plan),
    )


def _calmer(curves: Curves, plan: Plan) -> tuple[Fix, ...]:
    return fixes.kept([fixes.rate(plan, 0.5), fixes.warm_up(plan, curves), fixes.clip(plan), fixes.larger_batch(plan)])


def spikes(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """Single steps far above their neighbours, after which the loss comes back."""
    losses = list(curves.losses)
    found: list[int] = []
    for index in range(SPIKE_WINDOW, len(losses)):
        before = [loss for loss in losses[index - SPIKE_WINDOW : index] if math.isfinite(loss)]
        if len(before) < SPIKE_WINDOW // 2 or not math.isfinite(losses[index]):
            continue
        middle = median(before)
        deviation = median([abs(loss - middle) for loss in before])
        high = losses[index] > middle + max(SPIKE_DEVIATIONS * deviation, (SPIKE_SHARE - 1) * middle, SPIKE_NATS)
        if high and (not found or curves.steps[index] - found[-1] > 3):
            found.append(curves.steps[index])
    if not found:
        return
    several = len(found) >= 3
    steps = ", ".join(map(str, found[:5])) + ("…" if len(found) > 5 else "")
    yield Finding(
        "spikes", "warning" if several else "note",
        f"The loss jumps at step{'s' if len(found) > 1 else ''} {steps}: single hard or broken rows, or too large steps.", found[0],
        fixes.kept([
            fixes.CHECK_DATA, fixes.clip(plan), fixes.rate(plan, 0.5) if several else None,
            fixes.warm_up(plan, curves) if found[0] <= max(50, plan.training.warmup_steps) else None, fixes.larger_batch(plan),
        ]),
    )


def not_falling(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """After the warm-up and a fair number of steps the loss is where it began."""
    begun = bisect_right(curves.steps, plan.training.warmup_steps)
    losses = [loss for loss in curves.losses[begun:] if math.isfinite(loss)]
    if len(losses) < max(LEAST_STEPS + 10, curves.total_steps // 10):
        return
    quarter = max(5, len(losses) // 4)
    first, last = median(losses[:quarter]), median(losses[-quarter:])
    noise = 1.5 * median([abs(loss - first) for loss in losses[:quarter]]) / math.sqrt(quarter)
    if last < LOW_LOSS or first - last > max(NOT_FALLING_SHARE * first, 2 * noise) or last > first * (1 + DIVERGED_SHARE):
        return
    yield Finding(
        "not-falling", "warning", f"The loss does not fall: {first:.3g} at the start, {last:.3g} now.", curves.steps[min(begun, len(curves.steps) - 1)],
        fixes.kept([fixes.rate(plan, 3), fixes.all_layers(plan), fixes.rank(plan, 2), fixes.CHECK_TEMPLATE, fixes.CHECK_DATA]),
    )


def erratic(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """Neighbouring losses differ by a large share of the loss."""
    recent = [loss for loss in curves.losses[-max(40, curves.span * 2) :] if math.isfinite(loss)]
    if len(recent) < 40 or mean(recent) < LOW_LOSS:
        return
    jumps = median([abs(one - other) for one, other in pairwise(recent)])
    if jumps > ERRATIC_SHARE * mean(recent):
        yield Finding(
            "erratic", "note", f"The loss jumps by {jumps:.2g} from step to step: each step sees too few rows to agree on a direction.",
            curves.steps[-len(recent)], fixes.kept([fixes.larger_batch(plan), fixes.rate(plan, 0.5)]),
        )


def plateau(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """The loss fell, and has been flat for the last 40 % of the steps, while the learning rate is still high."""
    over = curves.finished or 0 < curves.total_steps <= curves.steps[-1]
    if over or len(curves.steps) < max(100, curves.total_steps // 4):
        return
    early, middle, late = (median(curves.window(*share)) for share in ((0.0, 0.1), (0.6, 0.7), (0.9, 1.0)))
    rates = [value for value in curves.learning_rates if math.isfinite(value)]
    high = not rates or rates[-1] > 0.3 * max(rates)
    if high and early > middle * 1.05 and abs(middle - late) < FLAT_SHARE * middle and late >= LOW_LOSS:
        since = curves.steps[int(0.6 * len(curves.steps))]
        yield Finding(
            "plateau", "note", f"The loss has stood at {late:.3g} since about step {since}.", since,
            fixes.kept([
                Fix("Let it run: the falling learning rate often takes it lower towards the end."),
                fixes.rank(plan, 2), fixes.all_layers(plan), fixes.rate(plan, 1.5),
            ]),
        )


def underfitting(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """The run is over and the loss was still falling."""
    if not curves.finished or curves.steps[-1] < 40:
        return
    points = curves.evaluations
    if len(points) >= 4:
        before, last = points[-1 - max(1, len(points) // 4)][1], points[-1][1]
        if last > min(loss for _, loss in points):
            return
    else:
        before, last = median(curves.window(0.7, 0.85)), median(curves.window(0.85, 1.0))
    if last < LOW_LOSS or before - last < STILL_FALLING_SHARE * before:
        return
    yield Finding(
        "underfitting", "note", f"The loss was still falling at the end ({before:.3g} to {last:.3g}): there is more to learn.",
        curves.steps[int(0.7 * len(curves.steps))],
        fixes.kept([fixes.more_epochs(plan, curves), fixes.rate(plan, 1.5), fixes.rank(plan, 2), fixes.all_layers(plan)]),
    )


def no_gradient(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """Gradients of exactly 0 over several steps: nothing is trained."""
    norms = list(curves.grad_norms[:ZERO_GRADIENT_STEPS])
    if len(norms) == ZERO_GRADIENT_STEPS and all(norm == 0.0 for norm in norms):
        yield Finding(
            "no-gradient", "error", "The gradient is 0: no token bears loss, or nothing is trainable.", curves.steps[0],
            fixes.kept([fixes.CHECK_TEMPLATE, Fix("Learn from every token.", {"training.loss_on": "all"}) if plan.training.loss_on == "answers" else None]),
        )


def always_clipped(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """Nearly every gradient is shortened, so the clip sets the step, not the learning rate."""
    norms = [norm for norm in curves.grad_norms if math.isfinite(norm)]
    limit = plan.training.max_grad_norm
    if limit > 0 and len(norms) >= 50 and sum(norm > limit for norm in norms) > CLIPPED_SHARE * len(norms):
        typical = median(norms)
        yield Finding(
            "always-clipped", "note",
            f"Nearly every gradient (median {typical:.2g}) is longer than the clip of {limit:g}. With AdamW that changes little, but single bad batches no longer stand out.",
            curves.steps[0], (Fix(f"Clip at {float(f'{typical * 2:.1e}'):g}, twice the median.", {"training.max_grad_norm": float(f"{typical * 2:.1e}")}),),
        )
