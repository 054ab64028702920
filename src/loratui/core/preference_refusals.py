"""What a plan that learns preferences cannot have beside it, each with what to set instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loratui.core.preference_section import DPO_ALONE, KTO_ALONE, PreferenceSection

USUAL = PreferenceSection()
Get = Callable[[str], Any]


def why_not_learnt(get: Get, processes: int) -> str:
    """Why a plan's preferences cannot be learnt as it stands, with what to set instead; empty where they can. get: the
    plan's value of a dotted key. processes: that train together.
    """
    objective = str(get("training.objective"))
    dropout_share, rows = float(get("lora.dropout")), int(get("training.batch_size"))
    what_is_padded = "answers are" if objective == "kto" else "pairs are"
    order = "its KL needs them in a fixed order" if objective == "kto" else "pairs come in random order"
    dropout = (
        "trl switches dropout off here"
        if objective == "orpo"
        else "the model is compared with its reference, and chance would be part of the difference"
    )
    faults = (
        (get("training.packing"), "training.packing = true", f"{what_is_padded} padded: set it to false"),
        (get("training.padding_free"), "training.padding_free = true", f"{what_is_padded} padded: set it to false"),
        (get("training.group_by_length"), "training.group_by_length = true", f"{order}: set it to false"),
        (get("training.loss_on") == "all", 'training.loss_on = "all"', "the loss compares answers: set it to answers"),
        (
            get("dataset.preference") == "chosen",
            'dataset.preference = "chosen"',
            "the one learns from both sides, the other from the chosen alone: leave one of them out",
        ),
        (
            get("method.kind") != "full" and dropout_share > 0,
            f"lora.dropout = {dropout_share:g}",
            f"{dropout}: set it to 0",
        ),
        (processes > 1, f"{processes} processes", "it trains on one device so far: choose one"),
        (
            objective == "kto" and get("preference.kto_loss") == "kto" and rows < 2,
            f"training.batch_size = {rows}",
            "the KL is estimated from the other rows of a batch: set it to 2 or more, better 4",
        ),
        *_of_other_objectives(objective, get),
    )
    return next(
        (
            f'training.objective = "{objective}" and {what} exclude each other: {why}'
            for wrong, what, why in faults
            if wrong
        ),
        "",
    )


def _of_other_objectives(objective: str, get: Get) -> list[tuple[bool, str, str]]:
    """Settings that this objective would not heed."""
    foreign = [
        *((name, "dpo") for name in DPO_ALONE if objective != "dpo"),
        *((name, "kto") for name in KTO_ALONE if objective != "kto"),
    ]
    found = [
        (
            get(f"preference.{name}") != getattr(USUAL, name),
            f"preference.{name} = {_shown(get(f'preference.{name}'))}",
            f"only {owner} heeds it: leave it at {_shown(getattr(USUAL, name))}",
        )
        for name, owner in foreign
    ]
    precomputed = objective == "orpo" and get("preference.reference") == "precomputed"
    return [*found, (precomputed, 'preference.reference = "precomputed"', "it has no reference: set it to each-step")]


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else f'"{value}"'
