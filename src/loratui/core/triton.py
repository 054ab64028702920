"""What kernels that Triton writes ask of a device and a plan, to be proposed: compiled blocks and Liger's alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from loratui.core.hardware import Device
    from loratui.core.plan import Plan

LEAST_CAPABILITY = (7, 0)
"""Of a card for which Triton writes: Volta or newer (torch `utils/_triton.py`)."""


class Reasons(NamedTuple):
    """Why some kernels are not proposed, each as the end of a sentence."""

    maker: str
    """Where the device is no card of NVIDIA's."""
    capability: str
    """Where the card is too old for Triton."""
    several: str
    """Where several devices are there, or train together."""
    objective: str
    """Where preferences are learnt."""


def against(plan: Plan, device: Device, reasons: Reasons) -> str:
    """The first of these reasons that holds; empty where none does."""
    if device.kind != "gpu" or device.vendor != "nvidia":
        return reasons.maker
    if (device.compute_capability or LEAST_CAPABILITY) < LEAST_CAPABILITY:
        return reasons.capability
    if plan.processes > 1 or device.count > 1:
        return reasons.several
    return reasons.objective if plan.training.objective != "sft" else ""
