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


def worse_than_base(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """The held-out loss of a finished run's result is above the highest loss of its first steps, which is what the base
    knew, and no evaluation shows that it came down. KTO's losses tell nothing of that: wanted and unwanted answers are
    weighted, and how many there are of either differs from batch to batch and from the held-out rows.
    """
    if learns_judged(plan):
        return
    points = curves.evaluations
    early = [
        loss for step, loss in zip(curves.steps, curves.losses, strict=True) if step <= FIRST_STEPS and loss == loss
    ]
    if not curves.finished or not points or not early or math.isnan(curves.start_loss):
        return
    step, end = min(points, key=lambda point: point[1]) if plan.evaluation.patience else points[-1]
    begun, alone = max(early), len(points) == 1
    share, nats = (ALONE_SHARE, ALONE_NATS) if alone else (SHARE, NATS)
    least = max(share * begun, nats, NOISES * max(curves.noise, curves.evaluation_noise))
    if end <= begun + least or (not alone and end < points[0][1] - curves.evaluation_noise):
        return
    yield Finding(
        KIND,
        "warning",
        f"The held-out loss ends at {end:.3g} (step {step}), above the {begun:.3g} that the run began with: on rows "
        "that it has not seen the result is worse than its base.",
        step,
        fixes.kept(
            [
                fixes.anew_with_proposed(plan, curves)
                if plan.training.learning_rate > fixes.proposed_rate(plan, curves)
                else None,
                fixes.keep_best(plan, curves),
                fixes.fewer_epochs(plan),
                fixes.CHECK_TEMPLATE,
                fixes.CHECK_DATA,
            ]
        ),
    )
