"""What a GPU can do, decided by its compute capability alone.

Source: CUDA C++ Programming Guide, "Compute Capabilities"; flash-attention's README (versions 2 and 3);
bitsandbytes' installation guide (CUDA, hardware support).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Support = Literal["yes", "slow", "no"]
"""`slow`: works, but without hardware of its own."""

ComputeCapability = tuple[int, int]

CUDA_126_TORCH = "pip install torch --index-url https://download.pytorch.org/whl/cu126"
"""Installs torch built for CUDA 12.6, the only build that still has code for cards older than Turing."""


class Capabilities(NamedTuple):
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


def fp16_share(capability: ComputeCapability) -> float:
    """Operations in float16 for each one in float32, tensor cores apart; below 1 float16 is the slower format.

    Source: CUDA C++ Programming Guide, "Arithmetic Instructions": 16-bit against 32-bit results per clock and
    multiprocessor are 128 to 64 on 6.0, 2 to 128 on 6.1, 256 to 128 on 6.2, and 128 to 64 from 7.0 on; Maxwell has
    none.
    """
    if capability >= (7, 0) or capability in ((6, 0), (6, 2), (5, 3)):
        return 2.0
    return 1 / 64 if capability == (6, 1) else 0.0


def torch_without(capability: ComputeCapability) -> str:
    """The first torch whose default wheels have no code for this card, e.g. "2.8"; empty where they have.

    Source: PyTorch's CUDA support matrix (github.com/pytorch/pytorch RELEASE.md; pull request 175253, issues 157517 and
    190385): Maxwell and Pascal left the builds for CUDA 12.8 with 2.8, Volta with 2.11, and CUDA 13 has none of the
    three. The builds for CUDA 12.6 keep all of them up to torch 2.14.
    """
    if capability >= (7, 5):
        return ""
    return "2.11" if capability >= (7, 0) else "2.8"


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

    bf16 below 8.0 is emulated: right, but slower than fp16 by several times. fp16: see `fp16_share`. flash-attention 3
    is written for Hopper (9.0) only. bitsandbytes wants 6.0 for its 4-bit layers and 7.5 for int8.
    """
    return Capabilities(
        architecture=architecture_name(capability),
        bf16=_since(capability, (8, 0), otherwise="slow"),
        fp16="yes" if fp16_share(capability) > 1 else "slow",
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
