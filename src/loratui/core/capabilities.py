"""What a GPU can do, decided by its compute capability alone.

Source: CUDA C++ Programming Guide, "Compute Capabilities"; flash-attention's README (versions 2 and 3);
bitsandbytes' installation guide (CUDA, hardware support).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Support = Literal["yes", "slow", "no"]
"""`slow`: works, but without hardware of its own."""

ComputeCapability = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What follows from a compute capability."""

    architecture: str
    """NVIDIA's name of the generation, e.g. "Ampere"."""
    bf16: Support
    fp16: Support
    tf32: Support
    fp8: Support
    fp4: Support
    flash_attention_2: Support
    flash_attention_3: Support
    int8: Support
    """LLM.int8 of bitsandbytes."""
    nf4: Support
    """4-bit layers of bitsandbytes."""

    @property
    def best_precision(self) -> Literal["bf16", "fp16", "fp32"]:
        """The number format to train in."""
        if self.bf16 == "yes":
            return "bf16"
        return "fp16" if self.fp16 == "yes" else "fp32"


def architecture_name(capability: ComputeCapability) -> str:
    """NVIDIA's name of the generation with this compute capability."""
    major, minor = capability
    if major == 8:
        return "Ada Lovelace" if minor == 9 else "Ampere"
    if major == 7:
        return "Turing" if minor >= 5 else "Volta"
    names = {3: "Kepler", 5: "Maxwell", 6: "Pascal", 9: "Hopper", 10: "Blackwell", 11: "Blackwell", 12: "Blackwell"}
    return names.get(major, "newer than this program knows" if major > 12 else "unknown")


def capabilities(capability: ComputeCapability) -> Capabilities:
    """What a GPU of this compute capability can do.

    bf16 below 8.0 is emulated: right, but slower than fp16 by several times. fp16 runs at twice the rate of fp32 or
    better from 7.0 on, and on 6.0 (P100); the other Pascal cards run it at 1/64. flash-attention 3 is written for
    Hopper (9.0) only. bitsandbytes wants 6.0 for its 4-bit layers and 7.5 for int8.
    """
    return Capabilities(
        architecture=architecture_name(capability),
        bf16=_since(capability, (8, 0), otherwise="slow"),
        fp16="yes" if capability >= (7, 0) or capability == (6, 0) else "slow",
        tf32=_since(capability, (8, 0)),
        fp8=_since(capability, (8, 9)),
        fp4=_since(capability, (10, 0)),
        flash_attention_2=_since(capability, (8, 0)),
        flash_attention_3="yes" if capability[0] == 9 else "no",
        int8=_since(capability, (7, 5)),
        nf4=_since(capability, (6, 0)),
    )


def _since(capability: ComputeCapability, first: ComputeCapability, *, otherwise: Support = "no") -> Support:
    return "yes" if capability >= first else otherwise
