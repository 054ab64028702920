"""The learning rate: by method, model size, family, effective batch, run length and adapter scale.

LoRA follows the sweep of tinker-cookbook (35 models, batch 128): `5e-4 · (2000 / width)^p` with p = 0.781 for Llama and
0.0775 for Qwen. Here the constant is 6e-4, which centres it between the sweep's optima (3e-4 and 1e-3 on a coarse
grid), and below a width of 1,024, where nothing was measured, every family uses Llama's exponent.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise

from loratui.core.architecture import ModelSpec
from loratui.core.recommend.context import Context
from loratui.core.recommendation import Recommendation

LORA_CONSTANT, LORA_WIDTH, MEASURED_BATCH = 6e-4, 2000, 128
LLAMA_EXPONENT, QWEN_EXPONENT, OTHER_EXPONENT = 0.781, 0.0775, 0.43
SMALL_WIDTH = 1024
GPT_OSS_SHARE = 0.4
LORA_RANGE, NARROW_LORA_RANGE = (5e-5, 2e-3), (5e-5, 3e-3)
"""For widths from 1,024, and below."""
FULL_RANGE = (1e-6, 5e-4)
BATCH_RANGE = (0.5, 1.5)
FULL_BATCH_RANGE = (0.7, 1.5)
SHORT_RUN_STEPS, SHORT_RUN_FACTOR = 100, 1.5
"""LoRA's best rate is 10 times that of full fine-tuning, and 15 times in runs below about 100 steps."""
SCALE_RANGE = (0.5, 2.0)
REFERENCE_ALPHA = 32
FULL_THUMB = 2e-5
FULL_ANCHORS = ((1.0e8, 2e-4), (1.7e9, 1.05e-4), (3.0e9, 2.5e-5), (8.0e9, 1.1e-5), (70.0e9, 2.5e-6))
"""(parameters, learning rate at batch 128), from published full fine-tunings; between them log-log lines."""


def exponent(spec: ModelSpec) -> float:
    """How steeply the LoRA rate falls with width, by family: tinker-cookbook's p for Llama and Qwen, their mean for others."""
    if spec.family.startswith("qwen"):
        return QWEN_EXPONENT
    return LLAMA_EXPONENT if spec.family in ("llama", "mistral", "smollm3", "granite", "mixtral") else OTHER_EXPONENT


def lora_rate(spec: ModelSpec) -> float:
    """Best LoRA rate at an effective batch of 128 with alpha 32.

    Source: tinker-cookbook `hyperparam_utils.py` with another constant (see above). Within a factor of 3 of each optimum
    of its sweep of 35 models, on a grid of factors of about 3.
    """
    power = exponent(spec)
    wide = LORA_CONSTANT * (LORA_WIDTH / max(spec.hidden_size, SMALL_WIDTH)) ** power
    narrow = max(1.0, SMALL_WIDTH / spec.hidden_size) ** LLAMA_EXPONENT
    return float(wide * narrow * (GPT_OSS_SHARE if spec.family == "gpt_oss" else 1.0))


def full_rate(parameters: int) -> float:
    """Best rate of full fine-tuning at an effective batch of 128, by parameters of the model.

    Log-log lines through published recipes (FULL_ANCHORS); they differ by a factor of 4 at 7-8 B, so the answer does too.
    """
    points = FULL_ANCHORS
    if parameters <= points[0][0]:
        return min(FULL_RANGE[1], points[0][1] * math.pow(points[0][0] / max(1, parameters), 0.3))
    for (small, high), (large, low) in pairwise(points):
        if parameters <= large:
            share = math.log(parameters / small) / math.log(large / small)
            return math.exp(math.log(high) + share * math.log(low / high))
    return points[-1][1] * math.pow(points[-1][0] / parameters, 0.7)


def batch_factor(effective_batch_size: int, *, full: bool = False) -> float:
    """√(batch / 128), held between bounds: published rates hardly follow the batch."""
    low, high = FULL_BATCH_RANGE if full else BATCH_RANGE
    return min(high, max(low, math.sqrt(effective_batch_size / MEASURED_BATCH)))


def scale_factor(r: int, alpha: float, variant: str) -> float:
    """What another scale than 32 / r asks of the rate: √(reference / scale), between a half and twice.

    At first the update grows with scale × rate, later with the square of it: the root lies between.
    """
    scale = alpha / math.sqrt(r) if variant == "rslora" else alpha / r
    low, high = SCALE_RANGE
    return min(high, max(low, math.sqrt(REFERENCE_ALPHA / r / scale)))


def allowed_range(spec: ModelSpec, *, full: bool) -> tuple[float, float]:
    """Lowest and highest rate that is ever recommended."""
    if full:
        return FULL_RANGE
    return LORA_RANGE if spec.hidden_size >= SMALL_WIDTH else NARROW_LORA_RANGE


def rounded(value: float, digits: int = 2) -> float:
    """To two significant digits: nobody knows more of a learning rate."""
    return float(f"{value:.{digits - 1}e}")


def _shown(rate: float) -> str:
    return f"{rate:g}".replace("e-0", "e-")


def learning_rate(context: Context) -> Iterator[Recommendation]:
    """`training.learning_rate`."""
    steps, batch = context.schedule().total_steps, context.plan().training
    effective = batch.batch_size * batch.accumulation * context.device.count
    short = SHORT_RUN_FACTOR if steps < SHORT_RUN_STEPS and not context.full else 1.0
    spec = context.spec
    low, high = allowed_range(spec, full=context.full)
    if context.full:
        base, scale = full_rate(spec.total_parameters), 1.0
        origin = f"{base:.2g} for {spec.total_parameters / 1e9:.3g} B parameters"
        source = "Published full fine-tunings: Tulu 3 (8B 5e-6, 70B 2e-6), OLMo 2 7B 1e-5, Zephyr 7B and SmolLM3 3B 2e-5, SmolLM2 1.7B 3e-4, all near batch 128."
        disagreement = "Between 5e-6 and 2e-5 for the same 7-8B; the guides say 1e-5 to 5e-5. SmolLM2's 3e-4 stands far above all others."
    else:
        base = lora_rate(spec)
        scale = scale_factor(context.get("lora.r"), context.get("lora.alpha"), context.get("lora.variant"))
        origin = f"{base:.2g} for width {spec.hidden_size} ({spec.family}, p = {exponent(spec):g})"
        source = "tinker-cookbook hyperparam_utils.py and sft_sweep.md: optimum 3e-4 for most, 1e-3 for small Llamas, 1e-4 for gpt-oss-20b; 3e-3 diverges."
        disagreement = "Folk rule 2e-4 · √(batch/8): 8e-4 at batch 128, near divergence. Marek et al. (2507.07101) find no √; published recipes use 1e-4 to 3e-4 from batch 8 to 128."
    factor = batch_factor(effective, full=context.full)
    raw = base * factor * short * scale
    value = rounded(min(high, max(low, raw)))
    parts = [origin, f"× {factor:.2g} (√({effective}/{MEASURED_BATCH}), held within bounds)"]
    if short != 1.0:
        parts.append(f"× {short:g} (fewer than {SHORT_RUN_STEPS} steps)")
    if abs(scale - 1) > 0.01:
        parts.append(f"× {scale:.2g} (scale of the adapter)")
    yield Recommendation(
        "training.learning_rate", value,
        f"By {'size' if context.full else 'width and family'} of the model, for {effective} rows a step over {steps:,} steps.",
        " ".join(parts) + f" = {raw:.2g}, kept within {_shown(low)} … {_shown(high)}", source,
        rule_of_thumb=FULL_THUMB if context.full else rounded(context.thumb().learning_rate, 3),
        up="Learns faster; too high, the loss jumps or diverges.", down="Steadier; too low, the loss hardly falls.",
        disagreement=disagreement,
    )
