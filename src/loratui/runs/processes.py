"""Which process is ours: a process id alone may be used again by a stranger."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

CLOCK_SLACK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class ProcessMark:
    """What tells one process from every other: of this machine, since it was switched on."""

    pid: int
    started: float
    """Unix seconds; moves with the wall clock, so `ticks` decides where it is known."""
    ticks: int = 0
    """Clock ticks between the machine's start and the process's; 0 where the system does not tell."""
    host: str = ""
    boot: str = ""
    """Random id of the machine's last start; empty where the system does not tell."""


def mark_of(pid: int) -> ProcessMark | None:
    """The mark of a living process; None when there is none (a zombie is none)."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        started = process.create_time()
    except psutil.NoSuchProcess:
        return None
    except psutil.AccessDenied:
        started = 0.0
    return ProcessMark(pid=pid, started=started, ticks=_ticks(pid), host=socket.gethostname(), boot=_boot())


def own_mark() -> ProcessMark:
    """The mark of this process."""
    mark = mark_of(os.getpid())
    assert mark is not None
    return mark


def is_alive(mark: ProcessMark) -> bool | None:
    """Whether the marked process lives; None when it ran on another machine, whose processes cannot be seen here."""
    if mark.host and mark.host != socket.gethostname():
        return None
    if mark.pid <= 0 or (mark.boot and _boot() and mark.boot != _boot()):
        return False
    now = mark_of(mark.pid)
    if now is None:
        return False
    if mark.ticks and now.ticks:
        return mark.ticks == now.ticks
    return not now.started or abs(now.started - mark.started) <= CLOCK_SLACK_SECONDS


def _ticks(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return 0
    return int(text.rpartition(")")[2].split()[19])


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
