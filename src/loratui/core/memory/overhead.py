"""What a process takes beside its tensors: the driver's context, libraries' workspaces, the allocator's slack, and
loading.
"""

from __future__ import annotations

from typing import NamedTuple

from loratui.core.architecture import ModelSpec
from loratui.core.hardware import Device
from loratui.core.memory.formats import Formats
from loratui.core.memory.states import is_quantised

MIB = 2**20

CPU_PROCESS_BYTES = 700 * MIB
"""Resident size of a Python process that imported torch, transformers, TRL and PEFT, before it holds a model."""


class Overhead(NamedTuple):
    """bytes: what is expected. spread: what may come on top, by cause."""

    bytes: int
    spread: dict[str, int]


def context_bytes(device: Device) -> int:
    """The driver's context with lazily loaded kernels, by generation; assumed, until a run on this machine measured
    it."""
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
"""Share of what comes and goes that the allocator reserves and cannot use, in batches of one length: median and
greatest of nvidia-smi less torch's allocated less the context, of the development half of fms-acceleration's runs
with Liger (9.2 to 14.8 %)."""
GROWING_SLACK = 0.03
"""The same with `expandable_segments`, where no hole is left between segments: what rounding takes."""
COPIED_LOGITS = 0.45
"""Share of whole logits that is reserved beside them, where the loss shifts them by a copy: the blocks of 16 bit,
float32, the copy and log-probabilities are of different size, and none serves the other (transformers 4.48: 0.42 to
0.50 on the same half)."""
WHOLE_LOGITS = 2 / 12
"""Where labels are shifted instead: the block of the 16-bit logits lies idle while the backward pass holds twelve
bytes a logit."""
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


CONTEXT_SPREAD = 150 * MIB
"""How far contexts of one generation lie apart (drivers, numbers of multiprocessors)."""
KERNELS_SPREAD = 250 * MIB
"""Modules that bitsandbytes, FlashAttention or Triton load beside torch's own: 0.1 to 0.3 GiB."""
IDLE_UPPER = 0.50
"""Greatest share of whole logits that was seen reserved beside them (development half, as COPIED_LOGITS)."""


class Moving(NamedTuple):
    """What comes and goes, in bytes: at the peak; the loss's own at its peak; and of two phases that follow each
    other, the smaller."""

    peak: int
    logits: int
    other_phase: int
    uneven: bool
    """Whether batches are of unlike length."""


def overhead(device: Device, form: Formats, moving: Moving, *, kernels: bool) -> Overhead:
    """Everything beside the tensors, corrected by what runs here showed; and what may come on top until they did.

    kernels: whether libraries with kernels of their own take part.
    """
    if device.kind == "cpu":
        known, spread = CPU_PROCESS_BYTES, {"allocator": round(moving.peak * SLACK_UPPER)}
    else:
        known = context_bytes(device) + workspace_bytes(device) + slack_bytes(form, moving.peak, moving.logits)
        spread = {
            "context": CONTEXT_SPREAD + (KERNELS_SPREAD if kernels else 0),
            "workspaces": 2
            * workspace_bytes(
                device
            ),  # the backward pass's thread has a cuBLAS handle of its own, and cuBLASLt a workspace
            "allocator": _slack_spread(form, moving),
            "phases": moving.other_phase,
        }
    return Overhead(
        max(0, known + (device.learned.offset_bytes if device.learned else 0)),
        {name: size for name, size in spread.items() if size},
    )


def _slack_spread(form: Formats, moving: Moving) -> int:
    """What holes may take beyond the expected: the greatest share seen; and as much again where batches are of
    unlike length, whose blocks are split for one another. Segments that are free as a whole do not count: torch
    gives them back before it fails."""
    growing, whole = form.software.growing_segments, form.software.loss.kind == "whole"
    share = GROWING_SLACK if growing else SLACK_UPPER - SLACK
    again = SLACK_UPPER if moving.uneven and not growing else 0.0
    idle = (
        moving.logits * (IDLE_UPPER - (COPIED_LOGITS if form.software.loss.copies else WHOLE_LOGITS))
        if whole and not growing
        else 0
    )
    return round(max(0, moving.peak - moving.logits) * (share + again) + idle + moving.logits * again)


def load_extra(spec: ModelSpec, form: Formats) -> int:
    """Bytes beyond the weights: transformers reads each tensor straight to its place, but one that bitsandbytes is
    about to quantise lies on the device in 16 bits first.
    """
    if not form.quantised:
        return 0
    return (
        max((layer.in_features * layer.out_features for layer in spec.linears if is_quantised(layer, form)), default=0)
        * 2
    )
