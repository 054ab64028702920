"""Everything together: a situation and the person's own values in; a whole plan with its reasons out.

The chain of consequences: the questions of `recommend` are asked in order, and each answer rests on what was decided
before it, by the person ("mine"), by the preset, or by the calculation ("proposed"). What a person set is never
overwritten.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.errors import PlanError
from loratui.core.hardware import Device
from loratui.core.lora_targets import trainable_parameters, translate_targets
from loratui.core.measured import Measurement
from loratui.core.memory import Budget, Estimate, Verdict, budget, verdict
from loratui.core.plan import Plan
from loratui.core.plan_text import check_value, fields
from loratui.core.presets import AUTO, Preset
from loratui.core.recommend import QUESTIONS, TOLD_LAST, Context
from loratui.core.recommend.context import remembered_estimate
from loratui.core.recommend.followed import followed, once_asked
from loratui.core.recommend.from_adapter import continued, require_model, require_targets, shape_values
from loratui.core.recommend.preference import for_objective
from loratui.core.recommend.schedule import steps_of
from loratui.core.recommendation import Instead, Origin, Reasons, Recommendation
from loratui.core.rules_of_thumb import RuleOfThumb
from loratui.core.schedule import Schedule, make_schedule
from loratui.core.situation import Situation, informed, supposed_rows
from loratui.core.storage import disk_warning
from loratui.core.time import Prediction, on_one_footing, predict
from loratui.core.untimed import differ_untimed
from loratui.core.warnings import warnings_for
from loratui.format import number_text

if TYPE_CHECKING:
    from loratui.core.knowledge.table import Table
    from loratui.core.memory.alternatives import Alternative
    from loratui.core.proposal_alternatives import Again


@dataclass(frozen=True)
class Proposal:
    """A complete plan, where each value comes from, and what it means.

    origins: for every key of the plan. recommendations: for every key that the calculation has a view on: what it would
    take if nobody had fixed that key (all others as they are), and why. For a key that a preset or the person fixed
    this is worked out when first asked for.
    """

    plan: Plan
    origins: Mapping[str, Origin]
    recommendations: Mapping[str, Recommendation]
    parameters_total: int
    parameters_trainable: int
    memory: Estimate
    rule_of_thumb: RuleOfThumb
    """The folk calculation for the same model, rows and device, to stand beside the estimate."""
    budget: Budget
    schedule: Schedule
    warnings: tuple[str, ...]
    device: Device
    data: DataFacts
    spec: ModelSpec
    measurements: tuple[Measurement, ...] = ()
    freed: Mapping[str, Proposal] = field(default_factory=dict, compare=False, repr=False)
    """For each key that is fixed and that the calculation has a view on: what would be proposed without it."""
    again: Again | None = field(default=None, compare=False, repr=False)
    """What would be proposed with some more keys set by hand."""

    @cached_property
    def alternatives(self) -> tuple[Alternative, ...]:
        """The gentlest changes that need less memory, each complete: set by hand it gives the memory that it tells.

        None moves what is held. Worked out when first asked for.
        """
        from loratui.core.memory.alternatives import alternatives
        from loratui.core.proposal_alternatives import settable

        held = [key for key, origin in self.origins.items() if origin == "held"]
        found = alternatives(self.spec, self.plan, self.data, self.device, held=held)
        return tuple(settable(found, self, self.again) if self.again else found)

    @cached_property
    def time(self) -> Prediction | None:
        """How long it takes, from runs here where there were like ones; None where the device's speed is not known."""
        return predict(self.spec, self.plan, self.data, self.device, self.schedule, self.measurements)

    @cached_property
    def guessed_time(self) -> Prediction | None:
        """How long it takes by the device's peak alone, whatever was measured."""
        return predict(self.spec, self.plan, self.data, self.device, self.schedule)

    def untimed(self, other: Proposal) -> bool:
        """Whether another proposal differs in something that takes time and that the prediction does not count."""
        return differ_untimed(self.plan, other.plan)

    def time_factors(self, other: Proposal) -> tuple[float, float] | None:
        """Shortest and longest time of another proposal as a factor of this one's; None where they are not known.

        Like is compared with like: both by the same measured runs, two methods by runs here as both are printed, or
        both by the device's peak. Not known either where they differ in something that the prediction leaves out.
        """
        if self.untimed(other):
            return None
        now, then = self.time, other.time
        if now is None or then is None or not on_one_footing(self.plan, now, other.plan, then):
            now, then = self.guessed_time, other.guessed_time
        if now is None or then is None:
            return None
        return then.low_seconds / now.low_seconds, then.high_seconds / now.high_seconds

    def instead(self, key: str) -> Instead | None:
        """What the proposed value would change in place of the fixed one; None where the plan has the proposed
        value.
        """
        other = self.freed.get(key)
        if other is None or other.plan.get(key) == self.plan.get(key):
            return None
        change = other.memory.total_bytes - self.memory.total_bytes
        steps = self.schedule.effective_batch_size, other.schedule.effective_batch_size
        rows = steps if steps[0] != steps[1] else None
        factors, untimed = self.time_factors(other), self.untimed(other)
        kinds = self.plan.method.kind, other.plan.method.kind
        methods = kinds if kinds[0] != kinds[1] and not key.startswith("method.") else None
        return Instead(self.plan.get(key), other.plan.get(key), change, factors, rows, untimed, methods)

    def why(self, key: str) -> str:
        """The reason of a key's value on one line; where another would be proposed, that, its price and its reason.

        Empty for a key that the calculation has no view on.
        """
        reason, other = self.recommendations.get(key), self.instead(key)
        if reason is None:
            return ""
        if other is None:
            return reason.why
        return f"Proposed is {_shown(reason.value)}{'' if other.free else f' ({other.cost})'}: {reason.why}"

    def row_here(self, table: Table) -> int | None:
        """Number (from 0) of the row of a guide's table that stands for this situation; None where none does."""
        here = {
            "examples": None if self.data.supposed else self.data.examples,
            "parameters": self.parameters_total,
            "rank": None if self.plan.method.kind == "full" else self.plan.lora.r,
            "memory_bytes": self.device.memory_total_bytes if self.device.kind == "gpu" else None,
        }
        value = here[table.measure] if table.measure else None
        return None if value is None else table.row_of(value)

    @property
    def headroom_bytes(self) -> int:
        """What the budget leaves over; negative where the plan does not fit."""
        return self.budget.bytes - self.memory.total_bytes

    @property
    def memory_basis(self) -> str:
        """How sure the predicted peak is, in words: "±4 %, from 6 runs here"; empty where nothing was measured yet."""
        learned = self.device.learned
        return (
            f"±{learned.band:.0%}, from {learned.runs} run{'' if learned.runs == 1 else 's'} here".replace("%", " %")
            if learned
            else ""
        )

    @cached_property
    def at_max_length(self) -> Estimate | None:
        """The peak with rows as long as `training.max_length`; None where the rows' own lengths are known, or reach
        it.
        """
        length, data = self.plan.training.max_length, self.data
        if data.exact or data.supposed or data.longest >= length:
            return None
        return remembered_estimate(self.spec, self.plan, data.filled(length), self.device)

    @property
    def verdict(self) -> Verdict:
        """Whether it fits at the upper end of what it may need, only as expected (tight), or not."""
        return verdict(self.memory, self.budget)

    @property
    def fits(self) -> bool:
        """Whether the upper end of what it may need stays within the budget."""
        return self.verdict == "fits"


class _Freed(Mapping[str, Proposal]):
    """What would be proposed without one of the fixed keys, worked out when first asked for."""

    def __init__(
        self,
        situation: Situation,
        preset: Preset,
        pinned: Mapping[str, Any],
        origins: Mapping[str, Origin],
        keys: Iterator[str],
    ) -> None:
        self.situation, self.preset, self.pinned, self.origins = situation, preset, pinned, origins
        self.fixed, self.found = tuple(keys), dict[str, Proposal]()

    def __getitem__(self, key: str) -> Proposal:
        if key not in self.found:
            if key not in self.fixed:
                raise KeyError(key)
            pinned = {other: value for other, value in self.pinned.items() if other != key}
            warmup = None if key == "training.warmup_steps" else self.preset.warmup_ratio
            origins: Mapping[str, Origin] = {**self.origins, key: "proposed"}
            self.found[key] = _calculated(self.situation, replace(self.preset, warmup_ratio=warmup), pinned, origins)
        return self.found[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.fixed)

    def __len__(self) -> int:
        return len(self.fixed)


def propose(
    situation: Situation,
    preset: Preset = AUTO,
    by_hand: Mapping[str, Any] | None = None,
    held: Mapping[str, Any] | None = None,
) -> Proposal:
    """The best plan for a situation.

    preset: values that stand above the calculation. by_hand: dotted keys that a person set, which stand above both.
    held: keys that stay at a value that was proposed once, whatever else changes. Raises PlanError where a value is not
    allowed, where the person's values contradict each other, or where the adapter is not of this model.
    """
    asked = situation
    situation = informed(situation)
    checked = {key: check_value(key, value) for key, value in (by_hand or {}).items()}
    kept = {key: check_value(key, value) for key, value in (held or {}).items() if key not in checked}
    chosen = {**kept, **checked}
    preset = for_objective(preset, chosen)
    from_preset = _preset_values(preset, chosen, situation.spec)
    own = shape_values(situation.spec, situation.adapter) if situation.adapter else {}
    from_preset = {key: value for key, value in from_preset.items() if key not in own}
    pinned = {**from_preset, **chosen}
    if {"method.kind", "method.quantization"} <= set(pinned):
        _validated({key: value for key, value in pinned.items() if key.startswith("method.")})
    origins: dict[str, Origin] = {
        key: "mine" if key in checked else "held" if key in kept else "preset" if key in from_preset else "proposed"
        for key in fields()
    }
    if situation.adapter:
        require_model(situation.spec, situation.adapter)
    found = _calculated(situation, preset, pinned, origins)
    if situation.adapter and found.plan.method.kind != "full":
        require_targets(situation.spec, found.plan.lora.targets, situation.adapter)
    return replace(found, again=lambda more: propose(asked, preset, {**checked, **more}, kept))


def _calculated(
    situation: Situation,
    preset: Preset,
    pinned: Mapping[str, Any],
    fixed: Mapping[str, Origin],
) -> Proposal:
    """The plan in which only `pinned` is fixed. fixed: where each key's value comes from, as far as it is."""
    fixed_values = pinned
    if situation.adapter:
        pinned = {**shape_values(situation.spec, situation.adapter), **pinned}
    data = situation.data or supposed_rows(pinned, situation.spec)
    context = Context(
        situation.spec,
        data,
        situation.device,
        pinned,
        preset.calculation,
        values={
            "model.id": pinned.get("model.id", situation.spec.id or "demo"),
            **({"dataset.path": pinned.get("dataset.path", "")} if data.supposed else {}),
        },
        measurements=situation.measurements,
    )
    origins, reasons = dict(fixed), dict[str, Recommendation]()
    folk = preset.calculation == "rules-of-thumb"
    warmup = "training.warmup_steps"
    for question in QUESTIONS:
        for recommendation in question(context):
            key = recommendation.key
            reasons[key] = _by_the_folk_rule(recommendation) if folk else recommendation
            if key in pinned:
                context.decide(key, pinned[key])
            elif key == warmup and preset.warmup_ratio is not None:
                origins[key] = "preset"
                context.decide(key, steps_of(context.schedule().total_steps, preset.warmup_ratio))
            else:
                context.decide(key, reasons[key].value)
    later = {key: make for key, question in TOLD_LAST.items() if (make := question(context)) is not None}
    for recommendation in continued(situation.adapter, situation.spec, reasons) if situation.adapter else ():
        reasons[recommendation.key] = recommendation
        if recommendation.key not in fixed_values:
            context.decide(recommendation.key, recommendation.value)
    plan, data = _validated({**pinned, **context.values}), context.data
    needed, room = remembered_estimate(situation.spec, plan, data, situation.device), budget(situation.device)
    completed = followed(context, plan, needed)
    reasons = {key: completed(reason) for key, reason in reasons.items()}
    told = {key: once_asked(make, completed) for key, make in later.items()}
    schedule = make_schedule(plan, data, situation.device.count)
    disk = (
        disk_warning(situation.spec, plan, situation.disk_free_bytes) if situation.disk_free_bytes is not None else ""
    )
    keys = (key for key in reasons if key in fixed_values or origins[key] == "preset")
    freed = _Freed(situation, preset, fixed_values, fixed, keys)
    return Proposal(
        plan=plan,
        origins=origins,
        recommendations=Reasons(reasons, told, lambda key: freed[key].recommendations[key] if key in freed else None),
        parameters_total=situation.spec.total_parameters,
        parameters_trainable=trainable_parameters(situation.spec, plan),
        memory=needed,
        rule_of_thumb=context.rule_of_thumb(),
        budget=room,
        schedule=schedule,
        warnings=(
            *warnings_for(
                situation.spec,
                plan,
                data,
                situation.device,
                schedule,
                needed,
                room.bytes,
                reasons["training.learning_rate"].value
                if situation.adapter and origins["training.learning_rate"] == "preset"
                else None,
                reasons["training.learning_rate"].value,
            ),
            *([disk] if disk else []),
            *preset.notes,
        ),
        device=situation.device,
        data=data,
        spec=situation.spec,
        measurements=situation.measurements,
        freed=freed,
    )


def _by_the_folk_rule(reason: Recommendation) -> Recommendation:
    """A recommendation with the folk rule's value, where it has one, and what the evidence says beside it."""
    rule = reason.rule_of_thumb
    if rule is None or rule == reason.value:
        return reason
    return reason._replace(value=rule, why=f"The folk rule; by the evidence {_shown(reason.value)}: {reason.why}")


def _shown(value: Any) -> str:
    return number_text(value) if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


def _preset_values(preset: Preset, by_hand: Mapping[str, Any], spec: ModelSpec) -> dict[str, Any]:
    """The preset's values in this model's own names, without those that a person's value contradicts."""
    values = dict(preset.values)
    if "lora.targets" in values:
        values["lora.targets"] = translate_targets(spec, values["lora.targets"])
    if by_hand.get("method.kind", "qlora") != "qlora":
        for key in ("method.quantization", "method.double_quantization"):
            values.pop(key, None)
    if by_hand.get("method.quantization") == "none" and values.get("method.kind") == "qlora":
        values.pop("method.kind")
    if by_hand.get("method.kind") == "qlora" and values.get("method.quantization") == "none":
        values.pop("method.quantization")
    if by_hand.get("method.quantization", "none") != "none":
        values.pop("method.kind", None)
    return {key: value for key, value in values.items() if key not in by_hand}


def _validated(values: Mapping[str, Any]) -> Plan:
    document: dict[str, dict[str, Any]] = {}
    for key, value in values.items():
        section, _, name = key.partition(".")
        document.setdefault(section, {})[name] = value
    try:
        return Plan.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise PlanError(
            first["msg"].removeprefix("Value error, ") + ".", where=".".join(map(str, first["loc"]))
        ) from None
