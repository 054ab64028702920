"""What rewards, margin and the order of the pairs say while preferences are learnt."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from statistics import pstdev

from loratui.core.diagnosis.curves import Curves, Finding, Fix, median
from loratui.core.plan import Plan

LEAST_STEPS = 40
DEVIATIONS = 4.0
SATURATED = 10.0
"""A margin from which sigmoid leaves a pair a gradient of 0.00005 of the whole: it teaches nothing more."""
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
    late, margins = _last_quarter(curves.chosen_rewards), _last_quarter(curves.margins)
    if not late or median(late) >= -DEVIATIONS * pstdev(late) / math.sqrt(len(late)):
        return
    if not margins or median(margins) <= 0:
        return
    nats = -median(late) / plan.preference.beta
    fixes = [
        *(
            [Fix("Learn the chosen answers beside the pairs, as Llama 3 does.", {"preference.sft_weight": 0.2})]
            if not plan.preference.sft_weight
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
    """The margin is so large that the pairs teach nothing more."""
    late = _last_quarter(curves.margins)
    if not late or median(late) < SATURATED or plan.preference.loss in BY_TOKENS:
        return
    bounded = Fix("Start anew with a loss that aims at a margin instead of at any.", {"preference.loss": "ipo"}, True)
    yield Finding(
        "margin-explodes",
        "warning",
        f"The margin is {median(late):.3g}: nearly every pair is learnt by heart, and the model drifts from its "
        "reference.",
        curves.steps[-len(late)],
        (*_gentler(curves, plan), bounded),
    )


def ordered_at_once(curves: Curves, plan: Plan) -> Iterator[Finding]:
    """Every pair is in the right order from the first steps on."""
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
    return [Fix(f"Start anew with the proposed learning rate {proposed:g}.", {key: float(proposed)}, restart=True)]
