"""How several GPUs share the work."""

from __future__ import annotations

from loratui.core.recommend import reasons
from loratui.core.recommend.context import Context
from loratui.core.recommend.search import Fit, Search
from loratui.core.recommendation import Recommendation


def several_gpus(context: Context, search: Search) -> Recommendation:
    """`hardware.parallelism`: a whole copy on each GPU where that fits, else a share of the weights on each."""
    found, count = search.found, context.device.count
    changes = {**found.changes, "hardware.parallelism": "ddp"}
    copy = Fit(changes, context.estimate(context.plan(changes)), search.room, found.rung)
    if found.divided:
        text = reasons.joined("a copy on each GPU ", reasons.lost(copy), f": each holds 1/{count} of the weights")
    elif found.fits:
        text = reasons.joined("a whole copy fits on each GPU: ", reasons.taken(copy), "; only gradients travel")
    else:
        text = reasons.joined("nothing fits; a copy on each GPU ", reasons.lost(copy, "needs "))
    return Recommendation(
        "hardware.parallelism",
        found.changes["hardware.parallelism"],
        text.sentence,
        f"ddp if a copy fits, else fsdp: {reasons.weighed(search)}",
        "accelerate 1.15 and torch 2.13 (DistributedDataParallel, fully_shard): ZeRO, arXiv 1910.02054; "
        "FSDP, arXiv 2304.11277.",
        up="fsdp: weights, gradients and optimizer states divided by the number of GPUs; "
        "every block travels between them twice a step.",
        down="ddp: the least traffic; memory as on a single GPU, and gradients once more for their exchange.",
        claims=text.claims,
    )
