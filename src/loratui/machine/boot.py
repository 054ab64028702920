"""One start of this machine: its id, and a clock that nobody sets."""

from __future__ import annotations

import time
from pathlib import Path


def boot_id() -> str:
    """Random id of the machine's last start; empty where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def since_boot() -> float:
    """Seconds since the machine was started, the time that it slept included; 0 where the system does not tell."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return round(time.clock_gettime(clock), 3) if clock is not None else 0.0
