"""Number formats and the attention kernel: what this device does well."""

from __future__ import annotations

from collections.abc import Iterator

from loratui.core import rules_of_thumb
from loratui.core.architecture import ModelSpec
from loratui.core.hardware import Device
from loratui.core.plan import Precision
from loratui.core.recommend.context import Context
from loratui.core.recommendation import Recommendation

WITHOUT_SDPA = {
    "gemma2": "Gemma 2 caps its attention scores, which torch's fused kernel cannot do.",
    "gpt_oss": "gpt-oss adds a sink to its attention scores, which torch's fused kernel cannot do.",
}
"""Families whose classes refuse sdpa, and why."""
WITHOUT_FLASH = ("gpt_oss",)
"""Families whose attention the installed flash kernels do not compute."""
_SOURCE = "Compute capability of the card; Micikevicius et al. 2017, Mixed Precision Training; trl 1.16 raises for bf16 on cards without it."


def without_sdpa(spec: ModelSpec) -> str:
    """Why this model's class refuses torch's fused attention, in a sentence; empty where it takes it."""
    return WITHOUT_SDPA.get(spec.family, "" if spec.sdpa else f"The class of {spec.family} has no path for torch's fused attention.")


def best_precision(device: Device) -> Precision:
    """fp32 on a CPU, bf16 from compute capability 8.0, fp16 on older cards."""
    if device.kind == "cpu":
        return "fp32"
    return "bf16" if device.bf16 else "fp16"


def _reason(device: Device, precision: Precision) -> tuple[str, str]:
    capability = ".".join(map(str, device.compute_capability)) if device.compute_capability else "unknown"
    if precision == "fp32":
        return "A CPU gains nothing from 16-bit formats: it emulates them.", "device is a CPU → fp32"
    if precision == "bf16":
        return f"{device.name} computes in bfloat16: float32's range in half the memory, no loss scaling.", f"compute capability {capability} ≥ 8.0 → bf16"
    return (
        f"{device.name} has no bfloat16; float16 with loss scaling is its fast format.",
        f"compute capability {capability} < 8.0 → fp16",
    )


def precision(context: Context) -> Iterator[Recommendation]:
    """`training.precision`, `method.compute_dtype` and `model.attention`."""
    best = best_precision(context.device)
    why, formula = _reason(context.device, best)
    yield Recommendation(
        "training.precision", best, why, formula, _SOURCE,
        rule_of_thumb=rules_of_thumb.precision(context.device.bf16) if context.device.kind == "gpu" else None,
        up="fp32: exact and safe, but twice the activations' memory and half the speed or less.",
        down="fp16: overflows above 65,504 and loses gradients below 6e-5; it needs loss scaling and clipping.",
    )
    chosen = context.get("training.precision")
    yield Recommendation(
        "method.compute_dtype", chosen, "Products with quantised weights run in the precision of the rest of the pass.",
        f"= training.precision = {chosen}", "QLoRA, arXiv 2305.14314; bitsandbytes' own default is float32, which is slow.",
        up="fp32: slower, no gain measured.", down="fp16 where bf16 is to be had: risks overflow.",
    )
    yield from _attention(context)


def fastest_kernel(context: Context) -> str:
    """The flash attention that is installed, and that the card, the number format and the model run; empty where there is none.

    flash-attention's README: version 2 from compute capability 8.0, version 3 for 9.x, 16-bit formats, heads of at most 256.
    """
    spec, capability = context.spec, context.device.compute_capability or (0, 0)
    if context.get("training.precision") == "fp32" or not spec.known or spec.head_dim > 256 or spec.family in WITHOUT_FLASH:
        return ""
    able = {"flash_attention_3": capability[0] == 9, "flash_attention_2": capability >= (8, 0)}
    return next((kernel for kernel, can in able.items() if can and kernel in context.device.attention_kernels), "")


def _attention(context: Context) -> Iterator[Recommendation]:
    reason, kernel = without_sdpa(context.spec), fastest_kernel(context)
    if kernel:
        yield Recommendation(
            "model.attention", kernel, "The fastest that is installed here: rows of one batch are kept apart without a mask.",
            f"{context.spec.family}, heads of {context.spec.head_dim}, {context.get('training.precision')} → {kernel}",
            "Dao 2023 (2307.08691); transformers 5.23 integrations/flash_attention.py.",
            up="flash_attention_3 on Hopper cards, if its package is installed.", down="sdpa: ships with torch; padding is computed, and a mask is kept.",
        )
    elif reason:
        yield Recommendation(
            "model.attention", "eager", reason, f"{context.spec.family} → eager",
            "transformers 5.23: this class sets _supports_sdpa = False and refuses sdpa.",
            up="flex_attention or flash_attention_2, where installed: leaner and faster.",
            down="eager is the only kernel that is always there.",
        )
    else:
        yield Recommendation(
            "model.attention", "sdpa", "Fused attention that ships with torch: no extra package, no scores in memory.",
            f"{context.spec.family} runs on torch's fused kernel → sdpa", "torch.nn.functional.scaled_dot_product_attention.",
            up="flash_attention_2 or 3: some percent faster on long rows, if its package is installed.",
            down="eager: keeps the scores, so memory grows with the square of the length.",
        )
