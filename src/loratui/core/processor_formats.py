"""Whether a processor trains faster in bfloat16 than in float32: by what was measured on it, and nothing else.

Processors with AMX or AVX512-BF16 multiply matrices in bfloat16 two to five times as fast; those without emulate it.
How much of that a training keeps depends on the width of its products, so that is what was measured
(`worker/processor.py`: forward and backward pass of one block).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Gains = tuple[tuple[int, float], ...]
"""Width of a block, and seconds of its passes in float32 for each one in bfloat16; from narrow to wide."""
INSTRUCTIONS = ("amx_bf16", "avx512_bf16", "bf16")
"""Flags in /proc/cpuinfo of processors that compute in bfloat16 (x86: AMX, AVX-512; ARM)."""
LEAST_WIDTH = 384
"""Narrower models are not measured for: with AVX512-BF16 whole steps took 0.86 (width 128) and 1.01 times (256) the
speed of float32, 1.33 times at 512 and 1.49 times at 1,024 (LoRA, torch 2.13)."""
LEAST_GAIN = 1.3
"""Of a block's passes. A whole step, with its loss, its optimizer and what the libraries do, keeps about half of what
is above 1 (512: 1.33 of 1.75, 1,024: 1.49 of 1.95), and a few per cent are not worth fewer digits."""


def instructions(features: Sequence[str]) -> str:
    """The processor's own instructions for bfloat16; empty where it has none."""
    return next((name for name in INSTRUCTIONS if name in features), "")


def gain_at(gains: Gains, width: int) -> float | None:
    """Speed in bfloat16 for each 1 in float32 at this width: between two that were measured by the logarithm of the
    width, beyond them as at the last one. None where nothing was measured.
    """
    if not gains:
        return None
    below = [one for one in gains if one[0] <= width] or [gains[0]]
    above = [one for one in gains if one[0] >= width] or [gains[-1]]
    (narrow, low), (wide, high) = below[-1], above[0]
    if narrow >= wide:
        return high
    share = math.log(width / narrow) / math.log(wide / narrow)
    return low + (high - low) * share
