"""What a process takes beside its tensors: the driver's context, libraries' workspaces, the allocator's slack."""

from __future__ import annotations

from loratui.core.hardware import Device

MIB = 2**20

CPU_PROCESS_BYTES = 700 * MIB
"""Resident size of a Python process that imported torch, transformers, TRL and PEFT, before it holds a model."""


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


def slack_bytes(moving_bytes: int) -> int:
    """What the allocator reserves and cannot use: rounding of segments, and holes between tensors that come and go.

    Assumed to be 3 % of what comes and goes, and 20 MiB; not measured yet.
    """
    return moving_bytes * 3 // 100 + 20 * MIB


def overhead_bytes(device: Device, moving_bytes: int) -> int:
    """Everything beside the tensors, corrected by what runs here showed. moving_bytes: activations and logits at the peak."""
    known = context_bytes(device) + workspace_bytes(device) + slack_bytes(moving_bytes) if device.kind != "cpu" else CPU_PROCESS_BYTES
    return max(0, known + (device.learned.offset_bytes if device.learned else 0))
