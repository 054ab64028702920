"""How each family's decoder block is built, beyond its linear layers: norms, activation, order.

Read from transformers 5.23, `models/<family>/modeling_<family>.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Traits:
    """One family's block.

    norm: Llama's RMSNorm, Gemma's (multiplies in float32), or torch's LayerNorm. order: "pre" (a norm before attention
    and before the MLP), "post" (after each: OLMo 2), "sandwich" (both: Gemma 2 and 3), "parallel" (attention and MLP
    read the same normed input: Phi, Cohere), "parallel-two" (a norm of its own each: GPT-NeoX).
    qk_norm: none, over each head, or over the whole width. rotary: share of a head that is rotated (0: none).
    """

    norm: Literal["rms", "gemma", "layer"] = "rms"
    order: Literal["pre", "post", "sandwich", "parallel", "parallel-two"] = "pre"
    qk_norm: Literal["none", "head", "width"] = "none"
    rotary: bool = True
    gated: bool = True
    residual_scale: bool = False
    """Whether branches are multiplied by a constant before they are added (Granite)."""


TRAITS: dict[str, Traits] = {
    "llama": Traits(),
    "mistral": Traits(),
    "ministral": Traits(),
    "qwen2": Traits(),
    "qwen3": Traits(qk_norm="head"),
    "qwen2_moe": Traits(),
    "qwen3_moe": Traits(qk_norm="head"),
    "mixtral": Traits(),
    "gpt_oss": Traits(),
    "phi3": Traits(),
    "smollm3": Traits(),
    "granite": Traits(residual_scale=True),
    "glm4": Traits(order="sandwich"),
    "glm": Traits(),
    "gemma": Traits(norm="gemma"),
    "gemma2": Traits(norm="gemma", order="sandwich"),
    "gemma3_text": Traits(norm="gemma", order="sandwich", qk_norm="head"),
    "gemma3": Traits(norm="gemma", order="sandwich", qk_norm="head"),
    "olmo": Traits(norm="layer"),
    "olmo2": Traits(order="post", qk_norm="width"),
    "starcoder2": Traits(norm="layer", gated=False),
    "stablelm": Traits(norm="layer"),
    "phi": Traits(norm="layer", order="parallel", gated=False),
    "cohere": Traits(norm="layer", order="parallel"),
    "gpt2": Traits(norm="layer", rotary=False, gated=False),
    "gpt_neox": Traits(norm="layer", order="parallel-two", gated=False),
}

DEFAULT = Traits()


def traits(family: str) -> Traits:
    """The family's block; Llama's where the family is not known."""
    return TRAITS.get(family, DEFAULT)
