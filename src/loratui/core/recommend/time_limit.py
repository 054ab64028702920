"""How long a job of a batch scheduler may take."""

from __future__ import annotations

import math
from collections.abc import Iterator

from loratui.core.recommend.context import Context
from loratui.core.recommendation import Recommendation
from loratui.core.time import predict
from loratui.format import duration

START_SECONDS = 600
"""For what comes before the first step: the set-up, the imports, the model from a slow disk, the rows."""
MARGIN = 1.25
GRAIN_MINUTES = 15
LEAST_MINUTES = 30


def minutes_for(high_seconds: float) -> int:
    """Minutes to ask for a run that takes at most so many seconds: a quarter more, the start, up to a quarter hour."""
    minutes = (high_seconds * MARGIN + START_SECONDS) / 60
    return max(LEAST_MINUTES, math.ceil(minutes / GRAIN_MINUTES) * GRAIN_MINUTES)


def time_limit(context: Context) -> Iterator[Recommendation]:
    """`cluster.time_limit_minutes`, for a run that a scheduler places."""
    if not context.get("cluster.engine"):
        return
    found = predict(context.spec, context.plan(), context.data, context.device, context.schedule())
    if found is None:
        value, formula = 0, "the speed of the device is not known"
        why = "How long it takes is not known here: the partition's own limit holds."
    else:
        value = min(525_600, minutes_for(found.high_seconds))
        formula = f"{found.high_seconds:,.0f} s at most × {MARGIN:g} + {START_SECONDS} s to start = {value:,} minutes"
        why = (
            f"It takes {duration(found.low_seconds)} to {duration(found.high_seconds)} by the prediction; with a "
            f"quarter more and {START_SECONDS // 60} minutes to start, {value:,} minutes are enough."
        )
    yield Recommendation(
        "cluster.time_limit_minutes",
        value,
        why,
        formula,
        "Slurm fills gaps with jobs whose limit is short (backfill): a tight one starts sooner.",
        up="Waits longer in the queue; no chance to be cut.",
        down="Starts sooner; a run that is cut saves and goes on in a next job (cluster.requeue).",
    )
