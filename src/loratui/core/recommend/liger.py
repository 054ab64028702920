"""Whether norms, rotary positions and gated products are computed by Liger's kernels, where they are installed."""

from __future__ import annotations

from collections.abc import Iterator

from loratui.core.liger import KERNELS, PACKAGE, why_not_proposed
from loratui.core.recommend.compiling import too_full
from loratui.core.recommend.context import Context
from loratui.core.recommendation import Recommendation


def liger(context: Context) -> Iterator[Recommendation]:
    """`training.liger`, once it is known whether the blocks are compiled."""
    plan, family = context.plan({"training.liger": False}), context.spec.family
    against = why_not_proposed(plan, context.device, context.spec) or too_full(context, "training.liger")
    kernels = ", ".join(KERNELS.get(family, ()))
    yield Recommendation(
        "training.liger",
        not against,
        f"Not used: {against}."
        if against
        else "Installed here and made for this model: less is kept and fewer kernels are started. They are tried "
        "beside the plain ones before the first step, and dropped where they do not compute the same.",
        against or f"{PACKAGE}: {family} → {kernels}",
        "liger-kernel 0.8.5 (Hsu et al. 2410.10989), through transformers' use_liger_kernel; its fused loss stays "
        "off, since TRL 1.16 computes its own in tiles. What it gains was not yet measured on a card here.",
        up=f"True: norms, rotary positions and gates by Triton's kernels. It needs the package {PACKAGE}.",
        down="False: transformers' own operations, and a resumed run rounds as it did.",
    )
