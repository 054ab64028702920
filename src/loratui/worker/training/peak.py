"""How much memory this process has needed at most, on the device that it trains on."""

from __future__ import annotations

import os
import resource
from functools import lru_cache

import torch


def process_peak_bytes() -> int:
    """Peak of this process in bytes: what torch reserved and what the driver holds beside it, or the resident size on a CPU."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_reserved() + _beside_torch()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@lru_cache(maxsize=1)
def _beside_torch() -> int:
    """Context and libraries: the driver's figure for this process less torch's, asked once; the calculation's guess where
    the driver does not tell (containers).
    """
    from loratui.core.memory.overhead import context_bytes
    from loratui.worker.training.memory_full import device

    held = held_by(os.getpid(), str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid))
    beside = held - torch.cuda.memory_reserved() if held else 0
    return beside if beside > 0 else context_bytes(device())


def held_by(pid: int, uuid: str) -> int | None:
    """Bytes of a GPU that a process holds, as NVML says; None where it does not."""
    from loratui.core.errors import LoratuiError
    from loratui.machine.detect import detect_machine

    try:
        gpus = detect_machine().gpus
    except LoratuiError:
        return None
    here = [gpu for gpu in gpus if uuid in gpu.uuid]  # NVML writes "GPU-" before it
    return next((one.memory_bytes for gpu in here for one in gpu.processes or () if one.pid == pid), None)
