"""What a process sees of the card it trains on: torch's figures and the driver's; the processor where there is none."""

from __future__ import annotations

import os
import resource
from typing import Any


def plan_device() -> Any:
    """The card with what is free on it and its peak, as plans are calculated for; the processor where there is none."""
    from loratui.machine.detect import detect_machine
    from loratui.machine.device import device_for

    return device_for(detect_machine())


def used_bytes() -> int | None:
    """All that is used on the first card, by the driver; None without one. Makes no CUDA context."""
    from loratui.machine.detect import detect_machine

    gpus = detect_machine().gpus
    return gpus[0].memory_used_bytes if gpus else None


def own_bytes() -> int | None:
    """What the driver says that this process holds; None where it tells no processes apart (containers)."""
    import torch

    if not torch.cuda.is_available():
        return None
    from loratui.worker.training.memory import held_by

    return held_by(os.getpid(), str(torch.cuda.get_device_properties(0).uuid))


def torch_peaks() -> dict[str, int | None]:
    """Peaks since `forget_peaks`: allocated and reserved by torch; of the host where there is no card."""
    import torch

    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if not torch.cuda.is_available():
        return {"allocated": None, "reserved": None, "host": host}
    torch.cuda.synchronize()
    return {
        "allocated": torch.cuda.max_memory_allocated(),
        "reserved": torch.cuda.max_memory_reserved(),
        "host": host,
    }


def forget_peaks() -> None:
    """Count peaks from here."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def open_context() -> dict[str, int | None]:
    """Make the CUDA context, and say what it takes by the driver: of this process, and of the whole card."""
    import torch

    if not torch.cuda.is_available():
        return {"own": None, "card": None}
    before = used_bytes()
    torch.ones(8, device="cuda").sum().item()
    pool = torch.cuda.memory_reserved()
    own, after = own_bytes(), used_bytes()
    return {
        "own": own - pool if own else None,
        "card": after - before - pool if after is not None and before is not None else None,
    }


def wait() -> None:
    """Until the card has done what it was asked."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
