"""Whether a finished run knows less of rows that it has not seen than its base did."""

from __future__ import annotations

import math
from collections.abc import Iterator

from loratui.core.diagnosis import fixes
from loratui.core.diagnosis.curves import FIRST_STEPS, Curves, Finding
from loratui.core.plan import Plan
from loratui.core.preferences import learns_judged

KIND = "worse-than-base"
SHARE, NATS, NOISES = 0.1, 0.1, 2.0
"""How far the held-out loss has to stand above the losses that the run began with: 10 %, 0.1 nats, twice the noise of
a step.
"""
ALONE_SHARE, ALONE_NATS = 0.25, 0.25
"""Where it was evaluated once only: nothing shows that the held-out rows were not harder from the beginning."""
EXACT_NATS = 0.01
"""Where the base was evaluated on the same rows, and twice what their number leaves uncertain."""


def worse_than_base(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """The held-out loss of a finished run's result is above that of what it began with on the same rows."""
    points = curves.evaluations
    if not curves.finished or not points:
        return
    step, end = min(points, key=lambda point: point[1]) if plan.evaluation.patience else points[-1]
    known = math.isfinite(curves.base_loss)
    begun = curves.base_loss if known else _from_first_steps(curves, plan, end)
    if known and end <= begun + max(EXACT_NATS, NOISES * curves.rows_noise(begun)):
        return
    if math.isnan(begun):
        return
    from_adapter = plan.method.kind != "full" and plan.lora.adapter
    base = "the adapter that it began from" if from_adapter else "its base"
    yield Finding(
        KIND,
        "warning",
        f"The held-out loss ends at {end:.3g} (step {step}), above the {begun:.3g} that the run began with: on rows "
        f"that it has not seen the result is worse than {base}.",
        step,
        fixes.kept(
            [
                fixes.anew_with_proposed(plan, curves)
                if plan.training.learning_rate > fixes.proposed_rate(plan, curves)
                else None,
                fixes.keep_best(plan, curves) if not known or min(loss for _, loss in points) < begun else None,
                fixes.fewer_epochs(plan),
                fixes.CHECK_TEMPLATE,
                fixes.CHECK_DATA,
            ]
        ),
    )


def _from_first_steps(curves: Curves, plan: Plan, end: float) -> float:
    """What the base knew, where it was not evaluated itself: the highest training loss of the first steps; NaN where
    the held-out loss `end` is not well above that, or an evaluation shows that it came down.

    KTO's training losses tell nothing of that: wanted and unwanted answers are weighted, and how many there are of
    either differs from batch to batch and from the held-out rows.
    """
    points = curves.evaluations
    early = [
        loss for step, loss in zip(curves.steps, curves.losses, strict=True) if step <= FIRST_STEPS and loss == loss
    ]
    if learns_judged(plan) or not early or math.isnan(curves.start_loss):
        return math.nan
    begun, alone = max(early), len(points) == 1
    share, nats = (ALONE_SHARE, ALONE_NATS) if alone else (SHARE, NATS)
    least = max(share * begun, nats, NOISES * max(curves.noise, curves.evaluation_noise))
    came_down = not alone and end < points[0][1] - curves.evaluation_noise
    return math.nan if came_down or end <= begun + least else begun
