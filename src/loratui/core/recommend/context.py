"""What a recommendation may ask: the situation, and what has been decided before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.memory import Budget, Estimate, budget, estimate
from loratui.core.plan import Plan
from loratui.core.presets import Calculation
from loratui.core.schedule import Schedule, make_schedule

_DEFAULT_PLAN = Plan()


def changed(plan: Plan, values: Mapping[str, Any]) -> Plan:
    """The plan with dotted keys replaced, unchecked: for trying values that are known to be good."""
    sections: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        sections.setdefault(section, {})[name] = value
    return plan.model_copy(
        update={section: getattr(plan, section).model_copy(update=update) for section, update in sections.items()}
    )


@dataclass
class Context:
    """One calculation under way.

    pinned: what the preset and the person have fixed. values: every key decided so far, pinned or proposed.
    """

    spec: ModelSpec
    data: DataFacts
    device: Device
    pinned: Mapping[str, Any]
    calculation: Calculation = "evidence"
    values: dict[str, Any] = field(default_factory=dict)
    weighed: tuple[Mapping[str, Any], Estimate] | None = None
    """The last point that was weighed for memory, to be used again where the plan ends there."""

    def get(self, key: str) -> Any:
        """The value decided for a key, or the one that is pinned, or the plan's default."""
        if key in self.values:
            return self.values[key]
        return self.pinned[key] if key in self.pinned else _DEFAULT_PLAN.get(key)

    def plan(self, changes: Mapping[str, Any] | None = None) -> Plan:
        """A plan of everything pinned and decided so far, with `changes` on top; unchecked."""
        return changed(_DEFAULT_PLAN, {**self.pinned, **self.values, **(changes or {})})

    def estimate(self, changes: Mapping[str, Any] | None = None) -> Estimate:
        """The memory that the plan so far needs, with `changes` on top."""
        return estimate(self.spec, self.plan(changes), self.data, self.device)

    def budget(self) -> Budget:
        """What the device can give."""
        return budget(self.device)

    def schedule(self) -> Schedule:
        """The run's length with everything decided so far."""
        return make_schedule(self.plan(), self.data, self.device.count)

    def final_estimate(self, plan: Plan) -> Estimate:
        """The memory of the finished plan; not computed twice where the search ended at it."""
        if self.weighed is not None and all(
            plan.get(key) == value for key, value in self.weighed[0].items() if key != "evaluation.every_steps"
        ) and bool(plan.evaluation.every_steps) == bool(self.weighed[0].get("evaluation.every_steps")):
            return self.weighed[1]
        return estimate(self.spec, plan, self.data, self.device)

    @property
    def full(self) -> bool:
        """Whether all weights are trained."""
        return bool(self.get("method.kind") == "full")


def evaluates(context: Context) -> bool:
    """Whether rows are held out, so that the run will evaluate."""
    return bool(context.get("dataset.eval_path")) or float(context.get("dataset.eval_fraction")) > 0
