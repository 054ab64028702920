"""What a process takes beside its tensors: the driver's context, libraries' workspaces, the allocator's slack."""

from __future__ import annotations

from dataclasses import dataclass

from loratui.core.hardware import Device
from loratui.core.memory.formats import Formats

MIB = 2**20

CPU_PROCESS_BYTES = 700 * MIB
"""Resident size of a Python process that imported torch, transformers, TRL and PEFT, before it holds a model."""


@dataclass(frozen=True, slots=True)
class Overhead:
    """bytes: what is expected. spread: what may come on top, by cause."""

    bytes: int
    spread: dict[str, int]


def context_bytes(device: Device) -> int:
    """The driver's context with lazily loaded kernels, by generation; assumed, until a run on this machine measured it."""
    capability = device.compute_capability or (8, 0)
    if capability >= (10, 0):
        return 700 * MIB
    if capability >= (9, 0):
        return 550 * MIB
    if capability >= (8, 0):
        return 450 * MIB
    return 320 * MIB


def workspace_bytes(device: Device) -> int:
    """cuBLAS's workspace inside the allocator: 32 MiB from Hopper on, 8.125 MiB before (torch `CUDABlas`)."""
    capability = device.compute_capability or (8, 0)
    return 32 * MIB if capability >= (9, 0) else 8 * MIB + MIB // 8


SLACK, SLACK_UPPER = 0.12, 0.15
"""Share of what comes and goes that the allocator reserves and cannot use, in batches of one length: median and greatest of
nvidia-smi less torch's allocated less the context, of the development half of fms-acceleration's runs with Liger (9.2 to 14.8 %)."""
GROWING_SLACK = 0.03
"""The same with `expandable_segments`, where no hole is left between segments: what rounding takes."""
COPIED_LOGITS = 0.45
"""Share of whole logits that is reserved beside them, where the loss shifts them by a copy: the blocks of 16 bit, float32, the copy and
log-probabilities are of different size, and none serves the other (transformers 4.48: 0.42 to 0.50 on the same half)."""
WHOLE_LOGITS = 2 / 12
"""Where labels are shifted instead: the block of the 16-bit logits lies idle while the backward pass holds twelve bytes a logit."""
FIXED = 20 * MIB
"""One segment of small and one of middling tensors that are never full (torch `CUDACachingAllocator`)."""


def slack_bytes(form: Formats, moving: int, logits: int) -> int:
    """What the allocator reserves and cannot use: rounding of segments, and holes between tensors that come and go.

    moving: what comes and goes at the peak. logits: the loss's own bytes at its peak, wherever the peak of all is.
    """
    if form.software.growing_segments:
        return round(moving * GROWING_SLACK) + FIXED
    loss = form.software.loss
    idle = 0.0 if loss.kind != "whole" or loss.pieces > 1 else COPIED_LOGITS if loss.copies else WHOLE_LOGITS
    return round(max(0, moving - logits) * SLACK + logits * max(SLACK, idle)) + FIXED


def overhead(device: Device, form: Formats, *, moving: int, logits: int, uneven: bool) -> Overhead:
    """Everything beside the tensors, corrected by what runs here showed.

    moving: activations and logits at the peak. logits: the loss's own bytes at its peak.
    """
    known = context_bytes(device) + workspace_bytes(device) + slack_bytes(form, moving, logits) if device.kind != "cpu" else CPU_PROCESS_BYTES
    return Overhead(max(0, known + (device.learned.offset_bytes if device.learned else 0)), {})
