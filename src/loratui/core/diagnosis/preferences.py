"""What rewards, margin and the order of the pairs say while preferences are learnt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import pstdev

from loratui.core.diagnosis.curves import Curves, Finding, Fix, median
from loratui.core.plan import Plan
from loratui.core.preferences import estimates_kl, has_reference, learns_judged
from loratui.format import number_text

LEAST_STEPS = 40
DEVIATIONS = 4.0
SATURATED = 10.0
"""A margin from which sigmoid leaves a pair a gradient of 0.00005 of the whole: it teaches nothing more."""
MOST_BETA = 1.0
"""ORPO's paper compares weights from 0.1 to 1."""
BY_TOKENS = ("ipo", "sigmoid_norm")
"""Losses that divide by an answer's tokens, which rewards and margins do not (trl 1.16): a margin says nothing of them.
"""
AT_ONCE_STEPS, LEAST_PAIRS = 10, 4
"""So many steps after the first, of at least so many pairs each, all in the right order."""
LENGTH_AND_FORM = Fix(
    "Look at the pairs: length, a phrase, the format or the stop token may tell the sides apart, or rows of the other "
    "part are among them."
)


def _last_quarter(values: Sequence[float]) -> list[float]:
    known = [value for value in values if math.isfinite(value)]
    return known[-max(5, len(known) // 4) :] if len(known) >= LEAST_STEPS else []


def both_fall(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """The chosen answers become less likely than under the reference, and the rejected ones even less."""
    if not has_reference(plan):
        return
    late, margins = _last_quarter(curves.chosen_rewards), _last_quarter(curves.margins)
    if not late or median(late) >= -DEVIATIONS * pstdev(late) / math.sqrt(len(late)):
        return
    if not margins or median(margins) <= 0:
        return
    nats = -median(late) / plan.preference.beta
    fixes = [
        *(
            [Fix("Learn the chosen answers beside the pairs, as Llama 3 does.", {"preference.sft_weight": 0.2})]
            if plan.training.objective == "dpo" and not plan.preference.sft_weight
            else []
        ),
        *_gentler(curves, plan),
    ]
    yield Finding(
        "both-fall",
        "note",
        f"Both sides become less likely: the chosen answers by {nats:.3g} nats each against the reference.",
        curves.steps[-len(late)],
        tuple(fixes),
    )


def margin_explodes(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """The margin is so large that the rows teach nothing more."""
    late, judged = _last_quarter(curves.margins), learns_judged(plan)
    if not has_reference(plan) or not late or median(late) < SATURATED:
        return
    if not judged and plan.preference.loss in BY_TOKENS:
        return
    bounded = Fix("Start anew with a loss that aims at a margin instead of at any.", {"preference.loss": "ipo"}, True)
    yield Finding(
        "margin-explodes",
        "warning",
        f"The margin is {median(late):.3g}: nearly every {'answer' if judged else 'pair'} is learnt by heart, and the "
        "model drifts from its reference.",
        curves.steps[-len(late)],
        (*_gentler(curves, plan), *([] if judged else [bounded])),
    )


def kl_runs_away(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """KTO's model has moved so far from its reference that the loss measures every answer against that."""
    late = _last_quarter(curves.kls)
    if not estimates_kl(plan) or not late or plan.preference.beta * median(late) < SATURATED:
        return
    yield Finding(
        "kl-runs-away",
        "warning",
        f"The KL is {median(late):.3g} nats an answer: it writes otherwise than its reference whatever is asked.",
        curves.steps[-len(late)],
        tuple(_gentler(curves, plan)),
    )


def odds_stand_still(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """ORPO learns the chosen answers, and the rejected ones with them: the odds between them do not grow."""
    known = [value for value in curves.log_odds if math.isfinite(value)]
    late = _last_quarter(known)
    if plan.training.objective != "orpo" or not late:
        return
    early = known[: len(late)]
    noise = math.hypot(pstdev(early), pstdev(late)) / math.sqrt(len(late))
    if median(late) > median(early) + DEVIATIONS * noise:
        return
    beta = 2 * plan.preference.beta
    yield Finding(
        "odds-stand-still",
        "note",
        f"The odds of chosen over rejected answers stand still (their logarithm was {median(early):.3g}, now "
        f"{median(late):.3g}): both kinds are learnt alike.",
        curves.steps[-len(late)],
        (Fix(f"Weight the odds ratio more: beta {beta:g}.", {"preference.beta": beta}),) if beta <= MOST_BETA else (),
    )


def ordered_at_once(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """Every pair is in the right order from the first steps on."""
    if plan.training.objective != "dpo":
        return
    early = [value for step, value in zip(curves.steps, curves.orders, strict=False) if step > 1][:AT_ONCE_STEPS]
    if len(early) < AT_ONCE_STEPS or plan.effective_batch_size < LEAST_PAIRS or min(early) < 1:
        return
    yield Finding(
        "ordered-at-once",
        "warning",
        f"Every pair of the first {AT_ONCE_STEPS} steps was in the right order: something easier than quality tells "
        "the sides apart.",
        curves.steps[0],
        (LENGTH_AND_FORM,),
    )


def _gentler(curves: Curves, plan: Plan) -> list[Fix]:
    """The proposed rate, where the plan's is above it."""
    now, proposed = plan.training.learning_rate, curves.proposed.get("training.learning_rate")
    if not proposed or now < 1.1 * float(proposed):
        return []
    key = "training.learning_rate"
    words = f"Start anew with the proposed learning rate {number_text(proposed)}."
    return [Fix(words, {key: float(proposed)}, restart=True)]
