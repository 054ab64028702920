"""Learning from preferences: what of a plan it changes, and how it is told in words."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence

from loratui.core.plan import Plan

FAIR = (1.0, 4 / 3)
"""Desirable weight × wanted answers over undesirable weight × unwanted ones: from and to what it should be (KTO's
paper, 2402.01306, equation 8; trl 1.16 warns beyond it).
"""
SLACK = 0.15
"""By how much a balance may lie beyond those before anybody is told: holding rows out moves it by about so much."""


def is_preference(plan: Plan) -> bool:
    """Whether preferences are learnt, in whatever way; else answers are."""
    return plan.training.objective != "sft"


def learns_pairs(plan: Plan) -> bool:
    """Whether both sides of a pair are compared in one loss (DPO and ORPO)."""
    return plan.training.objective in ("dpo", "orpo")


def loss_unit(plan: Plan) -> str:
    """What a held-out loss is counted in, and over what it is a mean."""
    if not is_preference(plan):
        return "nats a token"
    return "an answer" if learns_judged(plan) else "a pair"


def learns_judged(plan: Plan) -> bool:
    """Whether each answer is judged by itself (KTO)."""
    return plan.training.objective == "kto"


def has_reference(plan: Plan) -> bool:
    """Whether the model is compared with its reference (DPO and KTO)."""
    return plan.training.objective in ("dpo", "kto")


def estimates_kl(plan: Plan) -> bool:
    """Whether KTO's KL is estimated, from answers after questions that they do not answer."""
    return learns_judged(plan) and plan.preference.kto_loss == "kto"


def fewest_rows(plan: Plan) -> int:
    """Rows that a forward pass needs at least: KTO's KL is estimated from the other ones of a batch."""
    return 2 if estimates_kl(plan) else 1


def computes_reference(plan: Plan) -> bool:
    """Whether the reference is computed at each step."""
    return has_reference(plan) and plan.preference.reference == "each-step"


def passes_beside(plan: Plan) -> int:
    """Forward passes without gradients at each step, beside that of the trained model: of its reference, and of both
    for KTO's KL.
    """
    kl = int(estimates_kl(plan))
    return kl + (1 + kl if computes_reference(plan) else 0)


def holds_copy(plan: Plan) -> bool:
    """Whether a frozen copy of the model lies beside the one that is trained."""
    return computes_reference(plan) and plan.method.kind == "full"


def copies_adapter(plan: Plan) -> bool:
    """Whether a frozen copy of the adapter that is gone on from is held: TRL makes one, whatever is precomputed."""
    return has_reference(plan) and plan.method.kind != "full" and bool(plan.lora.adapter)


def fair_weight(wanted: float, unwanted: float) -> tuple[str, float]:
    """The key whose weight makes wanted and unwanted answers count alike, and the weight: that of the rarer kind is
    raised. wanted, unwanted: how many there are, or their shares; both above 0.
    """
    if wanted < unwanted:
        return "preference.desirable_weight", float(f"{unwanted / wanted:.3g}")
    return "preference.undesirable_weight", float(f"{wanted / unwanted:.3g}")


def is_fair(wanted: float, unwanted: float, desirable: float = 1.0, undesirable: float = 1.0) -> bool:
    """Whether wanted and unwanted answers with these weights count as KTO's paper asks for."""
    ratio = desirable * wanted / (undesirable * unwanted)
    return FAIR[0] * 0.995 <= ratio <= FAIR[1] * 1.005


def imbalance(wanted: int, unwanted: int, desirable: float = 1.0, undesirable: float = 1.0) -> str:
    """How far the weights of wanted and unwanted answers are from what their numbers need, and which would do, in a
    sentence; empty where they are right.
    """
    if not wanted or not unwanted:
        one, other = ("wanted", "unwanted") if wanted else ("unwanted", "wanted")
        return f"All {wanted + unwanted:,} answers are {one}: from none that is {other} the model learns only half."
    if is_fair(wanted, unwanted, desirable, undesirable):
        return ""
    ratio = desirable * wanted / (undesirable * unwanted)
    key, weight = fair_weight(wanted, unwanted)
    return (
        f"{wanted:,} wanted and {unwanted:,} unwanted answers, weighted {desirable:g} and {undesirable:g}: the "
        f"wanted ones count {ratio:.3g} times as much, and 1 to 1.33 times is advised. {key} = {weight:g} would do."
    )


def share_in_order(wanted: Sequence[float], unwanted: Sequence[float]) -> float:
    """Of all pairs of a wanted and an unwanted answer, the share in which the wanted one has the higher reward; equal
    ones count half. 0.5 is chance, however many there are of either.

    It is what DPO's accuracy is of written pairs, for answers that stand alone (the area under the ROC curve: Hanley
    and McNeil 1982, Radiology 143). KTO too compares answers to different questions: with one point of reference.
    """
    ordered = sorted(unwanted)
    below = sum(bisect_left(ordered, reward) + bisect_right(ordered, reward) for reward in wanted)
    return below / (2 * len(wanted) * len(ordered))


def described(plan: Plan) -> str:
    """How a plan learns preferences, and what it is held to, in words."""
    preference, objective = plan.preference, plan.training.objective
    reference = (
        "the base model"
        if plan.method.kind == "full"
        else "the adapter that it began from"
        if plan.lora.adapter
        else "the base without the adapter"
    )
    own = {
        "dpo": (
            f"loss {preference.loss}",
            f"beta {preference.beta:g}",
            f"label smoothing {preference.label_smoothing:g}" if preference.label_smoothing else "",
            f"SFT loss of the chosen answers × {preference.sft_weight:g}" if preference.sft_weight else "",
            f"tokens beyond the shorter answer × {preference.length_weight:g}" if preference.length_weight < 1 else "",
        ),
        "orpo": (f"odds ratio × {preference.beta:g} beside the loss of question and chosen answer", "no reference"),
        "kto": (
            "answers judged one by one",
            f"loss {preference.kto_loss}",
            f"beta {preference.beta:g}",
            f"wanted answers × {preference.desirable_weight:g}" if preference.desirable_weight != 1 else "",
            f"unwanted answers × {preference.undesirable_weight:g}" if preference.undesirable_weight != 1 else "",
        ),
    }
    held = f"held to {reference}" if has_reference(plan) else ""
    return ", ".join(part for part in (f"preferences by {objective.upper()}", *own[objective], held) if part)
