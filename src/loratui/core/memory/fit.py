"""What fits: the largest batch, the longest length, the highest rank; and for a list of models, which methods do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts, uniform
from loratui.core.hardware import Device
from loratui.core.memory.budget import Budget, Verdict, budget, verdict
from loratui.core.memory.estimate import Estimate, estimate
from loratui.core.memory.formats import formats
from loratui.core.memory.states import gradients_bytes, optimizer_bytes, weights_bytes
from loratui.core.plan import MethodKind, Plan, plain_plan


def changed(plan: Plan, **values: object) -> Plan:
    """The plan with some values of its sections replaced, unchecked; keys are `section__name`."""
    updates: dict[str, dict[str, object]] = {}
    for key, value in values.items():
        section, _, name = key.partition("__")
        updates.setdefault(section, {})[name] = value
    return plan.model_copy(
        update={section: getattr(plan, section).model_copy(update=names) for section, names in updates.items()}
    )


def fits(spec: ModelSpec, plan: Plan, data: DataFacts, device: Device, limit_bytes: int | None = None) -> bool:
    """Whether the plan fits, at its estimate's upper end, into the limit (the device's budget where none is given)."""
    limit = budget(device).bytes if limit_bytes is None else limit_bytes
    return estimate(spec, plan, data, device).upper_bytes <= limit


def _largest(test: Callable[[int], bool], low: int, high: int) -> int:
    """Largest whole number in low..high that passes a test which holds up to some number; 0 where none does."""
    if test(high):
        return high
    if not test(low):
        return 0
    high -= 1
    while low < high:
        middle = (low + high + 1) // 2
        if test(middle):
            low = middle
        else:
            high = middle - 1
    return low


def largest_batch(
    spec: ModelSpec, plan: Plan, data: DataFacts, device: Device, *, most: int = 1024, limit_bytes: int | None = None
) -> int:
    """Most rows per forward pass that fit, the rest of the plan as it is; 0 where not even one does."""

    def test(rows: int) -> bool:
        return fits(spec, changed(plan, training__batch_size=rows), data, device, limit_bytes)

    return _largest(test, 1, most)


def longest_length(
    spec: ModelSpec,
    plan: Plan,
    data: DataFacts,
    device: Device,
    *,
    most: int = 1_048_576,
    limit_bytes: int | None = None,
) -> int:
    """Longest row in tokens that fits, a multiple of 8, up to `most` and what the model's positions allow; 0 where none
    does."""
    most = max(8, min(spec.max_positions or 131072, most)) // 8

    def test(eighths: int) -> bool:
        length = eighths * 8
        stretched = DataFacts(
            data.examples,
            (min(data.lengths[0], length), length) if data.lengths[0] < data.longest else (length,),
            data.exact,
            data.trained_share,
        )
        return fits(spec, changed(plan, training__max_length=length), stretched, device, limit_bytes)

    return 8 * _largest(test, 1, most)


def highest_rank(
    spec: ModelSpec, plan: Plan, data: DataFacts, device: Device, *, most: int = 1024, limit_bytes: int | None = None
) -> int:
    """Highest LoRA rank that fits; 0 where not even rank 1 does, or for full fine-tuning."""
    if plan.method.kind == "full":
        return 0

    def test(rank: int) -> bool:
        return fits(spec, changed(plan, lora__r=rank), data, device, limit_bytes)

    return _largest(test, 1, most)


BADGE_TOKENS = 1024
"""Length of the rows that a badge supposes, one row at a time, with checkpointing."""

_FACTS = uniform(1000, BADGE_TOKENS)


_LEAN = changed(plain_plan(), training__checkpointing=True, training__batch_size=1, training__max_length=BADGE_TOKENS)
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
    """The states alone often decide; the tape is only asked where they do not. On several devices weights may be
    divided.
    """
    plan, form = _PLANS[kind], _FORMATS[kind]
    if device.count > 1:
        return verdict(_estimate(spec, plan, device, limit), limit)
    if weights_bytes(spec, form) + gradients_bytes(spec, plan, form) + optimizer_bytes(spec, plan, form) > limit.bytes:
        return "too big"
    return verdict(estimate(spec, plan, _FACTS, device), limit)


def method_fits(spec: ModelSpec, device: Device) -> dict[MethodKind, Verdict]:
    """Whether each method fits the device (one of several, where they are put together) with one row of 1,024 tokens at
    a time, checkpointing and rank 16.
    """
    return dict(_method_fits(replace(spec, id=""), device))  # the sizes of a family and its chat models are the same


def _estimate(spec: ModelSpec, plan: Plan, device: Device, limit: Budget) -> Estimate:
    """Whole copies where they fit or there is one device; else divided weights."""
    copies = estimate(spec, plan, _FACTS, device)
    if device.count > 1 and verdict(copies, limit) == "too big":
        return estimate(spec, changed(plan, hardware__parallelism="fsdp"), _FACTS, device)
    return copies
