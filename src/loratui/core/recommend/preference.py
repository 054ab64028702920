"""What preference training takes otherwise than learning answers: loss, beta, rate, passes, rows of a step, reference.

Each question is silent while answers are learnt.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from loratui.core.knowledge.preference_recipes import LORA_TIMES, RECIPES, whole_model_rate
from loratui.core.presets import Preset
from loratui.core.recommend.context import Context
from loratui.core.recommend.scale_of_data import LEAST_STEPS
from loratui.core.recommend.schedule import steps_of
from loratui.core.recommendation import Recommendation

MOST_PASSES = 3
"""SmolLM2 1.7B's recipe: no other one makes more."""
MOST_PAIRS, FEWEST_PAIRS = 32, 4
"""SmolLM3's step; below the fewest no recipe goes."""
REPEATED = 3
"""Passes from which a reference that is computed once saves a fifth of the work or more: an adapter's step is four
parts of work and the reference two, so that three passes take 3 × 4 + 2 instead of 3 × 6.
"""
WARMUP_SHARE = 0.1
BETAS = {"sigmoid": 0.1, "sigmoid_norm": 5.0, "ipo": 0.1, "apo_zero": 0.05, "robust": 0.1}
SFT_ALONE = (
    "training.packing",
    "training.padding_free",
    "training.group_by_length",
    "training.loss_on",
    "training.learning_rate",
    "training.epochs",
    "training.warmup_steps",
    "training.accumulation",
    "lora.dropout",
)
"""Keys whose values are other ones for pairs than for answers: a preset's that was made for answers do not count for
pairs, and what was held for the one is not held for the other.
"""


def for_objective(preset: Preset, chosen: Mapping[str, Any]) -> Preset:
    """The preset as it counts for what is learnt: where preferences are, its values that were made for learning answers
    do not, and that is told. chosen: what a person set or holds, which stands above the preset.
    """
    if {**preset.values, **chosen}.get("training.objective", "sft") == "sft":
        return preset
    dropped = [key for key in preset.values if key in SFT_ALONE]
    if "training.objective" in preset.values or not (dropped or preset.warmup_ratio):
        return preset
    told = f"{preset.name} is made for learning answers: its {', '.join(dropped) or 'warm-up'} do not count for pairs."
    values = {key: value for key, value in preset.values.items() if key not in dropped}
    return replace(preset, values=values, warmup_ratio=None, notes=(*preset.notes, told))


def learns_pairs(context: Context) -> bool:
    """Whether preferences are learnt."""
    return bool(context.get("training.objective") != "sft")


def preferences(context: Context) -> Iterator[Recommendation]:
    """What is learnt of a pair: `preference.loss`, `beta` and the weights beside it."""
    if not learns_pairs(context):
        return
    recipes = "; ".join(f"{one.model}: {one.loss}, beta {one.beta:g}" for one in RECIPES)
    yield Recommendation(
        "preference.loss",
        "sigmoid",
        "DPO's own loss: most recipes and comparisons are of it.",
        "-log sigmoid(beta × (chosen's log-probability ratio - rejected's))",
        f"Rafailov et al. 2023 (2305.18290); trl 1.16 `loss_type`. {recipes}.",
        up="sigmoid_norm counts by tokens, so that length alone wins nothing; apo_zero holds the chosen answer up.",
        down="robust: where labels are known to be wrong at times; ipo: where the margin runs away.",
        disagreement="Tülu 3 takes sigmoid_norm, SmolLM3 apo_zero, Zephyr and SmolLM2 sigmoid.",
    )
    loss = str(context.get("preference.loss"))
    yield Recommendation(
        "preference.beta",
        BETAS[loss],
        f"What is usual with {loss}: {_beta_source(loss)}.",
        f"{BETAS[loss]:g} for {loss}",
        f"{recipes}; trl 1.16's default 0.1.",
        up="The model stays closer to its reference.",
        down="It may go further from it, and forget more.",
        disagreement="With the same loss Zephyr takes 0.01 and SmolLM2 0.5: fifty times as much.",
    )
    robust = loss == "robust"
    yield Recommendation(
        "preference.label_smoothing",
        0.1 if robust else 0.0,
        "A tenth of the labels counts as wrong, as the loss's own paper does." if robust else "Only robust uses it.",
        f"0.1 with robust, else 0; the loss is {loss}",
        "Chowdhury et al. 2024 (2403.00409), as trl 1.16 cites it.",
        up="More labels are supposed to be wrong; pairs teach less.",
        down="0: every label is believed.",
    )
    yield Recommendation(
        "preference.sft_weight",
        0.0,
        "None: the recipes that are gone by have none.",
        "loss of the pairs + weight × loss of the chosen answers",
        "Zephyr, Tülu 3, SmolLM3: none; Llama 3 adds it with 0.2 (2407.21783).",
        up="Keeps the chosen answers likely, where both sides' log-probabilities fall.",
        down="0: only the difference of the sides is learnt.",
        disagreement="Llama 3 takes 0.2, the others nothing.",
    )
    yield Recommendation(
        "preference.length_weight",
        1.0,
        "Every token counts: no recipe that is gone by weighs them.",
        "tokens beyond the shorter answer of a pair × weight",
        "LD-DPO, Liu et al. 2024 (2409.06411); trl 1.16 `ld_alpha`.",
        up="1: as all other tokens.",
        down="Longer answers win less by their length alone.",
    )


def _beta_source(loss: str) -> str:
    return {
        "sigmoid_norm": "Tülu 3",
        "apo_zero": "SmolLM3",
        "sigmoid": "DPO's paper and trl",
    }.get(loss, "trl's default")


def unpadded(context: Context) -> Iterator[Recommendation]:
    """Pairs come padded and in random order, and nothing in them is left to chance."""
    if not learns_pairs(context):
        return
    for key, word in (
        ("training.packing", "Packing"),
        ("training.padding_free", "Rows end to end"),
        ("training.group_by_length", "Grouping by length"),
    ):
        yield Recommendation(
            key,
            False,
            f"{word} is not offered for pairs: both sides of each are padded together.",
            "objective = dpo",
            "trl 1.16 dpo_trainer.py: pairs are padded, and its `padding_free` is switched off.",
            up="Not with pairs.",
            down="False: each side is padded to the longest of its batch.",
        )


def steady(context: Context) -> Iterator[Recommendation]:
    """`lora.dropout`: none, since the model is compared with its reference."""
    if learns_pairs(context):
        yield Recommendation(
            "lora.dropout",
            0.0,
            "None: the model is compared with its reference, and chance would be part of the difference.",
            "objective = dpo: 0",
            "trl 1.16 `disable_dropout`: dropout is switched off in the model and in its reference.",
            up="Not with pairs.",
            down="0: both are computed alike.",
            disagreement="Zephyr's QLoRA recipe names 0.05, which trl switches off all the same.",
        )


def passes(context: Context) -> Iterator[Recommendation]:
    """`training.epochs`: one, or up to three where there are few pairs."""
    if not learns_pairs(context):
        return
    examples = context.data.examples
    wanted = math.ceil(LEAST_STEPS * FEWEST_PAIRS / max(1, examples))
    value = float(min(MOST_PASSES, max(1, wanted)))
    yield Recommendation(
        "training.epochs",
        value,
        f"{examples:,} pairs: one pass, as the recipes of large models make."
        if value == 1
        else f"{examples:,} pairs are few: {value:g} passes, at most the {MOST_PASSES} that a recipe makes.",
        f"{LEAST_STEPS} steps × {FEWEST_PAIRS} pairs / {examples:,} pairs = {wanted}, from 1 to {MOST_PASSES}",
        "; ".join(f"{one.model} {one.epochs}: {one.link}" for one in RECIPES),
        up="Pairs are learnt by heart sooner than answers: the held-out accuracy shows it.",
        down="Fewer steps.",
        disagreement="SmolLM2 makes 2 and 3 passes over the 61,000 pairs of which Zephyr makes one.",
    )


def pairs_of_a_step(examples: int, epochs: float, last: int) -> tuple[int, str]:
    """Pairs per optimizer step, and why. last: `training.max_steps`."""
    size = MOST_PAIRS
    while size > FEWEST_PAIRS and not last and examples * epochs / size < LEAST_STEPS:
        size //= 2
    while size > max(1, examples):
        size //= 2
    if last:
        return size, f"training.max_steps = {last:,} decides the steps: {size} pairs, as SmolLM3's recipe"
    steps = examples * epochs / size
    return size, (
        f"{examples:,} pairs × {epochs:g} epochs / {size} = {steps:,.0f} steps: SmolLM3's {MOST_PAIRS}, halved down to "
        f"{FEWEST_PAIRS} while there are fewer than {LEAST_STEPS} (Zephyr and Tülu 3 take 128)"
    )


def preference_rate(context: Context) -> Iterator[Recommendation]:
    """`training.learning_rate` and `training.warmup_steps` of preference training."""
    if not learns_pairs(context):
        return
    parameters = context.spec.total_parameters
    whole = whole_model_rate(parameters)
    value = float(f"{whole if context.full else LORA_TIMES * whole:.1e}")
    times = "" if context.full else f" × {LORA_TIMES} for an adapter"
    smallest = RECIPES[0]
    beyond = (
        f" None of them is for a model below {smallest.parameters / 1e9:g} billion parameters."
        if parameters < smallest.parameters
        else ""
    )
    yield Recommendation(
        "training.learning_rate",
        value,
        f"Recipes for whole models of this size take {whole:.1e}{times}: far less than answers are learnt with."
        f"{beyond}",
        f"{whole:.1e} for {parameters / 1e9:.2g} billion parameters, between the recipes{times} = {value:.1e}",
        "; ".join(f"{one.model} {one.rate:g}: {one.link}" for one in RECIPES)
        + "; for adapters Zephyr's config_qlora.yaml and trl 1.16 scripts/dpo.py: 5e-6 where the whole model has 5e-7.",
        up="Margins grow faster; too high, both answers' log-probabilities fall, and the model forgets to write.",
        down="Steadier; too low, the margin stays at 0.",
        disagreement="trl 1.16's default is 1e-6 for whatever is trained; its script takes 5e-7 for a model of 0.5B, "
        "where SmolLM2's recipes take 1e-6.",
    )
    total = context.schedule().total_steps
    yield Recommendation(
        "training.warmup_steps",
        steps_of(total, WARMUP_SHARE),
        "A tenth of the steps, as every recipe of preference training has it.",
        f"10 % of {total:,} steps",
        "; ".join(dict.fromkeys(one.link for one in RECIPES)),
        up="Calmer start; those steps learn less. The first step of a warm-up has rate 0.",
        down="0: full rate at once.",
    )


def reference(context: Context) -> Iterator[Recommendation]:
    """`preference.reference`: computed once where that saves memory or time."""
    if not learns_pairs(context):
        return
    epochs = float(context.get("training.epochs"))
    once = context.full or epochs >= REPEATED
    yield Recommendation(
        "preference.reference",
        "precomputed" if once else "each-step",
        "Computed once: no second copy of the model stays in memory."
        if context.full
        else f"Computed once: {epochs:g} passes would compute it anew each time."
        if once
        else f"Computed at each step, {_beside(context)}: {epochs:g} pass{'' if epochs == 1 else 'es'} would save "
        "little by computing it once, and the training begins at once.",
        f"whole model, or at least {REPEATED} passes: precomputed; {epochs:g} passes here",
        "trl 1.16 `precompute_ref_log_probs`; work by Kaplan et al. 2020 (2001.08361): forward 2, backward 2 or 4.",
        up="precomputed: one pass over all pairs before the first step, then none.",
        down="each-step: a pass without gradients at each step; of a whole model a frozen copy beside it.",
    )


def _beside(context: Context) -> str:
    began = context.get("lora.adapter")
    return "by a copy of the adapter that is gone on from" if began else "with the adapter switched off"
