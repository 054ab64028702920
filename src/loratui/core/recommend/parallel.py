"""How several GPUs share the work."""

from __future__ import annotations

from loratui.core.recommendation import Recommendation


def several_gpus(count: int, *, divided: bool, verdict: str) -> Recommendation:
    """`hardware.parallelism` for so many GPUs; divided: whether a whole copy was too large for one. verdict: what fits."""
    return Recommendation(
        "hardware.parallelism", "fsdp" if divided else "ddp",
        f"A whole copy does not fit on one GPU: each holds 1/{count} of the weights, and gathers a block when it is its turn." if divided
        else "The model fits on one GPU: each holds a whole copy, and they exchange nothing but gradients.",
        f"ddp if a copy fits, else fsdp: {verdict} on each of {count}",
        "accelerate 1.15 and torch 2.13 (DistributedDataParallel, fully_shard): ZeRO, arXiv 1910.02054; FSDP, arXiv 2304.11277.",
        up="fsdp: weights, gradients and optimizer states divided by the number of GPUs; every block travels between them twice a step.",
        down="ddp: the least traffic; memory as on a single GPU, and gradients once more for their exchange.",
    )
