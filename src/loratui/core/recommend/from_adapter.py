"""Training an adapter further: its shape is what it is, and its rate is lower than a new one's."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from loratui.core.architecture import ModelSpec
from loratui.core.errors import PlanError
from loratui.core.lora_targets import ALL_LINEAR, peft_targets, resolve_targets, target_names
from loratui.core.recommendation import Recommendation
from loratui.format import number_text

RATE_SHARE = 1 / 3
"""Of a new adapter's rate: ours, between the full rate and the tenth that recipes for a second stage use."""


class AdapterShape(NamedTuple):
    """An existing adapter as its adapter_config.json has it. targets: names of layers, or one pattern over their
    paths.
    """

    r: int
    alpha: float
    variant: str
    targets: tuple[str, ...] | str
    base: str = ""
    """The model that it names as its base; empty where it names none."""
    layers: tuple[tuple[str, int, int], ...] = ()
    """Path, inputs and outputs of each layer that its weights adapt; empty where they were not found."""
    partial: bool = False
    """Whether it was made for some of the model's blocks only."""


def require_model(spec: ModelSpec, adapter: AdapterShape) -> None:
    """Refuse an adapter whose weights have another shape than this model's layers. PlanError in one sentence."""
    shapes: dict[str, set[tuple[int, int]]] = {}
    counts: Counter[str] = Counter()
    for linear in spec.linears:
        shapes.setdefault(linear.path, set()).add((linear.in_features, linear.out_features))
        counts[linear.path] += linear.count
    found = Counter(_pattern(path) for path, _, _ in adapter.layers)
    for path, inputs, outputs in adapter.layers:
        kind = _pattern(path)
        if kind not in shapes:
            raise _of_another(spec, adapter, f"it has {path}, and the model has no such layer")
        if (inputs, outputs) not in shapes[kind]:
            own = " or ".join(f"{first:,} × {second:,}" for first, second in sorted(shapes[kind]))
            raise _of_another(spec, adapter, f"its {path} is {inputs:,} × {outputs:,}, the model's {own}")
    for kind, count in found.items():
        if count > counts[kind] or (count < counts[kind] and not adapter.partial):
            name = kind.rpartition(".")[2]
            raise _of_another(spec, adapter, f"it adapts {count:,} layers {name}, and the model has {counts[kind]:,}")


def require_targets(spec: ModelSpec, targets: str | Sequence[str], adapter: AdapterShape) -> None:
    """Refuse `lora.targets` that reach other layers than the adapter has. PlanError in one sentence."""
    own = plan_targets(spec, adapter.targets)
    if own is None:
        return
    wanted, found = (resolve_targets(spec, names) for names in (targets, own))
    if wanted == found:
        return
    reached, there = (sum(linear.count for linear in layers) for layers in (wanted, found))
    shown, names = (one if isinstance(one, str) else ",".join(one) for one in (targets, own))
    raise PlanError(
        f"lora.targets = {shown} reaches {reached:,} layers, but the adapter in lora.adapter has {there:,}: {names}.",
        hint=f"Set lora.targets to {names}.",
    )


def _pattern(path: str) -> str:
    return ".".join("{}" if part.isdecimal() else part for part in path.split("."))


def _of_another(spec: ModelSpec, adapter: AdapterShape, why: str) -> PlanError:
    made = f" It was made on {adapter.base}: take that model, or" if adapter.base else ""
    return PlanError(
        f"the adapter in lora.adapter is not of {spec.id or spec.family}: {why}.",
        hint=f"{made or 'Take the model that it was made on, or'} leave lora.adapter empty.".strip(),
    )


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
        yield reasons[key]._replace(
            value=value,
            why="That of the adapter in lora.adapter, which is trained further: its weights have this shape.",
            formula="as adapter_config.json has it",
            source="The adapter's own adapter_config.json.",
        )
    rate = reasons.get("training.learning_rate")
    if rate is not None and "preference.beta" not in reasons:  # rates of preference training are a second stage's
        value = float(f"{rate.value * RATE_SHARE:.1e}")
        yield rate._replace(
            value=value,
            why=(
                f"A third of the {number_text(rate.value)} for a new adapter: this one has learnt already, and a high "
                "rate would undo that first."
            ),
            formula=f"({rate.formula}) × 1/3",
            source=(
                f"{rate.source} The third is ours; Ibrahim et al. 2024 (2403.08763): going on at the full rate again "
                "adapts more and forgets more."
            ),
        )
