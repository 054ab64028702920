"""What a plan that learns preferences cannot have beside it, each with what to set instead."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loratui.core.preference_section import DPO_ALONE, KTO_ALONE, PreferenceSection

if TYPE_CHECKING:
    from loratui.core.plan import Plan

USUAL = PreferenceSection()


def why_not_learnt(plan: Plan) -> str:
    """Why a plan's preferences cannot be learnt as it stands, with what to set instead; empty where they can."""
    training, objective = plan.training, plan.training.objective
    what_is_padded = "answers are" if objective == "kto" else "pairs are"
    order = "its KL needs them in a fixed order" if objective == "kto" else "pairs come in random order"
    dropout = (
        "trl switches dropout off here"
        if objective == "orpo"
        else "the model is compared with its reference, and chance would be part of the difference"
    )
    faults = (
        (training.packing, "training.packing = true", f"{what_is_padded} padded: set it to false"),
        (training.padding_free, "training.padding_free = true", f"{what_is_padded} padded: set it to false"),
        (training.group_by_length, "training.group_by_length = true", f"{order}: set it to false"),
        (training.loss_on == "all", 'training.loss_on = "all"', "the loss compares answers: set it to answers"),
        (
            plan.dataset.preference == "chosen",
            'dataset.preference = "chosen"',
            "the one learns from both sides, the other from the chosen alone: leave one of them out",
        ),
        (
            plan.method.kind != "full" and plan.lora.dropout > 0,
            f"lora.dropout = {plan.lora.dropout:g}",
            f"{dropout}: set it to 0",
        ),
        (plan.processes > 1, f"{plan.processes} processes", "it trains on one device so far: choose one"),
        (
            objective == "kto" and plan.preference.kto_loss == "kto" and training.batch_size < 2,
            f"training.batch_size = {training.batch_size}",
            "the KL is estimated from the other rows of a batch: set it to 2 or more, better 4",
        ),
        *_of_other_objectives(plan),
    )
    return next(
        (
            f'training.objective = "{objective}" and {what} exclude each other: {why}'
            for wrong, what, why in faults
            if wrong
        ),
        "",
    )


def _of_other_objectives(plan: Plan) -> list[tuple[bool, str, str]]:
    """Settings that this objective would not heed."""
    objective, section = plan.training.objective, plan.preference
    foreign = [
        *((name, "dpo") for name in DPO_ALONE if objective != "dpo"),
        *((name, "kto") for name in KTO_ALONE if objective != "kto"),
    ]
    found = [
        (
            getattr(section, name) != getattr(USUAL, name),
            f"preference.{name} = {_shown(getattr(section, name))}",
            f"only {owner} heeds it: leave it at {_shown(getattr(USUAL, name))}",
        )
        for name, owner in foreign
    ]
    precomputed = objective == "orpo" and section.reference == "precomputed"
    return [*found, (precomputed, 'preference.reference = "precomputed"', "it has no reference: set it to each-step")]


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else f'"{value}"'
