"""What a recommendation may ask: the situation, and what has been decided before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from loratui.core import rules_of_thumb
from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.measured import Measurement
from loratui.core.memory import Budget, Estimate, budget, estimate
from loratui.core.plan import Plan, plain_plan
from loratui.core.presets import Calculation
from loratui.core.schedule import Schedule, make_schedule

_DEFAULT_PLAN = plain_plan()


def changed(plan: Plan, values: Mapping[str, Any]) -> Plan:
    """The plan with dotted keys replaced, unchecked: for trying values that are known to be good."""
    sections: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, {})[name] = value
    return plan.model_copy(
        update={section: getattr(plan, section).model_copy(update=update) for section, update in sections.items()}
    )


WEIGHTLESS: dict[str, set[str]] = {
    "training": {
        "epochs",
        "max_steps",
        "learning_rate",
        "scheduler",
        "min_lr_ratio",
        "warmup_steps",
        "weight_decay",
        "beta1",
        "beta2",
        "epsilon",
        "max_grad_norm",
        "seed",
    },
    "evaluation": {"patience", "prompts"},
    "lora": {"alpha"},
    "hardware": {"devices", "gpu", "cpu"},
}
"""Keys that move no byte of memory; every other key of a plan is taken to."""
_BESIDE: dict[str, Any] = {**WEIGHTLESS, "dataset": True, "saving": True, "cluster": True}
"""The same and three whole sections, as pydantic leaves fields out."""


def remembered_estimate(spec: ModelSpec, plan: Plan, data: DataFacts, device: Device) -> Estimate:
    """The estimate of a plan, computed once for all plans that differ only in keys that move no memory."""
    return _estimate_of(spec, _Key(plan), data, device)


class _Key:
    """A plan that can be looked up by what of it moves memory."""

    __slots__ = ("plan", "text")

    def __init__(self, plan: Plan) -> None:
        self.plan, self.text = plan, plan.model_dump_json(exclude=_BESIDE)

    def __hash__(self) -> int:
        return hash(self.text)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.text == other.text


@lru_cache(maxsize=256)
def _estimate_of(spec: ModelSpec, key: _Key, data: DataFacts, device: Device) -> Estimate:
    return estimate(spec, key.plan, data, device)


@dataclass
class Context:
    """One calculation under way.

    pinned: what the preset and the person have fixed. values: every key decided so far, pinned or proposed.
    measurements: what runs on this machine reached. searched: the `Search` for what fits, once that question
    was asked; a later one reads it.
    """

    spec: ModelSpec
    data: DataFacts
    device: Device
    pinned: Mapping[str, Any]
    calculation: Calculation = "evidence"
    values: dict[str, Any] = field(default_factory=dict)
    measurements: tuple[Measurement, ...] = ()
    searched: object = None

    def __post_init__(self) -> None:
        self._plan = changed(_DEFAULT_PLAN, {**self.pinned, **self.values})
        self._pending: dict[str, Any] = {}

    def decide(self, key: str, value: Any) -> None:
        """What follows rests on this value."""
        self.values[key] = self._pending[key] = value
        if key == "training.max_length":
            self.data = self.data.at(int(value))

    def get(self, key: str) -> Any:
        """The value decided for a key, or the one that is pinned, or the plan's default."""
        if key in self.values:
            return self.values[key]
        return self.pinned[key] if key in self.pinned else _DEFAULT_PLAN.get(key)

    def plan(self, changes: Mapping[str, Any] | None = None) -> Plan:
        """A plan of everything pinned and decided so far, with `changes` on top; unchecked."""
        if self._pending:
            self._plan, self._pending = changed(self._plan, self._pending), {}
        return changed(self._plan, changes) if changes else self._plan

    def estimate(self, plan: Plan) -> Estimate:
        """The memory that a plan needs here."""
        return remembered_estimate(self.spec, plan, self.data, self.device)

    def budget(self) -> Budget:
        """What the device can give."""
        return budget(self.device)

    def schedule(self) -> Schedule:
        """The run's length with everything decided so far."""
        return make_schedule(self.plan(), self.data, self.device.count)

    def rule_of_thumb(self) -> rules_of_thumb.RuleOfThumb:
        """The folk calculation alone, with what is pinned: it does not follow this calculation's own choices."""
        pinned, spec = self.pinned, self.spec
        return rules_of_thumb.calculate(
            parameters=spec.total_parameters,
            width=spec.hidden_size,
            layers=spec.layers,
            tokens=int(self.get("training.max_length")),
            examples=self.data.examples,
            gpu_gb=self.device.memory_total_bytes / 2**30,
            bf16=self.device.bf16,
            batch=pinned.get("training.batch_size"),
            passes=pinned.get("training.accumulation"),
            epochs=float(pinned.get("training.epochs", rules_of_thumb.EPOCHS)),
            steps=int(pinned.get("training.max_steps", 0)),
        )

    @property
    def full(self) -> bool:
        """Whether all weights are trained."""
        return bool(self.get("method.kind") == "full")


def evaluates(context: Context) -> bool:
    """Whether rows are held out, so that the run can evaluate. After `held_out` was asked."""
    data = context.data
    if not data.eval_examples and not context.get("dataset.eval_path") and (data.eval_taken or data.examples < 2):
        return False  # one row cannot be split
    return (
        bool(context.get("dataset.eval_path"))
        or float(context.get("dataset.eval_fraction")) > 0
        or int(context.get("dataset.eval_count")) > 0
    )
