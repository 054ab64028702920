"""What preference training takes otherwise than learning answers: rate, passes, rows of a step, reference.

Each question is silent while answers are learnt.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from loratui.core.knowledge.preference_recipes import (
    KTO_DOCS,
    KTO_PASS_ROWS,
    KTO_RATES,
    KTO_ROWS,
    LORA_TIMES,
    ORPO_RECIPES,
    RECIPES,
    whole_model_rate,
)
from loratui.core.presets import Preset
from loratui.core.recommend.context import Context
from loratui.core.recommend.scale_of_data import LEAST_STEPS
from loratui.core.recommend.schedule import steps_of
from loratui.core.recommendation import Recommendation
from loratui.format import number_text

MOST_PASSES = 3
"""SmolLM2 1.7B's recipe: no other one makes more."""
MOST_PAIRS, FEWEST_PAIRS = 32, 4
"""SmolLM3's step; below the fewest no recipe goes."""
WORTH = 1.25
"""From this speed-up on a reference of an adapter is computed once."""
REACHED, LEAST_WIDTH = 0.99, 768
"""Share of the speed-up by work that was measured (1.279 of 1.286 with a model of width 768), and the width from which
it is: with one of 256 other work outweighs the products, and 1.286 by work were 1.131
(`benchmarks/preference_speed.py --reference`).
"""
WARMUP_SHARE = 0.1
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


def learns_preferences(context: Context) -> bool:
    """Whether preferences are learnt."""
    return bool(context.get("training.objective") != "sft")


def unpadded(context: Context) -> Iterator[Recommendation]:
    """Preferences come padded and in an order of their own, and nothing in them is left to chance."""
    if not learns_preferences(context):
        return
    objective = context.get("training.objective")
    kto = objective == "kto"
    for key, word in (
        ("training.packing", "Packing"),
        ("training.padding_free", "Rows end to end"),
        ("training.group_by_length", "Grouping by length"),
    ):
        yield Recommendation(
            key,
            False,
            f"{word} is not offered for judged answers: they are padded, and their order is that of the KL's blocks."
            if kto
            else f"{word} is not offered for pairs: both sides of each are padded together.",
            f"objective = {objective}",
            f"trl 1.16 {objective}_trainer.py: the rows are padded"
            + (", and its `padding_free` is switched off." if objective == "dpo" else "."),
            up="Not with preferences.",
            down="False: each side is padded to the longest of its batch.",
        )


def steady(context: Context) -> Iterator[Recommendation]:
    """`lora.dropout`: none, since the model is compared with its reference."""
    if not learns_preferences(context):
        return
    objective = context.get("training.objective")
    yield Recommendation(
        "lora.dropout",
        0.0,
        "None: trl's ORPOTrainer switches dropout off."
        if objective == "orpo"
        else "None: the model is compared with its reference, and chance would be part of the difference.",
        f"objective = {objective}: 0",
        "trl 1.16 `disable_dropout`: dropout is switched off in the model and in its reference.",
        up="Not with preferences.",
        down="0: nothing is left to chance.",
        disagreement="Zephyr's QLoRA recipe names 0.05, which trl switches off all the same.",
    )


def passes(context: Context) -> Iterator[Recommendation]:
    """`training.epochs`: one, or up to three where there are few rows; three for ORPO."""
    if not learns_preferences(context):
        return
    examples, objective = context.data.examples, context.get("training.objective")
    if objective == "orpo":
        yield Recommendation(
            "training.epochs",
            3.0,
            "Three passes: it learns the answers as well, and no recipe of ORPO makes fewer.",
            "3, the fewest of the recipes",
            "; ".join(f"{one.model} {one.epochs}: {one.link}" for one in ORPO_RECIPES if one.epochs),
            up="Answers are learnt by heart: the held-out loss shows it.",
            down="Fewer steps.",
            disagreement="Mistral-ORPO-β makes 5 over 61,000 pairs, its Capybara version and Zephyr-ORPO 3 over 7,000.",
        )
        return
    fewest, word = (KTO_ROWS[0], "answers") if objective == "kto" else (FEWEST_PAIRS, "pairs")
    wanted = math.ceil(LEAST_STEPS * fewest / max(1, examples))
    value = float(min(MOST_PASSES, max(1, wanted)))
    made = f"at most the {MOST_PASSES} that a recipe makes"
    whose = "its authors" if objective == "kto" else "the recipes of large models"
    yield Recommendation(
        "training.epochs",
        value,
        f"{examples:,} {word}: one pass, as {whose} make."
        if value == 1
        else f"{examples:,} {word} are few: {value:g} passes, {made}.",
        f"{LEAST_STEPS} steps × {fewest} {word} / {examples:,} {word} = {wanted}, from 1 to {MOST_PASSES}",
        f"ContextualAI/HALOs config/config.yaml: 1; LLaMA-Factory llama3_lora_kto.yaml: 3; {KTO_DOCS}: rather more "
        "passes than a higher rate."
        if objective == "kto"
        else "; ".join(f"{one.model} {one.epochs}: {one.link}" for one in RECIPES),
        up="They are learnt by heart sooner than answers: the held-out figures show it.",
        down="Fewer steps.",
        disagreement="LLaMA-Factory's example makes 3 passes over 1,000 answers, KTO's authors one over many more."
        if objective == "kto"
        else "SmolLM2 makes 2 and 3 passes over the 61,000 pairs of which Zephyr makes one.",
    )


def rows_of_a_step(objective: str, examples: int, epochs: float, last: int) -> tuple[int, str]:
    """Rows per optimizer step, and why. last: `training.max_steps`."""
    kto = objective == "kto"
    fewest, word = (KTO_ROWS[0], "answers") if kto else (FEWEST_PAIRS, "pairs")
    whose = {"dpo": "SmolLM3's recipe", "orpo": "Mistral-ORPO's", "kto": "KTO's authors"}[objective]
    size = MOST_PAIRS
    while size > fewest and not last and examples * epochs / size < LEAST_STEPS:
        size //= 2
    while size > max(1, examples):
        size //= 2
    if last:
        return size, f"training.max_steps = {last:,} decides the steps: {size} {word}, as {whose}"
    steps = examples * epochs / size
    others = {
        "dpo": "Zephyr and Tülu 3 take 128",
        "orpo": "trl's example takes 4",
        "kto": f"{KTO_ROWS[0]} to {KTO_ROWS[1]} are advised: {KTO_DOCS}",
    }[objective]
    return size, (
        f"{examples:,} {word} × {epochs:g} epochs / {size} = {steps:,.0f} steps: {MOST_PAIRS} as {whose}, halved down "
        f"to {fewest} while there are fewer than {LEAST_STEPS} ({others})"
    )


def fewest_of_a_pass(context: Context) -> tuple[int, int]:
    """Rows that a forward pass needs at least, and those that it should have: KTO's KL is estimated from them."""
    if context.get("training.objective") == "kto" and context.get("preference.kto_loss") == "kto":
        return 2, KTO_PASS_ROWS
    return 1, 1


def preference_rate(context: Context) -> Iterator[Recommendation]:
    """`training.learning_rate` and `training.warmup_steps` of preference training."""
    if not learns_preferences(context):
        return
    objective = context.get("training.objective")
    yield _rate_of_kto(context) if objective == "kto" else _rate(context, orpo=objective == "orpo")
    total = context.schedule().total_steps
    links = {
        "dpo": "; ".join(dict.fromkeys(one.link for one in RECIPES)),
        "orpo": "; ".join(f"{one.model}: {one.link}" for one in ORPO_RECIPES),
        "kto": "trl 1.16 scripts/kto.py: 0.1; ContextualAI/HALOs config/config.yaml: 150 steps",
    }
    yield Recommendation(
        "training.warmup_steps",
        steps_of(total, WARMUP_SHARE),
        "A tenth of the steps, as every recipe of preference training has it."
        if objective == "dpo"
        else "A tenth of the steps, as trl's script for KTO has it."
        if objective == "kto"
        else "A tenth of the steps: recipes of ORPO name 100 to 200, which is from 2 to 15 % of theirs.",
        f"10 % of {total:,} steps",
        links[objective],
        up="Calmer start; those steps learn less. The first step of a warm-up has rate 0.",
        down="0: full rate at once.",
    )


def _rate(context: Context, *, orpo: bool) -> Recommendation:
    parameters, recipes = context.spec.total_parameters, ORPO_RECIPES if orpo else RECIPES
    whole = whole_model_rate(parameters, recipes)
    value = float(f"{whole if context.full else LORA_TIMES * whole:.1e}")
    times = "" if context.full else f" × {LORA_TIMES} for an adapter"
    smallest = recipes[0]
    beyond = (
        f" None of them is for a model below {smallest.parameters / 1e9:g} billion parameters."
        if parameters < smallest.parameters
        else ""
    )
    adapters = (
        "; for adapters trl's example: 8e-5 where the whole model has 8e-6."
        if orpo
        else "; for adapters Zephyr's config_qlora.yaml and trl 1.16 scripts/dpo.py: 5e-6 where a whole model has 5e-7."
    )
    return Recommendation(
        "training.learning_rate",
        value,
        f"Recipes for whole models of this size take {whole:.1e}{times}: far less than answers are learnt with."
        f"{beyond}",
        f"{whole:.1e} for {parameters / 1e9:.2g} billion parameters, between the recipes{times} = {value:.1e}",
        "; ".join(f"{one.model} {number_text(one.rate)}: {one.link}" for one in recipes) + adapters,
        up="The odds of chosen answers grow faster; too high, the model forgets to write."
        if orpo
        else "Margins grow faster; too high, both answers' log-probabilities fall, and the model forgets to write.",
        down="Steadier; too low, the margin stays at 0.",
        disagreement="trl 1.16's default is 1e-6 for whatever is trained; Labonne's QLoRA of Llama 3 8B (Fine-tune "
        "Llama 3 with ORPO) takes 8e-6, no more than for a whole model."
        if orpo
        else "trl 1.16's default is 1e-6 for whatever is trained; its script takes 5e-7 for a model of 0.5B, "
        "where SmolLM2's recipes take 1e-6.",
    )


def _rate_of_kto(context: Context) -> Recommendation:
    lowest, highest = KTO_RATES
    parameters = context.spec.total_parameters
    whole = whole_model_rate(parameters)
    wanted = whole if context.full else LORA_TIMES * whole
    value = float(f"{min(highest, max(lowest, wanted)):.1e}")
    times = "" if context.full else f" × {LORA_TIMES} for an adapter"
    return Recommendation(
        "training.learning_rate",
        value,
        f"As DPO's{times}, within the {lowest:g} to {highest:g} that are advised for KTO.",
        f"{whole:.1e} for {parameters / 1e9:.2g} billion parameters, between DPO's recipes{times} = {wanted:.1e}, "
        f"from {lowest:g} to {highest:g}",
        f"{KTO_DOCS}, usage tips; trl 1.16 scripts/kto.py: its best settings are like DPO's; LLaMA-Factory "
        "llama3_lora_kto.yaml: 5e-6 for an adapter.",
        up="Rewards part faster; too high, the model forgets to write.",
        down="Steadier; too low, the margin stays at 0: rather more passes.",
        disagreement="With beta 0.1 trl's documentation advises 1e-6 at most, and its script takes 5e-7 for QLoRA too; "
        "KTO's authors take 5e-6 for a whole Llama 3 8B (ContextualAI/HALOs).",
    )


def reference_of_a_whole_model(context: Context) -> Iterator[Recommendation]:
    """`preference.reference` before the memory is searched: a second copy of the model decides what fits."""
    if context.full:
        yield from reference(context)


def reference(context: Context) -> Iterator[Recommendation]:
    """`preference.reference`: computed once where that saves memory or time; silent where there is none (ORPO)."""
    if context.get("training.objective") not in ("dpo", "kto"):
        return
    epochs = float(context.get("training.epochs"))
    gain, formula = _speed_up(context, epochs)
    narrow = context.spec.hidden_size < LEAST_WIDTH
    once = context.full or (gain * REACHED >= WORTH and not narrow)
    saves = (
        f"a model of width {context.spec.hidden_size:,} is too narrow to gain by computing it once"
        if narrow
        else f"{epochs:g} pass{'' if epochs == 1 else 'es'} would save little by computing it once"
    )
    yield Recommendation(
        "preference.reference",
        "precomputed" if once else "each-step",
        "Computed once: no second copy of the model stays in memory."
        if context.full
        else f"Computed once: {epochs:g} passes would compute it anew each time."
        if once
        else f"Computed at each step, {_beside(context)}: {saves}, and the training begins at once.",
        f"whole model, or width of at least {LEAST_WIDTH} and {WORTH:g} times as fast, by {REACHED:g} of what the work "
        f"says: precomputed; {formula}",
        "trl 1.16 `precompute_ref_log_probs`; work by Kaplan et al. 2020 (2001.08361): forward 2, backward 2 or 4; "
        "three passes of DPO on two CPU cores: 1.28 times as fast at width 768, 1.13 at 256.",
        up="precomputed: one pass over all rows before the first step, then none.",
        down="each-step: a pass without gradients at each step; of a whole model a frozen copy beside it.",
    )


def _speed_up(context: Context, epochs: float) -> tuple[float, str]:
    """How much faster an adapter is trained whose reference is computed once, by the parts of work of a row: forward 2,
    backward 2, recomputing 2; the reference 2, and KTO's KL 2 more of each model.
    """
    kl = 2 * int(fewest_of_a_pass(context)[0] > 1)
    trained = 4 + 2 * int(bool(context.get("training.checkpointing"))) + kl
    beside = 2 + kl
    gain = epochs * (trained + beside) / (epochs * trained + beside)
    parts = f"{epochs:g} × ({trained} + {beside}) / ({epochs:g} × {trained} + {beside})"
    return gain, f"{epochs:g} passes with an adapter: {parts} = {gain:.3g} times"


def _beside(context: Context) -> str:
    began = context.get("lora.adapter")
    return "by a copy of the adapter that is gone on from" if began else "with the adapter switched off"
