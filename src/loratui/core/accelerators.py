"""Whose accelerators there are, and what of a training does not work on which: the one table that everybody asks.

Figures of compute capabilities are NVIDIA's (`capabilities.py`); here stands what differs between the makers. Nothing
of it was tried on such a card here: each line follows from what the named library says or contains.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from loratui.core.attention import TORCH_VARLEN, is_of_hub

if TYPE_CHECKING:
    from loratui.core.plan import Plan

Vendor = Literal["nvidia", "amd", "intel", "apple"]
Feature = Literal[
    "flash_attention_2", "flash_attention_3", "hub_kernels", "torch_varlen", "nf4", "int8", "8bit", "paged", "several"
]
Format = Literal["bf16", "fp16", "fp32"]
FEATURES: dict[Feature, str] = {
    "flash_attention_2": "flash-attention 2 (its package)",
    "flash_attention_3": "flash-attention 3",
    "hub_kernels": "Attention of the hub's kernels",
    "torch_varlen": "torch's attention over rows of unlike length",
    "nf4": "A base in 4 bit",
    "int8": "A base in 8 bit",
    "8bit": "An 8-bit optimizer",
    "paged": "A paged optimizer",
    "several": "Training on several",
}
"""Each in words that begin a sentence."""


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """What is said and done of one maker's cards."""

    called: str
    runtime: str
    """What torch must be built for."""
    torch_device: str
    """torch's name of them."""
    wheels: str
    """How torch for them is installed."""
    pci_vendor: str = ""
    """Their maker's number on the bus; empty where they are on none."""
    lacks: Mapping[Feature, str] = field(default_factory=dict)
    """What does not work on them, and why, as the end of a sentence."""


_HOPPER = "is written for NVIDIA's Hopper cards (flash-attention's README)"
_NO_FLASH = "transformers takes the package on CUDA and ROCm alone (is_flash_attn_2_available)"
_NO_VARLEN = "torch has its kernel for CUDA and ROCm alone (native_functions.yaml, _flash_attention_forward)"
ACCELERATORS: dict[Vendor, Accelerator] = {
    "nvidia": Accelerator(
        called="NVIDIA",
        runtime="CUDA",
        torch_device="cuda",
        wheels="pip install torch",
        pci_vendor="0x10de",
    ),
    "amd": Accelerator(
        called="AMD",
        runtime="ROCm",
        torch_device="cuda",
        wheels="pip install torch --index-url https://download.pytorch.org/whl/rocm7.0",
        pci_vendor="0x1002",
        lacks={"flash_attention_3": _HOPPER},
    ),
    "intel": Accelerator(
        called="Intel",
        runtime="XPU",
        torch_device="xpu",
        wheels="pip install torch --index-url https://download.pytorch.org/whl/xpu",
        pci_vendor="0x8086",
        lacks={"flash_attention_2": _NO_FLASH, "flash_attention_3": _HOPPER, "torch_varlen": _NO_VARLEN},
    ),
    "apple": Accelerator(
        called="Apple",
        runtime="MPS",
        torch_device="mps",
        wheels="pip install torch",
        lacks={
            "flash_attention_2": _NO_FLASH,
            "flash_attention_3": _HOPPER,
            "torch_varlen": _NO_VARLEN,
            "hub_kernels": "the flash kernels of kernels-community are built for CUDA, ROCm and XPU",
            "int8": "bitsandbytes 0.50 has 4-bit kernels for MPS and no 8-bit ones",
            "8bit": "bitsandbytes 0.50 has no 8-bit optimizer for MPS",
            "paged": "bitsandbytes 0.50 has no library with paged memory for macOS",
            "several": "a Mac has one GPU",
        },
    ),
}
FAST_BF16 = ("gfx90a", "gfx94", "gfx95", "gfx11", "gfx12")
"""AMD's architectures with matrix instructions for bfloat16 at float16's rate (CDNA 2 to 4, RDNA 3 and 4: AMD's matrix
instruction guide). gfx908 has them at half the rate; gfx906 and RDNA 1 and 2 (gfx10) have none."""


def lack(vendor: Vendor, feature: Feature) -> str:
    """Why this does not work on a maker's cards, as the end of a sentence; empty where nothing speaks against it."""
    return ACCELERATORS[vendor].lacks.get(feature, "")


def vendor_fault(plan: Plan, vendor: Vendor) -> tuple[str, str] | None:
    """What of a plan does not work on a maker's cards, in a sentence, and what to set instead; None where all may."""
    wanted: list[tuple[Feature | None, str, str]] = [
        (attention_feature(plan.model.attention), f"model.attention = {plan.model.attention}", "sdpa"),
        (quantisation_feature(plan.method.quantization), f"method.quantization = {plan.method.quantization}", "none"),
        (optimizer_feature(plan.training.optimizer), f"training.optimizer = {plan.training.optimizer}", "adamw_torch"),
        ("several" if plan.processes > 1 else None, f"Training on {plan.processes} GPUs", ""),
    ]
    for feature, setting, instead in wanted:
        if feature and (why := lack(vendor, feature)):
            change = f"Set {setting.split(' = ')[0]} to {instead}." if instead else "Name one in hardware.devices."
            change += " method.kind = lora goes with it." if instead == "none" else ""
            return f"{setting} does not work on {ACCELERATORS[vendor].called}'s cards: {why}.", change
    return None


def attention_feature(attention: str) -> Feature | None:
    """What an attention needs of a card beyond torch itself."""
    if is_of_hub(attention):
        return "hub_kernels"
    own: tuple[Feature, ...] = ("flash_attention_2", "flash_attention_3", TORCH_VARLEN)
    return next((feature for feature in own if feature == attention), None)


def quantisation_feature(quantization: str) -> Feature | None:
    """What a quantised base needs of a card beyond torch itself."""
    return "int8" if quantization == "int8" else None if quantization == "none" else "nf4"


def optimizer_feature(optimizer: str) -> Feature | None:
    """What an optimizer needs of a card beyond torch itself."""
    return "paged" if "paged" in optimizer else "8bit" if "8bit" in optimizer else None


def best_format(vendor: Vendor, architecture: str) -> Format:
    """The number format to train in on a card of another maker than NVIDIA, whose compute capability says it.

    Intel's Arc and Max cards multiply matrices (XMX) in bfloat16. Apple's chips emulate it before the M3 (transformers'
    is_torch_bf16_gpu_available says so), and autocast on them is young: float32.
    """
    if vendor == "amd":
        return "bf16" if architecture.startswith(FAST_BF16) else "fp16"
    return "bf16" if vendor == "intel" else "fp32"


def torch_build(version: str) -> str:
    """What a torch is built for, by its version's local part: `CUDA`, `ROCm`, `XPU`, `CPU`; empty where it does not say
    (wheels of PyPI: CUDA on Linux, MPS on a Mac).
    """
    local = version.partition("+")[2]
    known = {"cu": "CUDA", "rocm": "ROCm", "xpu": "XPU", "cpu": "CPU"}
    return next((name for start, name in sorted(known.items(), reverse=True) if local.startswith(start)), "")
