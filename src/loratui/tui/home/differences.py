"""In what runs differ: two of them key by key, or many by the settings that are not the same in all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from loratui.core.plan import Plan
from loratui.core.plan_text import fields, label_of
from loratui.format import number_text, one_line, value_text
from loratui.tui.training.follow import Followed

Kin = tuple[str, str, str]
"""Model, dataset and what is learnt: runs of the same are compared first of all, and their losses measure the same."""
KIN = ("model.id", "dataset.path", "training.objective")
FIRST = (
    *KIN,
    "method.kind",
    "lora.r",
    "training.learning_rate",
    "training.epochs",
    "training.max_steps",
    "training.batch_size",
    "training.accumulation",
    "training.max_length",
    "lora.alpha",
    "lora.targets",
    "training.packing",
    "training.optimizer",
    "training.scheduler",
)
"""What tells runs apart best, before all other keys in the plan's own order."""
PARTS = "dataset.parts"
FOLLOWS = ("evaluation.every_steps", "saving.every_steps", "training.warmup_steps", "evaluation.batch_size")
"""Keys that mostly follow from others: they come last."""
UNNAMED = (*KIN, "method.kind")
"""Keys whose values say what they are."""
SHORT = {"training.learning_rate": "rate", "training.batch_size": "batch", "training.max_length": "length"}
"""How a key is called in a list where room is scarce; by default as everywhere."""


def kin_of(plan: Plan) -> Kin:
    """Model, dataset and what is learnt."""
    return plan.model.id, plan.dataset.named, plan.training.objective


def differences(first: Plan, second: Plan) -> list[tuple[str, str, str]]:
    """Plan keys whose values differ, with both values as text."""
    mixes = bool(first.get(PARTS)) and bool(second.get(PARTS))
    return [
        (key, _value(first, key), _value(second, key))
        for key in _ordered()
        if differs(first, second, key) and (mixes or key != PARTS)
    ]


def _value(plan: Plan, key: str) -> str:
    """A plan's value as text; a mix by the names of its parts, and those by their weights."""
    if key == "dataset.path":
        return plan.dataset.named or "none"
    if key == PARTS:
        return " + ".join(
            f"{part['name'] or PurePath(part['path']).stem} {part['weight']:g}" for part in plan.get(PARTS)
        )
    return _text(plan.get(key))


def differs(first: Plan, second: Plan, key: str) -> bool:
    """Whether two plans have another value here."""
    return bool(first.get(key) != second.get(key))


def _ordered() -> list[str]:
    known = list(fields())
    return [*FIRST, *(key for key in known if key not in FIRST and key not in FOLLOWS), *FOLLOWS]


def _text(value: Any) -> str:
    if isinstance(value, (bool, float)):
        return value_text(value)
    return str(value) if value not in ("", [], {}) else "none"


def varying(plans: Sequence[Plan]) -> list[str]:
    """The keys that have not the same value in all of these plans, what tells them apart best first."""
    return [key for key in _ordered() if any(differs(plans[0], plan, key) for plan in plans[1:])] if plans else []


def short_label(key: str) -> str:
    """The name of a plan key where room is scarce."""
    return SHORT.get(key) or label_of(key, within=True)


def setting_words(plan: Plan, keys: Sequence[str]) -> list[str]:
    """A plan's values of these keys, each with its short name: `rank 32`, `rate 2e-4`."""
    words = []
    for key in keys:
        value = plan.get(key)
        text = PurePath(str(value)).name if key in KIN else value_text(value)
        words.append(one_line(text if key in UNNAMED else f"{short_label(key)} {text}", 40))
    return words


def used_rates(first: Followed, second: Followed) -> list[tuple[str, str, str]]:
    """The learning rates that the steps really had, where the two runs differ; the plan says only what was wanted."""
    one, other = (_used(followed) for followed in (first, second))
    return [("Rate used, highest → last", one, other)] if one != other else []


def _used(followed: Followed) -> str:
    rates = [point.last for point in followed.record.learning_rate.points]
    return " → ".join(number_text(float(f"{rate:.3g}")) for rate in (max(rates), rates[-1])) if rates else "none"
