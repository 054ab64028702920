"""What needs less memory, as changes that a person can set: each holds the rest of the plan as it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.errors import PlanError
from loratui.core.hardware import Device
from loratui.core.memory import Estimate, Verdict
from loratui.core.memory.alternatives import Alternative
from loratui.core.plan import Plan
from loratui.core.plan_text import fields
from loratui.core.recommend.context import WEIGHTLESS, changed
from loratui.core.recommendation import time_words


class Proposed(Protocol):
    """What is asked of a proposal."""

    @property
    def plan(self) -> Plan:
        """The complete plan."""
        ...

    @property
    def spec(self) -> ModelSpec:
        """The model's shape."""
        ...

    @property
    def data(self) -> DataFacts:
        """The rows that it was made for."""
        ...

    @property
    def device(self) -> Device:
        """What it trains on."""
        ...

    @property
    def memory(self) -> Estimate:
        """Its predicted peak."""
        ...

    @property
    def verdict(self) -> Verdict:
        """Whether the device has room for it."""
        ...

    def untimed(self, other: Any) -> bool:
        """Whether another proposal differs in something that takes time and that no prediction counts."""
        ...

    def time_factors(self, other: Any) -> tuple[float, float] | None:
        """Shortest and longest time of another proposal as a factor of this one's; None where they are not known."""
        ...


Again = Callable[[Mapping[str, Any]], Proposed]
"""What is proposed with some more keys set by hand."""
_MOST_ROUNDS = 6
_NEVER_HELD = ("dataset.", "saving.", "model.id", "model.revision")


def settable(found: Iterable[Alternative], now: Proposed, again: Again) -> Iterator[Alternative]:
    """Each alternative with every key that keeps the rest of the plan as it is, and its price in time by prediction.

    Without those keys the calculation would fill what was freed with larger batches. What cannot be set is left out.
    """
    for one in found:
        reached = held_change(one.change, now.plan, again)
        if reached is None:
            continue
        change, then = reached
        if then.memory.total_bytes >= now.memory.total_bytes:
            continue
        factors = now.time_factors(then)
        time = f" By the prediction {time_words(factors)}." if factors else ""
        if now.untimed(then):
            time = " The time that it then takes is not predicted."
        yield one._replace(
            change=change,
            held=tuple(key for key in change if key not in one.change),
            memory_total_bytes=then.memory.total_bytes,
            fits=then.verdict == "fits",
            cost=f"{one.cost}{time}",
        )


def held_change(wanted: Mapping[str, Any], plan: Plan, again: Again) -> tuple[dict[str, Any], Proposed] | None:
    """The wanted change with the keys that hold the rest, and what is proposed with them; None where it cannot be
    set."""
    target, change = changed(plan, wanted), dict(wanted)
    for _ in range(_MOST_ROUNDS):
        try:
            reached = again(change)
        except PlanError:
            missing = {key: target.get(key) for key in fields() if key.startswith("method.") and key not in change}
            if not missing:
                return None
        else:
            missing = {
                key: target.get(key)
                for key in fields()
                if key not in change and _moves(key, target) and not _same(key, reached.plan, target)
            }
            if not missing:
                return change, reached
        change |= missing
    return None


def _moves(key: str, plan: Plan) -> bool:
    """Whether a key of this plan can move memory, and so must be held."""
    section, _, name = key.partition(".")
    if key.startswith(_NEVER_HELD) or name in WEIGHTLESS.get(section, ()):
        return False
    if section == "lora":
        return plan.method.kind != "full"
    if key in ("method.double_quantization", "method.compute_dtype"):
        return plan.method.kind == "qlora"
    return True


def _same(key: str, one: Plan, other: Plan) -> bool:
    first, second = one.get(key), other.get(key)
    return bool(first) == bool(second) if key == "evaluation.every_steps" else bool(first == second)
