"""A run's state: what its worker last wrote, and what is true. A process id alone may be used again by a stranger."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from loratui.files import write_whole

State = Literal[
    "starting", "rehearsing", "running", "evaluating", "saving", "stopping", "finished", "stopped", "failed", "lost"
]
ENDED: frozenset[str] = frozenset({"finished", "stopped", "failed", "lost"})
HEARTBEAT_SECONDS = 1.0
START_GRACE_SECONDS = 30.0
"""How long a run may stay `starting` before its worker has written its process id."""
SILENCE_SECONDS = 60.0
"""How old the heartbeat of a worker on another machine may be before the run counts as lost."""


class Status(BaseModel):
    """`status.json`: replaced whole at every change and about once a second."""

    model_config = ConfigDict(extra="allow", frozen=True)

    version: int = 1
    state: State = "starting"
    pid: int = 0
    process_started: float = 0.0
    """When the worker's process began, in Unix seconds: with `process_ticks` and `boot` it tells our process from a
    later one of the same id.
    """
    process_ticks: int = 0
    boot: str = ""
    host: str = ""
    watcher_pid: int = 0
    """The process that watches over the several ones of this run, on the same machine, and says how they ended; 0:
    there is none.
    """
    watcher_started: float = 0.0
    watcher_ticks: int = 0
    heartbeat: float = 0.0
    """Unix seconds of the last sign of life."""
    step: int = 0
    total: int = 0
    """Optimizer steps that the run will have; 0 until it is known."""
    epoch: float = 0.0
    phase: str = ""
    """What is being done now, e.g. `load_model`; the word of the last `phase` event."""
    message: str = ""
    """One sentence for people: why it failed or stopped, else empty."""
    loss: float | None = None
    eta_seconds: float | None = None
    created: float = 0.0
    started: float = 0.0
    """Unix seconds at which this worker took the run over."""
    ended: float = 0.0

    @property
    def mark(self) -> ProcessMark:
        """The worker's process."""
        return ProcessMark(self.pid, self.process_started, self.process_ticks, self.host, self.boot)

    @property
    def watcher(self) -> ProcessMark:
        """The process that watches over the worker's; its id is 0 where none does."""
        return ProcessMark(self.watcher_pid, self.watcher_started, self.watcher_ticks, self.host, self.boot)

    @property
    def over(self) -> bool:
        """Whether the worker said that it is done, in one way or another."""
        return self.state in ENDED


def write_status(path: Path, status: Status) -> None:
    """Replace `status.json` whole. Raises OSError."""
    write_whole(path, status.model_dump_json(indent=1) + "\n")


def read_status(path: Path) -> Status | None:
    """The last written status; None where there is none or it cannot be understood."""
    try:
        return Status.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def judged(status: Status | None, *, now: float | None = None) -> Status:
    """The status with its true state: `lost` when the worker is gone and did not say how it ended."""
    if status is None:
        return Status(state="lost", message="This run has no readable status.")
    if status.over:
        return status
    now = time.time() if now is None else now
    if not status.pid:
        if now - status.created <= START_GRACE_SECONDS:
            return status
        return status.model_copy(update={"state": "lost", "message": "It never started: `loratui resume` starts it."})
    alive = is_alive(status.mark)
    if alive is None:
        alive = now - status.heartbeat <= SILENCE_SECONDS
    if alive or (status.watcher_pid and is_alive(status.watcher)):
        return status
    return status.model_copy(
        update={
            "state": "lost",
            "message": status.message
            or f"The worker process {status.pid} is gone and left no word; its log may say why.",
        }
    )


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
