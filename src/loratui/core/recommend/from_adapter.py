"""Training an adapter further: its shape is what it is, and its rate is lower than a new one's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from loratui.core.architecture import ModelSpec
from loratui.core.lora_targets import ALL_LINEAR, peft_targets, target_names
from loratui.core.recommendation import Recommendation

RATE_SHARE = 1 / 3
"""Of a new adapter's rate: ours, between the full rate and the tenth that recipes for a second stage use."""


@dataclass(frozen=True, slots=True)
class AdapterShape:
    """An existing adapter as its adapter_config.json has it. targets: names of layers, or one pattern over their
    paths.
    """

    r: int
    alpha: float
    variant: str
    targets: tuple[str, ...] | str


def plan_targets(spec: ModelSpec, targets: tuple[str, ...] | str) -> str | list[str] | None:
    """The adapter's layers as `lora.targets` says them; None for a pattern that it cannot say."""
    every = peft_targets(spec, ALL_LINEAR)
    known = (
        every
        if isinstance(every, str) and every != ALL_LINEAR
        else frozenset(target_names(spec) if isinstance(every, str) else every)
    )
    if (targets if isinstance(targets, str) else frozenset(targets)) in (known, ALL_LINEAR):
        return ALL_LINEAR
    return None if isinstance(targets, str) else sorted(targets)


def shape_values(spec: ModelSpec, adapter: AdapterShape) -> dict[str, Any]:
    """The plan's values, by key, that an adapter decides for whoever trains it further."""
    targets = plan_targets(spec, adapter.targets)
    found = {"lora.r": adapter.r, "lora.alpha": float(adapter.alpha), "lora.variant": adapter.variant}
    return found | ({"lora.targets": targets} if targets is not None else {})


def continued(
    adapter: AdapterShape, spec: ModelSpec, reasons: Mapping[str, Recommendation]
) -> Iterator[Recommendation]:
    """What the adapter decides in place of the reasons for a new one, and a lower learning rate."""
    for key, value in shape_values(spec, adapter).items():
        yield replace(
            reasons[key],
            value=value,
            why="That of the adapter in lora.adapter, which is trained further: its weights have this shape.",
            formula="as adapter_config.json has it",
            source="The adapter's own adapter_config.json.",
        )
    rate = reasons.get("training.learning_rate")
    if rate is not None:
        value = float(f"{rate.value * RATE_SHARE:.1e}")
        yield replace(
            rate,
            value=value,
            why=(
                f"A third of the {rate.value:g} for a new adapter: this one has learnt already, and a high rate would "
                "undo that first."
            ),
            formula=f"({rate.formula}) × 1/3",
            source=(
                f"{rate.source} The third is ours; Ibrahim et al. 2024 (2403.08763): going on at the full rate again "
                "adapts more and forgets more."
            ),
        )
