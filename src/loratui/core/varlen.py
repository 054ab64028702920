"""torch's own attention over rows of unlike length (`model.attention = torch_varlen`): since when, and for which plans.

Read from torch 2.10, 2.11 and 2.13 (`torch/nn/attention/varlen.py`, `flash_attn/flash_api.cpp`): flash attention 2's
kernel as torch ships it. Where it refuses on a card, the run goes on with sdpa (`worker/training/varlen.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from loratui.core.attention import TORCH_VARLEN

if TYPE_CHECKING:
    from loratui.core.plan import Plan

SINCE = (2, 11)
"""The first torch whose function takes a scale and sliding windows; 2.10's has neither."""
UNTRIED = "it has not met a card yet, so that no speed of it is known"
"""Said wherever it is proposed, until a card has measured it."""
HEAD_STEP = 8
"""Of which heads' widths are a multiple."""


def why_no_varlen(plan: Plan) -> str:
    """Why it cannot be used for this plan, as a sentence; empty where nothing is known against it."""
    if plan.model.attention != TORCH_VARLEN:
        return ""
    if plan.training.objective != "sft":
        return (
            f"model.attention = {TORCH_VARLEN} is for answers (training.objective = sft): pairs and judged answers are "
            "padded, and compared with a model that has to compute alike."
        )
    if plan.processes > 1:
        return (
            f"model.attention = {TORCH_VARLEN} is for one device: what one process finds of it on its first batch the "
            "others would not know."
        )
    return ""
