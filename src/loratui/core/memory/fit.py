"""The largest batch, the longest length and the highest rank that fit."""

from __future__ import annotations

from collections.abc import Callable

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.memory.budget import budget
from loratui.core.memory.estimate import estimate
from loratui.core.plan import Plan


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
    if not test(low):
        return 0
    while low < high:
        middle = (low + high + 1) // 2
        if test(middle):
            low = middle
        else:
            high = middle - 1
    return low


def largest_batch(spec: ModelSpec, plan: Plan, data: DataFacts, device: Device, *, most: int = 1024, limit_bytes: int | None = None) -> int:
    """Most rows per forward pass that fit, the rest of the plan as it is; 0 where not even one does."""
    def test(rows: int) -> bool:
        return fits(spec, changed(plan, training__batch_size=rows), data, device, limit_bytes)

    return _largest(test, 1, most)


def longest_length(spec: ModelSpec, plan: Plan, data: DataFacts, device: Device, *, limit_bytes: int | None = None) -> int:
    """Longest row in tokens that fits, a multiple of 8, up to what the model's positions allow; 0 where none does."""
    most = max(8, min(spec.max_positions or 131072, 1_048_576)) // 8
    def test(eighths: int) -> bool:
        length = eighths * 8
        stretched = DataFacts(data.examples, (min(data.lengths[0], length), length) if data.lengths[0] < data.longest else (length,), data.exact, data.trained_share)
        return fits(spec, changed(plan, training__max_length=length), stretched, device, limit_bytes)

    return 8 * _largest(test, 1, most)


def highest_rank(spec: ModelSpec, plan: Plan, data: DataFacts, device: Device, *, most: int = 1024, limit_bytes: int | None = None) -> int:
    """Highest LoRA rank that fits; 0 where not even rank 1 does, or for full fine-tuning."""
    if plan.method.kind == "full":
        return 0

    def test(rank: int) -> bool:
        return fits(spec, changed(plan, lora__r=rank), data, device, limit_bytes)

    return _largest(test, 1, most)
