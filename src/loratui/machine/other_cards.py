"""Cards of other makers than NVIDIA, where NVML shows none."""

from __future__ import annotations

import platform
import sys
from collections.abc import Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

from loratui.core.accelerators import ACCELERATORS, Vendor, torch_build
from loratui.core.hardware import Gpu
from loratui.machine.amd import amd_gpus
from loratui.machine.host import memory_bytes
from loratui.machine.nvml_calls import cards_on_bus

UNTRIED = "No such card was ever trained on by those who make this program: the rehearsal shows what works."


class OtherCards(NamedTuple):
    """What was found. vendor: whose. problems, notes: sentences."""

    gpus: tuple[Gpu, ...] = ()
    vendor: Vendor | None = None
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def other_cards(environment: Mapping[str, str], root: Path = Path("/")) -> OtherCards:
    """AMD's cards, Apple's GPU, and what is to be said of Intel's. root: where /sys lies (another place in tests)."""
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return _apple()
    if on_bus("amd", root):
        gpus = amd_gpus(environment, root)
        if gpus:
            return OtherCards(gpus, "amd", notes=(*_build_notes("amd"), UNTRIED))
        sentence = (
            "This computer has an AMD card, but ROCm's kernel driver (amdgpu with /dev/kfd) does not show it. Install "
            "AMD's driver, or start the container with --device=/dev/kfd --device=/dev/dri. An integrated one is not "
            "meant for it: the processors train."
        )
        return OtherCards(notes=(sentence,))
    if on_bus("intel", root) and installed_build() == ACCELERATORS["intel"].runtime:
        sentence = (
            "torch is built for Intel's GPUs (XPU): a training runs on one where torch sees it. What is free on it is "
            "not read here, so plans are for the processors: plan with --gpu-memory for the card."
        )
        return OtherCards(notes=(sentence, UNTRIED))
    return OtherCards()


def _apple() -> OtherCards:
    """The GPU of an Apple chip, which shares the host's memory."""
    total, available = memory_bytes()
    name = platform.processor() or "Apple"
    note = "This GPU shares the host's memory; what is free is the host's available memory."
    gpu = Gpu(index=0, uuid="0", vendor="apple", kind="unified", name=f"{name} GPU (MPS)", notes=(note,),
              memory_total_bytes=total, memory_free_bytes=available)  # fmt: skip
    return OtherCards((gpu,), "apple", notes=(UNTRIED,))


@cache
def on_bus(vendor: Vendor, root: Path) -> bool:
    """Whether a maker's display or 3-D controller is on this computer's bus; cards do not come while it runs."""
    number = ACCELERATORS[vendor].pci_vendor
    return bool(number) and cards_on_bus(number, root / "sys/bus/pci/devices") > 0


@cache
def installed_build() -> str:
    """What the installed torch is built for, as `torch_build` reads it; torch is not imported."""
    try:
        return torch_build(version("torch"))
    except PackageNotFoundError:
        return ""


def _build_notes(vendor: Vendor) -> tuple[str, ...]:
    """That the installed torch does not run on such a card."""
    accelerator = ACCELERATORS[vendor]
    if installed_build() == accelerator.runtime:
        return ()
    return (
        f"The installed torch is not built for {accelerator.called}'s cards ({accelerator.runtime}): training would "
        f"run on the processors. {accelerator.wheels}",
    )
