"""For a list of models: whether full fine-tuning, LoRA and QLoRA fit, at the leanest reasonable settings."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import uniform
from loratui.core.hardware import Device
from loratui.core.memory.budget import Budget, Verdict, budget, verdict
from loratui.core.memory.estimate import estimate
from loratui.core.memory.fit import changed
from loratui.core.memory.formats import formats
from loratui.core.memory.states import gradients_bytes, optimizer_bytes, weights_bytes
from loratui.core.plan import MethodKind, Plan

BADGE_TOKENS = 1024
"""Length of the rows that a badge supposes, one row at a time, with checkpointing."""

_FACTS = uniform(1000, BADGE_TOKENS)


_LEAN = changed(Plan(), training__checkpointing=True, training__batch_size=1, training__max_length=BADGE_TOKENS)
_PLANS: dict[MethodKind, Plan] = {
    "full": changed(_LEAN, method__kind="full"),
    "lora": _LEAN,
    "qlora": changed(_LEAN, method__kind="qlora", method__quantization="nf4", method__double_quantization=True),
}
_FORMATS = {kind: formats(plan) for kind, plan in _PLANS.items()}


@lru_cache(maxsize=4096)
def _method_fits(spec: ModelSpec, device: Device) -> tuple[tuple[MethodKind, Verdict], ...]:
    limit = budget(device)
    return tuple((kind, _verdict(spec, kind, device, limit)) for kind in _PLANS)


def _verdict(spec: ModelSpec, kind: MethodKind, device: Device, limit: Budget) -> Verdict:
    """The states alone often decide; the tape is only asked where they do not. On several devices weights may be divided."""
    plan, form = _PLANS[kind], _FORMATS[kind]
    if device.count > 1:
        copies = verdict(estimate(spec, plan, _FACTS, device), limit)
        return verdict(estimate(spec, changed(plan, hardware__parallelism="fsdp"), _FACTS, device), limit) if copies == "too big" else copies
    if weights_bytes(spec, form) + gradients_bytes(spec, plan, form) + optimizer_bytes(spec, plan, form) > limit.bytes:
        return "too big"
    return verdict(estimate(spec, plan, _FACTS, device), limit)


def method_fits(spec: ModelSpec, device: Device) -> dict[MethodKind, Verdict]:
    """Whether each method fits the device (one of several, where they are put together) with one row of 1,024 tokens at a time, checkpointing and rank 16."""
    return dict(_method_fits(replace(spec, id=""), device))  # the sizes of a family and its chat models are the same
