"""The adapter: which layers, which rank, how strongly scaled, with how much dropout."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from loratui.core import rules_of_thumb
from loratui.core.architecture import ModelSpec
from loratui.core.lora_targets import (
    ALPHA,
    adaptable,
    attention_names,
    mlp_names,
    parameters_per_rank,
    resolve_targets,
    target_names,
)
from loratui.core.recommend.context import Context
from loratui.core.recommend.method_and_batch import effective_batch
from loratui.core.recommend.scale_of_data import TOKENS_PER_PARAMETER, holds, trained_tokens
from loratui.core.recommendation import Recommendation

MIN_RANK, MAX_RANK = 16, 256
TINKER = "tinker-cookbook, sft_sweep.md (35 models, learning rate × rank)"


def targets(context: Context) -> Iterator[Recommendation]:
    """`lora.targets` and `lora.variant`."""
    spec = context.spec
    names = ", ".join(target_names(spec))
    kinds = "attention and MLP" if mlp_names(spec) else "attention, the only ones that take an adapter here"
    skipped = ", ".join(dict.fromkeys(linear.name for linear in spec.linears if linear not in adaptable(spec)))
    yield Recommendation(
        "lora.targets",
        "all-linear",
        f"Every linear layer of {kinds}: {names}.",
        f"all-linear = {names}" + (f"; not the head, and not {skipped}" if skipped else "; not the head"),
        (
            "Biderman et al. 2024 (2405.09673): all > MLP > attention; PEFT benchmark: MLP alone at rank 10 beats q,v "
            "at rank 32 with the same parameters."
        ),
        rule_of_thumb=_rule_of_thumb_targets(context),
        up="More layers: more capacity, more memory for adapters and their inputs.",
        down=_fewer(spec),
        disagreement="The original paper adapts q and v; one guide says attention is enough for most tasks.",
    )
    yield Recommendation(
        "lora.variant",
        "lora",
        "Plain LoRA: once the learning rate is tuned, the variants end within 1-2 % of each other.",
        "W + alpha / r · B · A; rslora divides by √r instead, dora trains a magnitude for each output beside it",
        "Learning Rate Matters, arXiv 2602.04998: ten methods, full search of rate, batch and rank.",
        up=(
            "dora: about a quarter slower in the PEFT benchmark, 46.9 against 47.8 %. rslora: a larger effective step "
            "at high rank, no free gain."
        ),
        down="lora is the plainest: every tool loads and merges it.",
        disagreement=(
            "The papers of rsLoRA and DoRA report gains at one learning rate for all; tuned for each, they vanish."
        ),
    )


def share_saved(spec: ModelSpec, names: Sequence[str]) -> float:
    """Share (0..1) of the adapter's parameters that these layers alone leave out, counted from the model's own
    shapes.
    """
    return 1.0 - parameters_per_rank(resolve_targets(spec, names)) / parameters_per_rank(adaptable(spec))


def _fewer(spec: ModelSpec) -> str:
    """What the smaller choices of layers save of this model's adapter, and what they cost."""
    attention, pair = attention_names(spec), ("q_proj", "v_proj")
    said = []
    if attention and mlp_names(spec):
        said.append(
            f"Attention alone: {share_saved(spec, attention):.0%} fewer parameters, and it loses even at the same "
            "number of them."
        )
    if set(pair) <= set(target_names(spec)):
        said.append(f"q and v alone: {share_saved(spec, pair):.0%} fewer, the oldest and weakest choice.")
    return " ".join(said) or "Fewer layers: fewer parameters, less capacity."


def _rule_of_thumb_targets(context: Context) -> list[str] | None:
    names = target_names(context.spec)
    return list(rules_of_thumb.TARGETS) if set(rules_of_thumb.TARGETS) <= set(names) else None


def rank(context: Context) -> Iterator[Recommendation]:
    """`lora.r`: enough parameters for what the data holds."""
    data = context.data
    per_rank = max(1, parameters_per_rank(resolve_targets(context.spec, context.get("lora.targets"))))
    trained = trained_tokens(data, context.plan())
    needed = trained / TOKENS_PER_PARAMETER / per_rank
    value = min(MAX_RANK, max(MIN_RANK, 2 ** math.ceil(math.log2(max(1.0, needed)))))
    enough = holds(value * per_rank) >= trained
    room = "room enough" if enough else "less than one per two tokens, even so"
    apart = " beside DoRA's magnitudes" if context.get("lora.variant") == "dora" else ""
    yield Recommendation(
        "lora.r",
        value,
        (f"{value * per_rank:,} parameters{apart}: {room} for {trained:,} trained tokens."),
        (
            f"smallest power of two from {MIN_RANK} to {MAX_RANK} with r × {per_rank:,} parameters ≥ {trained:,} "
            "trained tokens / 2"
        ),
        (
            "Capacity bound of the LoRA primer of Thinking Machines (about 2 bits a parameter, 1 bit a token); "
            f"{TINKER}: rank 16 → 128 gains 0.003 at 8B, 0.018 at 1B."
        ),
        rule_of_thumb=rules_of_thumb.RANK,
        up="More capacity, memory and checkpoint size; no need for another learning rate while alpha stays 32.",
        down="Fewer parameters and less memory; underfits when the data holds more than the adapter can.",
        disagreement=(
            "The guides choose by task (4 simple, 8 general, 16 reasoning, 32 special domain) or by rows (8, 16, 32); "
            "the evidence asks only that the data fits."
        ),
    )


def alpha(context: Context) -> Iterator[Recommendation]:
    """`lora.alpha`: constant, so that rank and learning rate stay independent."""
    r, stabilised = context.get("lora.r"), context.get("lora.variant") == "rslora"
    value = float(max(1, round(ALPHA / math.sqrt(r)))) if stabilised else float(ALPHA)
    scale = value / math.sqrt(r) if stabilised else value / r
    yield Recommendation(
        "lora.alpha",
        value,
        "32 / √r: the same step as plain LoRA with alpha 32."
        if stabilised
        else "Constant 32: the best learning rate then does not depend on the rank.",
        f"scale = {value:g} / {'√' if stabilised else ''}{r} = {scale:.3g}",
        f"{TINKER}; equal to the rule alpha = 2r at rank 16.",
        rule_of_thumb=float(2 * r),
        up="Stronger updates, as a higher learning rate would make them; forgets more.",
        down="Gentler updates; may not adapt enough.",
        disagreement=(
            "alpha = r, 2r or 4r by the guides: with any of them raising r also raises the step, so the learning rate "
            "would have to fall."
        ),
    )


def dropout(context: Context) -> Iterator[Recommendation]:
    """`lora.dropout`: none, but for many passes over few rows."""
    examples, passes, last = context.data.examples, context.get("training.epochs"), context.get("training.max_steps")
    counted = f"{passes:g} epochs"
    if last:
        wanted = effective_batch(context).rows
        passes = last * wanted / examples
        counted = f"{passes:.3g} epochs (training.max_steps = {last:,} × about {wanted} rows)"
    tiny = examples < 1_000 and passes > 3
    yield Recommendation(
        "lora.dropout",
        0.05 if tiny else 0.0,
        "Few rows seen many times: a little noise against memorising."
        if tiny
        else "None: LoRA already regularises more than dropout does, and dropout costs memory and speed.",
        f"{examples:,} rows, {counted}: 0.05 below 1,000 rows with more than 3 epochs, else 0",
        (
            "Biderman et al. 2024 (2405.09673); tinker, torchtune, Unsloth, LLaMA-Factory and the PEFT benchmark use "
            "0; QLoRA 0.1 up to 13B, 0.05 above."
        ),
        rule_of_thumb=rules_of_thumb.DROPOUT,
        up="More noise: less memorising, slower learning; keeps a mask and a copy of each layer's input.",
        down="0 is the leanest and fastest.",
        disagreement=(
            "Two guides say opposite things: 0.1-0.2 for the smallest data and 0 for large, or 0-0.05 for the "
            "smallest and 0.1-0.2 for large."
        ),
    )
