"""Recipes of preference training that were published with their settings: what the proposal goes by."""

from __future__ import annotations

import math
from itertools import pairwise

from loratui.core.dataclass import dataclass

HANDBOOK = "https://github.com/huggingface/alignment-handbook/blob/main/recipes"
TULU = "https://github.com/allenai/open-instruct/blob/main/docs/tulu3.md"


@dataclass(frozen=True, slots=True)
class PreferenceRecipe:
    """Settings of one published training of a whole model. pairs: of a step, over the GPUs that the recipe or the page
    beside it names; 0 where neither says.
    """

    model: str
    parameters: float
    rate: float
    loss: str
    """As `preference.loss`."""
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
LORA_TIMES = 10
"""An adapter's rate as a multiple of the whole model's: Zephyr's QLoRA recipe and TRL's own script both take 5e-6 where
the whole model takes 5e-7.
"""


def whole_model_rate(parameters: float) -> float:
    """The rate for a whole model of so many parameters: along straight lines between the recipes, both in logarithms;
    beyond the smallest and the largest that of those.
    """
    points = [(math.log(one.parameters), math.log(one.rate)) for one in RECIPES]
    at = math.log(max(1.0, parameters))
    if at <= points[0][0]:
        return RECIPES[0].rate
    for (low, first), (high, second) in pairwise(points):
        if at <= high:
            return math.exp(first + (second - first) * (at - low) / (high - low))
    return RECIPES[-1].rate
