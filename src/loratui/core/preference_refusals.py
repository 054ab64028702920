"""What a plan that learns preferences cannot have beside it, each with what to set instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from loratui.core.preference_section import DPO_ALONE, KTO_ALONE, PreferenceSection

USUAL = PreferenceSection()


def why_not_learnt(setting: Callable[[str], Any], processes: int) -> str:
    """Why a plan's preferences cannot be learnt as it stands, with what to set instead; empty where they can.

    setting: the plan's value at a dotted key. processes: those of the whole run.
    """
    objective = setting("training.objective")
    what_is_padded = "answers are" if objective == "kto" else "pairs are"
    order = "its KL needs them in a fixed order" if objective == "kto" else "pairs come in random order"
    dropout = (
        "trl switches dropout off here"
        if objective == "orpo"
        else "the model is compared with its reference, and chance would be part of the difference"
    )
    faults = (
        (setting("training.packing"), "training.packing = true", f"{what_is_padded} padded: set it to false"),
        (setting("training.padding_free"), "training.padding_free = true", f"{what_is_padded} padded: set it to false"),
        (setting("training.group_by_length"), "training.group_by_length = true", f"{order}: set it to false"),
        (
            setting("training.loss_on") == "all",
            'training.loss_on = "all"',
            "the loss compares answers: set it to answers",
        ),
        (
            setting("dataset.preference") == "chosen",
            'dataset.preference = "chosen"',
            "the one learns from both sides, the other from the chosen alone: leave one of them out",
        ),
        (
            setting("method.kind") != "full" and setting("lora.dropout") > 0,
            f"lora.dropout = {setting('lora.dropout'):g}",
            f"{dropout}: set it to 0",
        ),
        (processes > 1, f"{processes} processes", "it trains on one device so far: choose one"),
        (
            objective == "kto" and setting("preference.kto_loss") == "kto" and setting("training.batch_size") < 2,
            f"training.batch_size = {setting('training.batch_size')}",
            "the KL is estimated from the other rows of a batch: set it to 2 or more, better 4",
        ),
        *_of_other_objectives(objective, setting),
    )
    return next(
        (
            f'training.objective = "{objective}" and {what} exclude each other: {why}'
            for wrong, what, why in faults
            if wrong
        ),
        "",
    )


def _of_other_objectives(objective: str, setting: Callable[[str], Any]) -> list[tuple[bool, str, str]]:
    """Settings that this objective would not heed."""
    foreign = [
        *((name, "dpo") for name in DPO_ALONE if objective != "dpo"),
        *((name, "kto") for name in KTO_ALONE if objective != "kto"),
    ]
    found = [
        (
            setting(f"preference.{name}") != getattr(USUAL, name),
            f"preference.{name} = {_shown(setting(f'preference.{name}'))}",
            f"only {owner} heeds it: leave it at {_shown(getattr(USUAL, name))}",
        )
        for name, owner in foreign
    ]
    precomputed = objective == "orpo" and setting("preference.reference") == "precomputed"
    return [*found, (precomputed, 'preference.reference = "precomputed"', "it has no reference: set it to each-step")]


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else f'"{value}"'
