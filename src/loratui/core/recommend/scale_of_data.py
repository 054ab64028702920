"""What the amount of data says: how many passes, and whether an adapter can hold it."""

from __future__ import annotations

import math

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.lora_targets import adapter_parameters
from loratui.core.plan import Plan
from loratui.core.schedule import tokens_per_epoch

TOKENS_PER_PARAMETER = 2
"""An adapter's parameter holds about 2 bits, and a trained token teaches about 1 (Thinking Machines, "LoRA Without
Regret").
"""
FEW_ROWS, MANY_ROWS = 1_000, 50_000
FEWEST_EPOCHS, MOST_EPOCHS = 3, 10
"""For few rows."""
SMALLEST_BATCH = 4
"""Rows of the smallest step that is proposed."""
LEAST_STEPS = 100


def trained_tokens(data: DataFacts, plan: Plan) -> int:
    """Tokens of one epoch that bear loss, after cutting."""
    share = 1.0 if plan.training.loss_on == "all" else data.trained_share
    return round(tokens_per_epoch(data, plan.training.max_length) * share)


def holds(parameters: int) -> int:
    """Trained tokens for which an adapter of so many parameters has room."""
    return TOKENS_PER_PARAMETER * parameters


def lora_against_full(data: DataFacts, spec: ModelSpec, plan: Plan) -> str:
    """Whether LoRA learns this data as well as full fine-tuning would, in a sentence with the figures it rests on."""
    tokens, parameters = trained_tokens(data, plan), adapter_parameters(spec, plan)
    room = holds(parameters)
    if tokens <= room:
        return (
            f"LoRA learns as well as full fine-tuning here: its {parameters:,} parameters have room for {room:,} "
            f"trained tokens, and the data has {tokens:,}."
        )
    return (
        f"LoRA may learn less than full fine-tuning: the data has {tokens:,} trained tokens, and its {parameters:,} "
        f"parameters have room for {room:,}."
    )


def passes_for(examples: int) -> float:
    """Epochs for so many rows: few rows are repeated until there are 100 of the smallest steps, at most 10 times."""
    if examples < FEW_ROWS:
        return float(min(MOST_EPOCHS, max(FEWEST_EPOCHS, math.ceil(LEAST_STEPS * SMALLEST_BATCH / max(1, examples)))))
    return 2.0 if examples <= MANY_ROWS else 1.0


def why_passes(examples: int) -> tuple[str, str]:
    """The reason for `passes_for`, true for this number of rows, and the recipes for data of this size."""
    passes = passes_for(examples)
    if examples > MANY_ROWS:
        return (
            f"{examples:,} rows: one pass already shows enough of them.",
            (
                "Recipes for large data: Zephyr 1 epoch of 200,000 rows, the PEFT benchmark 1; Tulu 3 and OLMo 2 2 of "
                "about 940,000."
            ),
        )
    if examples >= FEW_ROWS:
        return (
            f"{examples:,} rows: two passes, fewer than hundreds of rows get, and more than hundreds of thousands.",
            (
                "Recipes for data of this size: QLoRA 3 epochs of 9,846 rows (OASST1), Alpaca 3 of 52,002, torchtune "
                "1 of the same."
            ),
        )
    source = "Recipes for small data: LIMA 15 epochs of 1,000 rows (2305.11206), s1 5 of 1,000 (2501.19393)."
    steps = math.ceil(examples / SMALLEST_BATCH) * passes
    if passes == FEWEST_EPOCHS:
        return f"{examples:,} rows: three passes; the held-out loss shows when it turns to memorising.", source
    if steps >= LEAST_STEPS:
        return (
            (
                f"{examples:,} rows: {passes:g} passes make {steps:,.0f} steps of {SMALLEST_BATCH} rows, "
                f"{_three(examples)}; the held-out loss shows when it turns to memorising."
            ),
            source,
        )
    return (
        (
            f"{examples:,} rows: {passes:g} passes, the most that are proposed, and still only {steps:,.0f} steps of "
            f"{SMALLEST_BATCH} rows, {_three(examples)}; more rows would help more."
        ),
        source,
    )


def _three(examples: int) -> str:
    """Why the rule of thumb's three passes are not taken for so few rows."""
    steps = math.ceil(examples / SMALLEST_BATCH) * FEWEST_EPOCHS
    return f"where the usual {FEWEST_EPOCHS} would make {steps:,} and a run wants {LEAST_STEPS}"
