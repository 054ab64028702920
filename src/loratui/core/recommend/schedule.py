"""The shape of the run: schedule, minimum and warm-up."""

from __future__ import annotations

import math
from collections.abc import Iterator

from loratui.core import rules_of_thumb
from loratui.core.recommend.context import Context
from loratui.core.recommendation import Recommendation

WARMUP_SHARE, MOST_WARMUP_STEPS, LEAST_RUN_STEPS = 0.03, 100, 10


def steps_of(total_steps: int, ratio: float) -> int:
    """A share of the steps, rounded up."""
    return math.ceil(total_steps * ratio - 1e-9)


def scheduler(context: Context) -> Iterator[Recommendation]:
    """`training.scheduler`, `training.min_lr_ratio` and `training.max_steps`."""
    lowest, kind = float(context.get("training.min_lr_ratio")), str(context.get("training.scheduler"))
    yield Recommendation(
        "training.scheduler",
        "cosine",
        "Cosine: no choice is clearly better, and this one is known best.",
        f"peak × ({lowest:g} + {1 - lowest:g} · ½(1 + cos(π · share of the run)))",
        "SmolLM3, Zephyr and torchtune use cosine; Tulu and tinker linear to 0; QLoRA found constant a bit better.",
        rule_of_thumb=rules_of_thumb.SCHEDULER,
        up="constant: for runs that may be extended.",
        down="linear: ends at 0; as good in most comparisons.",
        disagreement="No comparison shows a clear winner: low stakes.",
    )
    yield Recommendation(
        "training.min_lr_ratio",
        0.1,
        "Ends at a tenth of the peak: the last rows still teach."
        if kind == "cosine"
        else f"Counts for nothing while training.scheduler is {kind}: only cosine has a lowest rate.",
        "lowest rate = 0.1 × peak",
        "SmolLM3's recipe (cosine_with_min_lr 0.1).",
        rule_of_thumb=rules_of_thumb.MIN_LR_RATIO,
        up="Learns to the end, settles less.",
        down="0: settles completely.",
    )
    yield Recommendation(
        "training.max_steps",
        0,
        "The epochs decide.",
        f"{context.get('training.epochs'):g} epochs; 0 = no limit",
        "transformers 5.23: max_steps above 0 overrides the epochs.",
        up="Stops after so many steps, whatever the epochs.",
        down="0: the epochs decide.",
    )


def warmup(context: Context) -> Iterator[Recommendation]:
    """`training.warmup_steps`."""
    total = context.schedule().total_steps
    value = 0 if total < LEAST_RUN_STEPS else min(MOST_WARMUP_STEPS, max(1, steps_of(total, WARMUP_SHARE)))
    yield Recommendation(
        "training.warmup_steps",
        value,
        "A short rise: Adam's averages need some steps before they can be trusted."
        if value
        else "The run is too short to spend a step on it.",
        f"3 % of {total:,} steps, from 1 to {MOST_WARMUP_STEPS}; none below {LEAST_RUN_STEPS} steps",
        "QLoRA, Tulu 2 and 3, OLMo 2, SmolLM3: 3 %; torchtune 100 steps.",
        rule_of_thumb=context.rule_of_thumb().warmup_steps,
        up="Calmer start; those steps learn less. The first step of a warm-up has rate 0.",
        down="0: full rate at once; LoRA starts from no change, so it often bears that.",
        disagreement=(
            f"3 %, 5 % and 10 % by the guides; here 10 % would be {steps_of(total, 0.1):,} of {total:,} steps."
        ),
    )
