"""Steps that went wrong: numbers that are none, a loss that climbs, jumps or swings."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from loratui.core.diagnosis import fixes
from loratui.core.diagnosis.curves import NOISE_STEPS, NORMAL_JUMP, Curves, Finding, Fix, median
from loratui.core.diagnosis.divergence import RUINED_STEPS, ruined
from loratui.core.plan import Plan
from loratui.format import number_text

LEAST_STEPS = 20
DIVERGED_SHARE, DIVERGED_NATS = 0.25, 0.15
ABOVE_SHARE, ABOVE_NATS = 0.1, 0.2
"""How far above its start a loss has to stand."""
BURST_TIMES, DESTROYED_TIMES = 1.5, 3.0
DEVIATIONS = 4.0
SPIKE_WINDOW, SPIKE_DEVIATIONS, SPIKE_SHARE = 20, 8.0, 1.3
SPIKE_NATS = 0.1
"""The least jump worth a word: a loss near 0 moves by large shares of itself and nothing is wrong."""
MOST_SPREAD = 1.5
"""Largest deviation of a row's log loss that is believed: the hardest of 500 has 200 times the middle's."""
SPIKES_MOST = 0.03
"""Share of the steps: where more of them jump, hard rows are simply a part of the data."""
SWINGS, SWING_SHARE, SWING_NATS = 3, 0.1, 0.05
LEAST_ROWS = 8
"""Of fewer held-out rows the loss swings by itself."""


def not_finite(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """NaN or infinite loss; NaN gradients too, except in float16, whose loss scaling skips such steps."""
    broken = next(
        (step for step, loss in zip(curves.steps, curves.losses, strict=True) if not math.isfinite(loss)), None
    )
    what = "The loss"
    if broken is None and plan.training.precision != "fp16":
        norms = zip(curves.steps, curves.grad_norms, strict=False)
        broken = next((step for step, norm in norms if math.isinf(norm)), None)
        what = "The gradient"
    if broken is None:
        return
    told = f"{what} is no number any more since step {broken}: the weights are spoilt from there on."
    if broken <= 1:
        told = f"{what} is no number from the first step on, before anything was learnt: it is not the learning rate."
    sound = curves.healthy_step(broken)
    yield Finding(
        "not-finite", "error", told, broken, after_not_finite(plan, curves, step=broken, healthy_step=sound), sound
    )


def after_not_finite(plan: Plan, curves: Curves, *, step: int, healthy_step: int) -> tuple[Fix, ...]:
    """What mends a loss or gradient that is no number since `step`.

    At the first step nothing has been learnt: then numbers overflow, or the weights or the rows are broken, and no
    learning rate mends it. healthy_step: the last step before it went wrong; 0 where there was none.
    """
    safer = fixes.safer_precision(plan, curves)
    if step <= 1:
        every_token = Fix(
            "Learn from every token: where none bears loss, it is no number.", {"training.loss_on": "all"}, restart=True
        )
        nothing_learnt = every_token if plan.training.loss_on == "answers" and curves.trained_tokens == 0 else None
        return fixes.kept([safer, nothing_learnt, fixes.CHECK_WEIGHTS, fixes.CHECK_TEMPLATE])
    rest = fixes.after_divergence(plan, curves, healthy_step=healthy_step)
    return fixes.kept([safer, *rest, fixes.CHECK_DATA])


def diverging(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """The loss stands above where it began, or has turned and climbed by a quarter and stays there; or what a worker
    stops itself for, by the held-out loss too. Noise counts as neither.
    """
    found = _climbed(curves) if len(curves.smoothed) >= LEAST_STEPS else None
    reason, healthy = curves.divergence
    if found is None and reason:
        found = (reason, max(curves.steps[0], healthy), healthy)
    if found is None and curves.finished and ruined(curves.start_loss, curves.losses[1:]):
        found = (ruined_words(curves.start_loss, curves.losses), curves.steps[0], 0)
    if found is not None:
        message, since, sound = found
        yield Finding(
            "diverging", "error", message, since, fixes.after_divergence(plan, curves, healthy_step=sound), sound
        )


def ruined_words(start: float, losses: Sequence[float]) -> str:
    """What to say of a run whose losses are `ruined`. start: the first step's."""
    now = median(losses[-RUINED_STEPS:])
    return f"The training diverged: the loss began at {start:.3g} and ends at {now:.3g}; what the base knew is lost."


def _climbed(curves: Curves) -> tuple[str, int, int] | None:
    """What to say of a loss that climbed, since which step, and the last sound one; None where it did not."""
    early = _above_start(curves)
    if early:
        return early, curves.steps[0], 0
    smoothed = curves.smoothed
    lowest = min(
        range(len(smoothed)), key=lambda index: smoothed[index] if math.isfinite(smoothed[index]) else math.inf
    )
    floor, now = smoothed[lowest], smoothed[-1]
    recent = [value for value in smoothed[-max(5, curves.span) :] if math.isfinite(value)]
    climb = max(DIVERGED_SHARE * floor, DIVERGED_NATS, 1.5 * DEVIATIONS * curves.noise / math.sqrt(curves.span))
    if not recent or lowest >= len(smoothed) - curves.span or min(recent) < floor + climb:
        return None
    message = f"The loss climbs: {floor:.3g} at step {curves.steps[lowest]}, now {now:.3g}."
    return message, curves.steps[lowest], curves.healthy_step()


def _above_start(curves: Curves) -> str:
    """What to say where the loss blew up, and did not come back far below its start or went so high that nothing is
    left; empty elsewhere.
    """
    begun, noise, smoothed = curves.start_loss, curves.noise, curves.smoothed
    recent = [loss for loss in curves.losses[-max(10, curves.span) :] if math.isfinite(loss)]
    finite = [value for value in smoothed if math.isfinite(value)]
    if not math.isfinite(begun) or not recent or not finite:
        return ""
    level, highest = median(recent), max(finite)
    if min(recent) > begun and level > begun + max(ABOVE_SHARE * begun, ABOVE_NATS) + DEVIATIONS * noise:
        return f"The loss began at {begun:.3g} and stands at {level:.3g}: it has not come back below its start."
    burst = highest > BURST_TIMES * begun + DEVIATIONS * noise and highest > level + DEVIATIONS * noise
    if burst and highest > DESTROYED_TIMES * begun:
        return (
            f"The loss rose from {begun:.3g} to {highest:.3g}: what the base knew is lost, whatever was learnt "
            f"since ({level:.3g} now)."
        )
    if burst and level > begun * (1 - ABOVE_SHARE):
        return (
            f"The loss rose from {begun:.3g} to {highest:.3g} and has hardly come back below its start: "
            f"{level:.3g} now."
        )
    return ""


def hardest_step(curves: Curves, rows: int) -> tuple[float, float]:
    """Highest loss, as a multiple of its neighbours', that a step of so many rows reaches without anything being
    wrong: with the hardest of all rows seen so far in it. The same of the last step of an epoch, which may have one
    row.

    Rows' losses are taken to be log-normal, a step's loss to be their mean: the spread of one row is that of a step
    times the root of its rows. Of a short run the spread is known badly, and is taken to be as large as it may be.
    """
    known = [loss for loss in curves.losses if math.isfinite(loss) and loss > 0][-NOISE_STEPS:]
    moves = [abs(math.log(later / earlier)) for earlier, later in pairwise(known)]
    if not moves:
        return math.inf, math.inf
    step = NORMAL_JUMP * median(moves) * (1 + 2 / math.sqrt(len(moves)))
    row = min(step * math.sqrt(rows), MOST_SPREAD)
    hardest = math.exp(row * math.sqrt(2 * math.log(max(2, rows * len(curves.losses)))))
    return 1 + (hardest - 1) / rows, hardest


def spikes(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """Single steps far above their neighbours, after which the loss comes back."""
    losses = list(curves.losses)
    found: list[int] = []
    by_chance, at_end = hardest_step(curves, plan.effective_batch_size)
    for index in range(SPIKE_WINDOW, len(losses)):
        before = [loss for loss in losses[index - SPIKE_WINDOW : index] if math.isfinite(loss)]
        if len(before) < SPIKE_WINDOW // 2 or not math.isfinite(losses[index]):
            continue
        middle = median(before)
        deviation = median([abs(loss - middle) for loss in before])
        ends_epoch = curves.steps_per_epoch > 0 and curves.steps[index] % curves.steps_per_epoch == 0
        share = max(SPIKE_SHARE, at_end if ends_epoch else by_chance) - 1
        high = losses[index] > middle + max(SPIKE_DEVIATIONS * deviation, share * middle, SPIKE_NATS)
        if high and (not found or curves.steps[index] - found[-1] > 3):
            found.append(curves.steps[index])
    if not found or len(found) > max(3, SPIKES_MOST * len(losses)):
        return
    several = len(found) >= 3
    steps = ", ".join(map(str, found[:5])) + ("…" if len(found) > 5 else "")
    yield Finding(
        "spikes",
        "note",
        f"The loss jumps at step{'s' if len(found) > 1 else ''} {steps}: single hard or broken rows, or too large "
        "steps.",
        found[0],
        fixes.kept(
            [
                fixes.CHECK_DATA,
                *fixes.less_sure(
                    [fixes.larger_batch(plan), fixes.halved_rate(plan) if several else None, fixes.clip(plan)]
                ),
            ]
        ),
    )


def erratic(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """The evaluation loss swings up and down instead of falling: the steps are too large to settle."""
    losses = [loss for _, loss in curves.evaluations[-8:]]
    moves = [
        later - earlier
        for earlier, later in pairwise(losses)
        if abs(later - earlier) > max(SWING_SHARE * earlier, SWING_NATS)
    ]
    rises = [move for move in moves if move > 0]
    few = 0 < curves.eval_rows < LEAST_ROWS
    if few or len(rises) < SWINGS or len(moves) - len(rises) < SWINGS - 1 or losses[0] - losses[-1] > sum(rises):
        return
    since = curves.evaluations[-len(losses)][0]
    yield Finding(
        "erratic",
        "note",
        f"The evaluation loss swings between {min(losses):.3g} and {max(losses):.3g} instead of falling: the steps "
        "are too large.",
        since,
        fixes.kept([_calmer(plan, curves), *fixes.less_sure([fixes.larger_batch(plan)])]),
    )


def _calmer(plan: Plan, curves: Curves) -> Fix:
    proposed = fixes.proposed_rate(plan, curves)
    if plan.training.learning_rate > fixes.FAR * proposed:
        value = fixes.rounded(proposed)
        return Fix(
            f"Lower the learning rate from {number_text(plan.training.learning_rate)} to the proposed "
            f"{number_text(value)}.",
            {fixes.RATE: value},
        )
    return fixes.halved_rate(plan)
