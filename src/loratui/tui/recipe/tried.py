"""Which values of a field are offered to be tried against each other, and how they are typed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.format import exact_text
from loratui.tui.wizard.fields import choices_of, kind_of, nudged

FACTOR = 3.0
"""Between the rates that are offered: the same decade, and far enough apart to differ by more than seeds do."""
OFFERED: dict[str, tuple[float, ...]] = {
    "lora.dropout": (0.0, 0.05, 0.1),
    "training.weight_decay": (0.0, 0.01, 0.1),
    "training.min_lr_ratio": (0.0, 0.1),
    "preference.beta": (0.05, 0.1, 0.3),
}
"""Values of fields whose next step down or up is too small a difference to be seen."""
RATES = ("training.learning_rate",)


def offered_values(plan: Plan, key: str) -> list[Any]:
    """Values to try: of a rate a third, the same, and three times; of a number its neighbours; of a choice all that go
    with this plan. The plan's own is among them. Empty for what is typed as text.
    """
    value, kind = plan.get(key), kind_of(key)
    found: Sequence[Any]
    if kind in ("choice", "flag"):
        found = [value, *(one for one in choices_of(key) if one != value)]
    elif kind != "number" or not isinstance(value, int | float):
        return []
    elif key in RATES:
        found = [float(f"{value / FACTOR:.2g}"), value, float(f"{value * FACTOR:.2g}")]
    elif key in OFFERED:
        found = sorted({value, *OFFERED[key]})
    else:
        found = [nudged(key, value, -1), value, nudged(key, value, 1)]
    return [one for at, one in enumerate(found) if one not in found[:at] and _goes(plan, key, one)]


def _goes(plan: Plan, key: str, value: Any) -> bool:
    try:
        with_values(plan, {key: value})
    except LoratuiError:
        return False
    return True


def typed_values(values: Sequence[Any]) -> str:
    """Values as `KEY=VALUE,VALUE` takes them; each is read as exactly this one again."""
    return ", ".join(map(_typed, values))


def _typed(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return exact_text(value)
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)
