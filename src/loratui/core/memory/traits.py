"""How each family's decoder block is built, beyond its linear layers: norms, activation, order.

Read from transformers 5.23, `models/<family>/modeling_<family>.py`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple


class Traits(NamedTuple):
    """One family's block.

    norm: Llama's RMSNorm, Gemma's (multiplies in float32, as OLMo 2 does), torch's LayerNorm, or one without weights
    that casts back (OLMo). order: "pre" (a norm before attention and before the MLP), "post" (after each: OLMo 2),
    "sandwich" (both: Gemma 2 and 3), "parallel" (attention and MLP read the same normed input: Phi, Cohere),
    "parallel-two" (a norm of its own each: GPT-NeoX). qk_norm: none, over each head, or over the whole width.
    rotary: share of a head that is rotated (0: none).
    """

    norm: Literal["rms", "gemma", "layer", "bare"] = "rms"
    order: Literal["pre", "post", "sandwich", "parallel", "parallel-two"] = "pre"
    qk_norm: Literal["none", "head", "width"] = "none"
    rotary: bool = True
    gated: bool = True
    activation: Literal["fused", "gelu_new"] = "fused"
    """Whether the activation is one kernel, or GPT-2's tanh formula written out."""
    eager: bool = False
    """Whether the class has no fused attention, so that scores are held (Gemma 2, gpt-oss)."""
    softcap: bool = False
    """Whether attention scores pass a tanh."""
    sinks: bool = False
    """Whether each head has a score of its own that takes attention away (gpt-oss)."""
    full_every: int = 1
    """With a sliding window: every how many blocks one looks at everything; 1: none does."""
    experts: Literal["llama", "gpt_oss"] = "llama"
    """How experts gate: as Llama's MLP, or clamped with a sigmoid."""
    wide_shares: bool = False
    """Whether the router's shares stay in float32, and widen the experts' results (Mixtral)."""
    residual_scale: bool = False
    """Whether branches are multiplied by a constant before they are added (Granite)."""
    wide_rotary: bool = False
    """Whether queries and keys are rotated in float32, with float32 sines and cosines (OLMo, Cohere)."""


TRAITS: dict[str, Traits] = {
    "llama": Traits(),
    "mistral": Traits(),
    "ministral": Traits(),
    "qwen2": Traits(),
    "qwen3": Traits(qk_norm="head"),
    "qwen2_moe": Traits(),
    "qwen3_moe": Traits(qk_norm="head"),
    "mixtral": Traits(wide_shares=True),
    "gpt_oss": Traits(eager=True, sinks=True, full_every=2, experts="gpt_oss"),
    "phi3": Traits(),
    "smollm3": Traits(),
    "granite": Traits(residual_scale=True),
    "glm4": Traits(order="sandwich"),
    "glm": Traits(),
    "gemma": Traits(norm="gemma"),
    "gemma2": Traits(norm="gemma", order="sandwich", eager=True, softcap=True, full_every=2),
    "gemma3_text": Traits(norm="gemma", order="sandwich", qk_norm="head", full_every=6),
    "gemma3": Traits(norm="gemma", order="sandwich", qk_norm="head", full_every=6),
    "olmo": Traits(norm="bare", wide_rotary=True),
    "olmo2": Traits(norm="gemma", order="post", qk_norm="width", wide_rotary=True),
    "olmo3": Traits(norm="gemma", order="post", qk_norm="width", wide_rotary=True, full_every=4),
    "arcee": Traits(gated=False),
    "hunyuan_v1_dense": Traits(qk_norm="head"),
    "seed_oss": Traits(),
    "starcoder2": Traits(norm="layer", gated=False),
    "stablelm": Traits(norm="layer"),
    "phi": Traits(norm="layer", order="parallel", gated=False, activation="gelu_new"),
    "cohere": Traits(norm="layer", order="parallel", wide_rotary=True),
    "gpt2": Traits(norm="layer", rotary=False, gated=False, activation="gelu_new"),
    "gpt_neox": Traits(norm="layer", order="parallel-two", gated=False),
}

DEFAULT = Traits()

PUBLISHED_ABOVE: dict[str, float] = {"arcee": 0.44, "olmo3": 0.43, "hunyuan_v1_dense": 2.9}
"""Families whose published run (Axolotl's examples) needed more than its estimate, as a share of it, and why is not
known. AFM's and Olmo 3's agree with a base whose norms and residual stream stayed in float32; Hunyuan's with nothing
that was tried."""


def traits(family: str) -> Traits:
    """The family's block; Llama's where the family is not known."""
    return TRAITS.get(family, DEFAULT)
