"""Recipes of preference training that were published with their settings: what the proposal goes by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

HANDBOOK = "https://github.com/huggingface/alignment-handbook/blob/main/recipes"
ORPO_AUTHORS = "https://github.com/xfactlab/orpo/blob/main/scripts"
TULU = "https://github.com/allenai/open-instruct/blob/main/docs/tulu3.md"


class PreferenceRecipe(NamedTuple):
    """Settings of one published training of a whole model. pairs: of a step, over the GPUs that the recipe or the page
    beside it names; 0 where neither says.
    """

    model: str
    parameters: float
    rate: float
    loss: str
    """As `preference.loss`, or the objective."""
    beta: float
    pairs: int
    epochs: int
    link: str


RECIPES: tuple[PreferenceRecipe, ...] = (
    PreferenceRecipe("SmolLM2 135M", 0.135e9, 1e-6, "sigmoid", 0.5, 0, 2, f"{HANDBOOK}/smollm2/dpo/config_smol.yaml"),
    PreferenceRecipe("SmolLM2 360M", 0.36e9, 1e-6, "sigmoid", 0.5, 0, 2, f"{HANDBOOK}/smollm2/dpo/config_smol.yaml"),
    PreferenceRecipe("SmolLM2 1.7B", 1.7e9, 1e-6, "sigmoid", 0.5, 0, 3, f"{HANDBOOK}/smollm2/dpo/config.yaml"),
    PreferenceRecipe("SmolLM3 3B", 3.08e9, 1e-6, "apo_zero", 0.05, 32, 1, f"{HANDBOOK}/smollm3/dpo/apo.yaml"),
    PreferenceRecipe(
        "Zephyr 7B", 7.24e9, 5e-7, "sigmoid", 0.01, 128, 1, f"{HANDBOOK}/zephyr-7b-beta/dpo/config_full.yaml"
    ),
    PreferenceRecipe("Tülu 3 8B", 8.03e9, 5e-7, "sigmoid_norm", 5.0, 128, 1, TULU),
    PreferenceRecipe("Tülu 3 70B", 70.6e9, 2e-7, "sigmoid_norm", 5.0, 128, 1, TULU),
)
"""Ascending by size; every one warms up over 10 % of its steps."""
ORPO_RECIPES: tuple[PreferenceRecipe, ...] = (
    PreferenceRecipe(
        "GPT-2", 0.124e9, 8e-6, "orpo", 0.1, 4, 0, "https://github.com/huggingface/trl, examples/scripts/orpo.py"
    ),
    PreferenceRecipe("Mistral-ORPO-β 7B", 7.24e9, 5e-6, "orpo", 0.1, 32, 5, f"{ORPO_AUTHORS}/run_mistral_orpo_beta.sh"),
    PreferenceRecipe(
        "Zephyr-ORPO 141B", 140.6e9, 5e-6, "orpo", 0.05, 0, 3, f"{HANDBOOK}/zephyr-141b-A35b/orpo/config_full.yaml"
    ),
)
"""Ascending by size. GPT-2's is trl's example, which ends after 1,000 steps."""
LORA_TIMES = 10
"""An adapter's rate as a multiple of the whole model's: Zephyr's QLoRA recipe and TRL's own script both take 5e-6 where
the whole model takes 5e-7; TRL's script for ORPO takes 8e-5 where it takes 8e-6.
"""
KTO_DOCS = "https://huggingface.co/docs/trl/kto_trainer"
KTO_RATES = (5e-7, 5e-6)
"""From and to what rates are advised for KTO, whatever is trained (TRL's documentation, usage tips)."""
KTO_ROWS = (16, 128)
"""Rows of a step, from and to, by the same tips."""
KTO_PASS_ROWS = 4
"""Rows of a forward pass that the same tips ask for at least: the KL is estimated from them."""


def whole_model_rate(parameters: float, recipes: Sequence[PreferenceRecipe] = RECIPES) -> float:
    """The rate for a whole model of so many parameters: along straight lines between the recipes, both in logarithms;
    beyond the smallest and the largest that of those. recipes: ascending by size.
    """
    points = [(math.log(one.parameters), math.log(one.rate)) for one in recipes]
    at = math.log(max(1.0, parameters))
    if at <= points[0][0]:
        return recipes[0].rate
    for (low, first), (high, second) in pairwise(points):
        if at <= high:
            return math.exp(first + (second - first) * (at - low) / (high - low))
    return recipes[-1].rate
