"""Number formats and the attention kernel: what this device does well."""

from __future__ import annotations

from collections.abc import Iterator

from loratui.core import rules_of_thumb
from loratui.core.accelerators import ACCELERATORS, attention_feature, best_format, lack
from loratui.core.architecture import ModelSpec
from loratui.core.attention import (
    FLASH_KERNELS,
    TORCH_VARLEN,
    flash_version,
    is_of_hub,
    keeps_rows_apart,
    needs_gpu,
)
from loratui.core.capabilities import capabilities, fp16_share
from loratui.core.float16 import fp16_fault, slow_fp16
from loratui.core.hardware import Device
from loratui.core.plan import Precision
from loratui.core.processor_formats import LEAST_GAIN, LEAST_WIDTH, gain_at
from loratui.core.recommend.context import Context
from loratui.core.recommendation import Recommendation
from loratui.core.varlen import HEAD_STEP, UNTRIED, why_no_varlen

WITHOUT_SDPA = {
    "gemma2": "Gemma 2 caps its attention scores, which torch's fused kernel cannot do.",
    "gpt_oss": "gpt-oss adds a sink to its attention scores, which torch's fused kernel cannot do.",
}
"""Families whose classes refuse sdpa, and why."""
MOST_FLASH_HEAD = 256
WITHOUT_FLASH = ("gpt_oss",)
"""Families whose attention the installed flash kernels do not compute."""
_SOURCE = (
    "Compute capability of the card; Micikevicius et al. 2017, Mixed Precision Training; trl 1.16 raises for bf16 on "
    "cards without it."
)
_OF_PROCESSOR = "Both passes of a block, measured on this processor (`loratui doctor`), or LORATUI_CPU_BF16."


def without_sdpa(spec: ModelSpec) -> str:
    """Why this model's class refuses torch's fused attention, in a sentence; empty where it takes it."""
    return WITHOUT_SDPA.get(
        spec.family, "" if spec.sdpa else f"The class of {spec.family} has no path for torch's fused attention."
    )


def best_precision(device: Device, spec: ModelSpec) -> Precision:
    """The format to train this model in on this device.

    On a CPU bf16 where it was measured to be faster in it at this model's width, else fp32; on a GPU bf16 from compute
    capability 8.0; on older cards fp16 where they are fast in it and the model bears it, else fp32.
    """
    if device.kind == "cpu":
        gain = gain_at(device.bf16_gains, spec.hidden_size)
        faster = gain is not None and gain >= LEAST_GAIN and spec.hidden_size >= LEAST_WIDTH
        return "bf16" if faster else "fp32"
    if device.vendor != "nvidia":
        best: Precision = best_format(device.vendor, device.architecture)
    else:
        best = capabilities(device.compute_capability).best_precision if device.compute_capability else "fp16"
    return "fp32" if best == "fp16" and fp16_fault(spec.family)[0] else best


def _reason(device: Device, spec: ModelSpec, precision: Precision) -> tuple[str, str]:
    if device.kind == "cpu":
        return _reason_of_processor(device, spec)
    if device.vendor != "nvidia":
        named = f"{device.name}, {device.architecture}" if device.architecture else device.name
        words = {
            "bf16": "it multiplies matrices in bfloat16: float32's range in half the memory, no loss scaling",
            "fp16": "it has no matrix instructions for bfloat16; float16 with loss scaling is its fast format",
            "fp32": "float32 is what always works on it",
        }
        return f"{named}: {words[precision]}.", f"{ACCELERATORS[device.vendor].called}'s {named} → {precision}"
    if device.compute_capability is None:
        return (
            f"What {device.name} can do is not known; float16 with loss scaling runs on most cards.",
            f"compute capability unknown → {precision}",
        )
    version = ".".join(map(str, device.compute_capability))
    if precision == "bf16":
        return (
            f"{device.name} computes in bfloat16: float32's range in half the memory, no loss scaling.",
            f"compute capability {version} ≥ 8.0 → bf16",
        )
    share, fault = fp16_share(device.compute_capability), fp16_fault(spec.family)[0]
    if share < 1:
        return (
            f"{device.name} has no bfloat16, and {slow_fp16(device)}.",
            f"compute capability {version}: float16 at {share:.3g} of float32's rate → fp32",
        )
    if precision == "fp32":
        return (
            f"{fault}, and {device.name} has no bfloat16: float32 is what works.",
            f"compute capability {version} < 8.0 and {spec.family} → fp32",
        )
    fast = (
        "its fast format"
        if device.compute_capability >= (7, 0)
        else "at most twice as fast as float32, in half the memory"
    )
    return (
        f"{device.name} has no bfloat16; float16 with loss scaling is {fast}.",
        f"compute capability {version} < 8.0 → fp16",
    )


def _reason_of_processor(device: Device, spec: ModelSpec) -> tuple[str, str]:
    own, width = device.bf16_instructions, spec.hidden_size
    gain = gain_at(device.bf16_gains, width)
    if gain is not None and width >= LEAST_WIDTH:
        faster = gain >= LEAST_GAIN
        speed = f"a block of this width is {gain:.2g} times as fast in bfloat16 as in float32 here"
        kept = "a whole step keeps about half of what is gained, and float32's range"
        return (
            f"This processor has bfloat16: {speed}; {kept}."
            if faster
            else f"float32: {speed}, which is not worth fewer digits.",
            f"{gain:.3g} × {'≥' if faster else '<'} {LEAST_GAIN:g} × at width {width:,} → "
            f"{'bf16' if faster else 'fp32'}",
        )
    if not own:
        return (
            "float32: this processor names no bfloat16 instructions (AMX, AVX512-BF16), so it was not measured in it.",
            "a CPU that names no bfloat16 → fp32",
        )
    if width < LEAST_WIDTH:
        return (
            f"float32: this processor has bfloat16 ({own}), but products as narrow as this model's gain nothing by it.",
            f"width {width:,} < {LEAST_WIDTH:,} → fp32",
        )
    return (
        f"float32: this processor has bfloat16 ({own}), but how fast it is in it was not measured yet; "
        "`loratui doctor` does.",
        f"a CPU with {own}, not measured → fp32",
    )


def precision(context: Context) -> Iterator[Recommendation]:
    """`training.precision`, `method.compute_dtype` and `model.attention`."""
    device, spec = context.device, context.spec
    best = best_precision(device, spec)
    why, formula = _reason(device, spec, best)
    reported = fp16_fault(spec.family)[1] if device.kind == "gpu" and not device.bf16 else ""
    yield Recommendation(
        "training.precision",
        best,
        why,
        formula,
        _OF_PROCESSOR if device.kind == "cpu" else f"{_SOURCE} {reported}.".replace(" .", "") if reported else _SOURCE,
        rule_of_thumb=rules_of_thumb.precision(device.bf16) if device.kind == "gpu" else None,
        up=_up(device),
        down="fp16: overflows above 65,504 and loses gradients below 6e-5; it needs loss scaling and clipping.",
    )
    chosen = context.get("training.precision")
    yield Recommendation(
        "method.compute_dtype",
        chosen,
        "For quantised weights alone: their products run in the precision of the rest of the pass.",
        f"= training.precision = {chosen}",
        "QLoRA, arXiv 2305.14314; bitsandbytes' own default is float32, which is slow.",
        up="fp32: slower, no gain measured.",
        down="fp16 where bf16 is to be had: risks overflow.",
    )
    yield from _attention(context)


def _up(device: Device) -> str:
    """What float32 costs on this device."""
    rates = device.peak_flops_in("bf16"), device.peak_flops_in("fp32")
    if device.kind == "cpu" or not rates[0] or not rates[1]:
        return "fp32: exact and safe, but twice the activations' memory of a 16-bit format."
    slower = rates[0] / rates[1]
    speed = f"at most 1/{slower:.2g} of the speed" if slower > 1.05 else "as fast on this card"
    return f"fp32: exact and safe, {speed}; twice the activations' memory of a 16-bit format."


def fastest_kernel(context: Context) -> str:
    """The flash attention that is installed, and that the card, the number format and the model run; else torch's own
    over rows of unlike length, for answers on one of NVIDIA's cards; empty where there is none.
    """
    spec, device, precision = context.spec, context.device, str(context.get("training.precision"))
    if not spec.known or (device.compute_capability is None and device.vendor == "nvidia"):
        return ""
    alone = device.vendor == "nvidia" and device.count == 1
    wanted = context.plan({"model.attention": TORCH_VARLEN})
    own = (TORCH_VARLEN,) if alone and not why_no_varlen(wanted) else ()
    installed = (kernel for kernel in (*FLASH_KERNELS, *own) if kernel in device.attention_kernels)
    return next((kernel for kernel in installed if not kernel_fault(kernel, device, spec, precision)), "")


def kernel_fault(kernel: str, device: Device, spec: ModelSpec, precision: str) -> str:
    """Why a kernel cannot run here, in a sentence; empty where it can, or where nothing speaks against it.

    flash-attention's README: version 2 from compute capability 8.0, version 3 for 9.x, 16-bit formats, heads of at most
    256. torch's own is version 2, and its heads are a multiple of 8 (torch 2.13 `flash_attn/flash_api.cpp`).
    """
    if needs_gpu(kernel) and device.kind != "gpu":
        return f"{kernel} runs on NVIDIA GPUs only."
    feature = attention_feature(kernel)
    if device.kind == "gpu" and feature and (why := lack(device.vendor, feature)):
        return f"{kernel} does not work on {ACCELERATORS[device.vendor].called}'s cards: {why}."
    if not keeps_rows_apart(kernel):
        return ""
    capability = device.compute_capability
    if capability is not None:
        can = capabilities(capability)
        third = flash_version(kernel) == 3
        support = can.flash_attention_3 if third else can.flash_attention_2
        if support == "no":
            needed = "9.x" if third else "8.0"
            return f"{kernel} needs compute capability {needed}, and {device.name} has {capability[0]}.{capability[1]}."
    if precision == "fp32":
        return f"{kernel} computes in 16 bits only, and training.precision is fp32."
    if spec.head_dim > MOST_FLASH_HEAD:
        return f"{kernel} takes heads of at most {MOST_FLASH_HEAD}, and this model's have {spec.head_dim}."
    if kernel == TORCH_VARLEN and spec.head_dim % HEAD_STEP:
        return f"{kernel} takes heads that are a multiple of {HEAD_STEP}, and this model's have {spec.head_dim}."
    plain = kernel == TORCH_VARLEN and without_sdpa(spec)  # neither a cap nor sinks, nor a class of its own making
    lacks = plain or (spec.family in WITHOUT_FLASH and not is_of_hub(kernel))
    return f"{kernel} does not compute the attention of {spec.family}." if lacks else ""


def _attention(context: Context) -> Iterator[Recommendation]:
    reason, kernel = without_sdpa(context.spec), fastest_kernel(context)
    if kernel == TORCH_VARLEN:
        yield Recommendation(
            "model.attention",
            kernel,
            "It ships with torch and keeps the rows of a batch apart without a mask, so that none is padded. It is "
            f"tried beside sdpa on the first batch and dropped where it refuses or differs: {UNTRIED}.",
            f"{context.spec.family}, heads of {context.spec.head_dim}, {context.get('training.precision')}, no package "
            f"of flash attention → {kernel}",
            "torch 2.13 torch.nn.attention.varlen and its flash_attn/flash_api.cpp (flash attention 2); Dao 2023 "
            "(2307.08691).",
            up="flash_attention_2 or 3 by their packages: the same attention, whose speed is known.",
            down="sdpa: padding is computed, and a mask is kept.",
        )
    elif kernel:
        yield Recommendation(
            "model.attention",
            kernel,
            "The fastest that is installed here: rows of one batch are kept apart without a mask.",
            f"{context.spec.family}, heads of {context.spec.head_dim}, {context.get('training.precision')} → {kernel}",
            "Dao 2023 (2307.08691); transformers 5.23 integrations/flash_attention.py.",
            up="On Hopper cards flash_attention_3 by its package, or kernels-community/flash-attn3 by the package "
            "kernels.",
            down="sdpa: ships with torch; padding is computed, and a mask is kept.",
        )
    elif reason:
        yield Recommendation(
            "model.attention",
            "eager",
            reason,
            f"{context.spec.family} → eager",
            "transformers 5.23: this class sets _supports_sdpa = False and refuses sdpa.",
            up="flex_attention or flash_attention_2, where installed: leaner and faster.",
            down="eager is the only kernel that is always there.",
        )
    else:
        yield Recommendation(
            "model.attention",
            "sdpa",
            "Fused attention that ships with torch: no extra package, no scores in memory.",
            f"{context.spec.family} runs on torch's fused kernel → sdpa",
            "torch.nn.functional.scaled_dot_product_attention.",
            up="flash_attention_2 or 3 by their packages, or kernels-community/flash-attn2 or flash-attn3 by "
            "the package kernels: no padding, and some percent faster on long rows. torch_varlen, torch's own from "
            "2.11 on, does without padding too, on one card; its speed is not known yet.",
            down="eager: keeps the scores, so memory grows with the square of the length.",
        )
