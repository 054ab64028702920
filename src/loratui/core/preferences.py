"""Learning from preferences, in words."""

from __future__ import annotations

from loratui.core.plan import Plan


def computes_reference(plan: Plan) -> bool:
    """Whether the reference is computed at each step."""
    return plan.training.objective != "sft" and plan.preference.reference == "each-step"


def holds_copy(plan: Plan) -> bool:
    """Whether a frozen copy of the model lies beside the one that is trained."""
    return computes_reference(plan) and plan.method.kind == "full"


def copies_adapter(plan: Plan) -> bool:
    """Whether a frozen copy of the adapter that is gone on from is held: TRL makes one, whatever is precomputed."""
    return plan.training.objective != "sft" and plan.method.kind != "full" and bool(plan.lora.adapter)


def described(plan: Plan) -> str:
    """How a plan learns preferences, and what it is held to, in words."""
    preference = plan.preference
    reference = (
        "the base model"
        if plan.method.kind == "full"
        else "the adapter that it began from"
        if plan.lora.adapter
        else "the base without the adapter"
    )
    parts = (
        f"preferences by {plan.training.objective.upper()}",
        f"loss {preference.loss}",
        f"beta {preference.beta:g}",
        f"label smoothing {preference.label_smoothing:g}" if preference.label_smoothing else "",
        f"SFT loss of the chosen answers × {preference.sft_weight:g}" if preference.sft_weight else "",
        f"tokens beyond the shorter answer × {preference.length_weight:g}" if preference.length_weight < 1 else "",
        f"held to {reference}",
    )
    return ", ".join(part for part in parts if part)
