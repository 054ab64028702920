"""Several datasets as one in the draft: the first is its dataset, and all of them are the plan's `dataset.parts`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from loratui.format import one_line
from loratui.paths import home_short
from loratui.tui.wizard.draft import Draft

PARTS = "dataset.parts"


def parts_now(draft: Draft) -> list[dict[str, Any]]:
    """The draft's datasets as parts of a mix, whether or not it is one; none where none is chosen."""
    parts: list[dict[str, Any]] = draft.by_hand.get(PARTS, [])
    if parts or not draft.dataset:
        return [dict(part) for part in parts]
    from loratui.core.dataset_part import HOW_READ

    own = {key: draft.by_hand[f"dataset.{key}"] for key in HOW_READ if f"dataset.{key}" in draft.by_hand}
    return [{**own, "path": draft.dataset}]


def with_parts(draft: Draft, parts: Sequence[Mapping[str, Any]]) -> tuple[str, dict[str, Any]]:
    """The draft's dataset and values set by hand with these parts; one that is drawn whole is no mix. PlanError where
    they cannot be one dataset.
    """
    from loratui.core.dataset_part import HOW_READ, DatasetPart
    from loratui.core.plan import Plan
    from loratui.core.plan_text import with_values

    checked: list[dict[str, Any]] = with_values(Plan(), {"dataset.path": "", PARTS: list(parts)}).get(PARTS)
    read = {PARTS, *(f"dataset.{key}" for key in HOW_READ)}
    by_hand = {key: value for key, value in draft.by_hand.items() if key not in read}
    if not checked:
        return "", by_hand
    first = checked[0]
    if len(checked) > 1 or first["weight"] != 1 or first["cap"] != "none":
        return first["path"], by_hand | {PARTS: checked}
    fields = DatasetPart.model_fields
    own = {
        f"dataset.{key}": first[key]
        for key in HOW_READ[1:]
        if first[key] != fields[key].get_default(call_default_factory=True)
    }
    return first["path"], by_hand | own


def dataset_named(draft: Draft) -> str:
    """What the draft's dataset is called: its path, or the names of its parts."""
    return " + ".join(str(part["name"]) for part in draft.by_hand.get(PARTS, [])) or draft.dataset


def short_parts(parts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The parts with what is not at its default alone: for a command line."""
    from loratui.core.dataset_part import DatasetPart

    fields = DatasetPart.model_fields
    defaults = {
        key: field.get_default(call_default_factory=True) for key, field in fields.items() if not field.is_required()
    }
    return [{key: value for key, value in part.items() if value != defaults.get(key)} for part in parts]


def chosen_words(draft: Draft) -> str:
    """Model and dataset of a draft, by their last names."""
    model, dataset = (PurePath(home_short(path)).name or path for path in (draft.model, dataset_named(draft)))
    return one_line(f"{model or 'no model yet'} on {dataset or 'no dataset yet'}", 80)
