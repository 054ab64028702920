"""Whether the model's blocks are compiled: where the run is long enough to earn the time that compiling takes."""

from __future__ import annotations

from collections.abc import Iterator

from loratui.core.compiling import LEAST_GAIN, why_not_proposed
from loratui.core.measured import compile_seconds
from loratui.core.memory import verdict
from loratui.core.recommend.context import Context
from loratui.core.recommendation import Recommendation, two_sizes
from loratui.core.time import predict
from loratui.format import duration


def compiling(context: Context) -> Iterator[Recommendation]:
    """`training.compile`, once the length of the run is known."""
    plan, device = context.plan({"training.compile": False}), context.device
    against = why_not_proposed(plan, device, experts=bool(context.spec.experts))
    cost = compile_seconds(context.measurements, device=device.name)[1]
    steps = 0.0
    against = against or too_full(context, "training.compile")
    if not against:
        found = predict(context.spec, plan, context.data, device, context.schedule(), context.measurements)
        if found is None:
            against = "how long the run takes is not known"
        else:
            steps = found.low_seconds_per_step * found.total_steps
    value = not against and steps * LEAST_GAIN >= cost
    share = f"{LEAST_GAIN:.0%}"
    yield Recommendation(
        "training.compile",
        value,
        f"The steps take {duration(steps)} at least: {share} less is more than the {duration(cost)} that compiling "
        "takes at most. The rehearsal tries it, and it is dropped where it does not compute the same."
        if value
        else f"Not compiled: {against}."
        if against
        else f"The steps may take {duration(steps)} only: {share} less is not the {duration(cost)} that compiling may "
        "take.",
        against
        or f"{steps:,.0f} s × {share} = {steps * LEAST_GAIN:,.0f} s against {cost:,.0f} s to compile; from as much on",
        "torch `Module.compile` of each block (regional compilation, as accelerate's `compile_regions`); what it gains "
        "was not yet measured on a card here.",
        up="True: fewer, larger kernels. It takes its time at the start; a resumed run may round otherwise.",
        down="False: begins at once, and a resumed run stays bit for bit what it would have been.",
    )


def too_full(context: Context, key: str) -> str:
    """Why the own memory of kernels, which this key asks for, speaks against them: what fits safely without them has
    to fit so with them.
    """
    plain, kernels = (context.estimate(context.plan({key: value})) for value in (False, True))
    room = context.budget()
    if verdict(kernels, room) == verdict(plain, room):
        return ""
    return f"its kernels may take {two_sizes(kernels.upper_bytes, room.bytes)}"
