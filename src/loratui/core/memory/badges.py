"""For a list of models: whether full fine-tuning, LoRA and QLoRA fit, at the leanest reasonable settings."""

from __future__ import annotations

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import uniform
from loratui.core.hardware import Device
from loratui.core.memory.budget import Verdict, budget, verdict
from loratui.core.memory.estimate import estimate
from loratui.core.memory.fit import changed
from loratui.core.plan import MethodKind, Plan

BADGE_TOKENS = 1024
"""Length of the rows that a badge supposes, one row at a time, with checkpointing."""

_FACTS = uniform(1000, BADGE_TOKENS)


def method_fits(spec: ModelSpec, device: Device) -> dict[MethodKind, Verdict]:
    """Whether each method fits the device with one row of 1,024 tokens at a time, checkpointing and rank 16."""
    limit = budget(device)
    base = changed(Plan(), training__checkpointing=True, training__batch_size=1, training__max_length=BADGE_TOKENS)
    plans: dict[MethodKind, Plan] = {
        "full": changed(base, method__kind="full"),
        "lora": base,
        "qlora": changed(base, method__kind="qlora", method__quantization="nf4", method__double_quantization=True),
    }
    return {kind: verdict(estimate(spec, plan, _FACTS, device), limit) for kind, plan in plans.items()}
