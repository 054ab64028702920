"""Where float16 does harm: models that overflow in it, and cards that are slow in it."""

from __future__ import annotations

from loratui.core.capabilities import fp16_share
from loratui.core.hardware import Device

UNSLOTH = "https://github.com/unslothai/unsloth/blob/main/unsloth/models/loader.py"
OVERFLOWS: dict[str, tuple[str, str]] = {
    "gemma3": (
        "Gemma 3's activations pass 65,504, float16's largest number",
        (
            "https://github.com/huggingface/transformers/issues/36822 and "
            "https://github.com/huggingface/transformers/issues/39972"
        ),
    ),
    "gemma4": ("Gemma 4's gradients become NaN in float16", "https://github.com/unslothai/unsloth/pull/5092"),
    "gpt_oss": ("gpt-oss overflows in float16", UNSLOTH),
    "qwen3_moe": ("The gradients of Qwen3's mixtures become NaN in float16", UNSLOTH),
    "qwen3_5": ("The linear attention of Qwen3.5 gives NaN gradients in float16", UNSLOTH),
    "glm4_moe": ("The gradients of GLM-4's mixtures become NaN in float16", UNSLOTH),
}
"""By the beginning of a model's `model_type`: what happens, in words, and where it was reported (read 2026-11)."""


def fp16_fault(family: str) -> tuple[str, str]:
    """What goes wrong with this family in float16 and who reported it; two empty texts where nothing is known to."""
    return next((fault for beginning, fault in OVERFLOWS.items() if family.startswith(beginning)), ("", ""))


def slow_fp16(device: Device) -> str:
    """What this card makes of float16, for the middle of a sentence; empty where it is fast in it, or not known."""
    share = fp16_share(device.compute_capability) if device.compute_capability else 1.0
    if share >= 1:
        return ""
    return (
        f"it computes float16 at 1/{1 / share:.0f} of its float32 rate"
        if share
        else "it has no float16 arithmetic of its own"
    )
