"""Whether a model's blocks are compiled: where torch can, what it costs at the start, and from when it pays.

All blocks are alike, so that each is compiled by itself (`torch.compile`, as accelerate's `compile_regions` does) and
one graph serves all of them: its time does not grow with the number of layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from loratui.core.triton import Reasons, against
from loratui.format import duration

if TYPE_CHECKING:
    from loratui.core.hardware import Device
    from loratui.core.plan import Plan

LEAST_GAIN = 0.10
"""Share of the steps' time that has to be enough to earn the compiling: where it saves less, little is lost."""
TOLERANCE = {"fp32": 1e-3, "bf16": 5e-2, "fp16": 5e-2}
"""Relative difference (norm of the difference over norm) of all gradients up to which compiled blocks count as the
same: rounding alone made 7e-7 in float32."""
REASONS = Reasons(
    maker="torch's compiler was written for NVIDIA's cards first, and elsewhere it may not earn its time",
    capability="torch's compiler needs a card of compute capability 7.0 or newer",
    several="it is for one device",
    objective="the reference's passes beside the trained model's need graphs of their own",
)


def why_not_compiled(plan: Plan) -> str:
    """Why this plan's blocks cannot be compiled, as a sentence; empty where nothing is known against it."""
    if plan.processes > 1:
        return "training.compile = true is for one device: what one process finds of it the others would not know."
    return ""


def why_not_proposed(plan: Plan, device: Device, *, experts: bool) -> str:
    """Why compiling is not proposed whatever the run's length, as the end of a sentence; empty where it may be."""
    if reason := against(plan, device, REASONS):
        return reason
    if plan.training.liger:
        return "Liger's kernels are asked for, which fuse the same operations"
    if experts:
        return "which expert a token goes to is known only while it computes, which breaks a graph apart"
    if plan.method.quantization == "int8":
        return "bitsandbytes' 8-bit products break a graph apart"
    return ""


def verdict(plan: Plan, found: Mapping[str, Any]) -> tuple[str, dict[str, bool]] | None:
    """A sentence with what the rehearsal measured of compiled blocks, and the plan's key and value that do better;
    None where compiling pays, or was refused.

    found: `seconds` of compiling, `plain_seconds` and `compiled_seconds` of one pass, and the run's `steps`.
    """
    if not plan.training.compile or not found or found.get("refused"):
        return None
    saved = (found["plain_seconds"] - found["compiled_seconds"]) * plan.training.accumulation * found["steps"]
    if saved >= found["seconds"]:
        return None
    pays = f"saves {duration(saved)} over the run" if saved > 0 else "makes no pass faster"
    message = f"Compiling the blocks takes {duration(found['seconds'])} and {pays}: without it the run ends sooner."
    return message, {"training.compile": False}
