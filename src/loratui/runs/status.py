"""A run's state: what its worker last wrote, and what is true. A process id alone may be used again by a stranger."""

from __future__ import annotations

import math
import os
import shutil
import socket
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import psutil
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from loratui.files import read_object, write_whole
from loratui.format import size
from loratui.machine.boot import boot_id, since_boot
from loratui.machine.memory_kills import MemoryKills, again, killed_since
from loratui.runs.lines import STEP_START, from_the_end
from loratui.runs.states import ENDED as ENDED
from loratui.runs.states import State as State

HEARTBEAT_SECONDS = 1.0
START_GRACE_SECONDS = 30.0
"""How long a run may stay `starting` before its worker has written its process id."""
SILENCE_SECONDS = 60.0
"""How old the heartbeat of a worker on another machine may be before the run counts as lost, and how far the clocks of
two machines may lie apart.
"""
FULL_DISK_BYTES = 16 << 20
STARTED_START = b'{"type":"started"'
LAST_LINES = 100
"""Lines of its events among which a lost run's last step is looked for."""

Id = Annotated[int, Field(ge=0, le=2**31 - 1)]
Count = Annotated[int, Field(ge=0, le=2**62)]
Moment = Annotated[float, Field(ge=0, le=2**53, allow_inf_nan=False)]
"""Unix seconds."""


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Known = Annotated[float | None, BeforeValidator(_finite)]
"""A number; one that is not finite says as much as none."""


class Status(BaseModel):
    """`status.json`: replaced whole at every change and about once a second."""

    model_config = ConfigDict(extra="allow", frozen=True)

    version: int = 1
    state: State = "starting"
    pid: Id = 0
    process_started: Moment = 0.0
    """When the worker's process began, in Unix seconds: with `process_ticks` and `boot` it tells our process from a
    later one of the same id.
    """
    process_ticks: Count = 0
    boot: str = ""
    host: str = ""
    watcher_pid: Id = 0
    """The process that watches over the several ones of this run, on the same machine, and says how they ended; 0:
    there is none.
    """
    watcher_started: Moment = 0.0
    watcher_ticks: Count = 0
    heartbeat: Moment = 0.0
    """Unix seconds of the last sign of life."""
    beat: Moment = 0.0
    """The same in seconds since the machine's start `boot`, which no setting of a clock moves; 0 where not known."""
    moved: Moment = 0.0
    """When the state, the phase or the step changed last, in the same seconds."""
    step_seconds: Moment = 0.0
    """What a step takes, evaluations and saves left out; 0 before it is known."""
    kills: MemoryKills = MemoryKills()
    """How often the kernel had killed for memory at the last sign of life."""
    step: Count = 0
    total: Count = 0
    """Optimizer steps that the run will have; 0 until it is known."""
    epoch: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    phase: str = ""
    """What is being done now, e.g. `load_model`; the word of the last `phase` event."""
    message: str = ""
    """One sentence for people: why it failed or stopped, else empty."""
    loss: Known = None
    eta_seconds: Known = None
    created: Moment = 0.0
    started: Moment = 0.0
    """Unix seconds at which this worker took the run over."""
    ended: Moment = 0.0

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
        return Status.model_validate(read_object(path))
    except (OSError, ValidationError):
        return None


def signs_of_life() -> dict[str, Any]:
    """Fields of a status that is written now: the time by both clocks, and whose they are."""
    return {"heartbeat": round(time.time(), 3), "beat": since_boot(), "boot": boot_id(), "host": socket.gethostname()}


def why_no_status(path: Path) -> str:
    """A sentence: why `read_status` found none."""
    try:
        Status.model_validate(read_object(path))
    except FileNotFoundError:
        return "This run has no status.json: no worker ever took it, or it was removed."
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        return f"This run's status.json cannot be read: {place}: {first['msg'][:1].lower()}{first['msg'][1:]}."
    except OSError as error:
        return f"This run's status.json cannot be read: {error.strerror or error}."
    return "This run has no readable status."


def judged(status: Status | None, *, now: float | None = None, folder: Path | None = None) -> Status:
    """The status with its true state: `lost` when the worker is gone and did not say how it ended.

    folder: the run's, whose disk may be what ended it.
    """
    if status is None:
        return Status(state="lost", message="This run has no readable status.")
    if status.over:
        return status
    if not status.pid:
        if _age(status, status.created, now) <= START_GRACE_SECONDS:
            return status
        return status.model_copy(update={"state": "lost", "message": "It never started: `loratui resume` starts it."})
    alive = is_alive(status.mark)
    if alive is None:
        alive = _age(status, status.heartbeat, now) <= SILENCE_SECONDS
    if alive or (status.watcher_pid and is_alive(status.watcher)):
        return status
    if folder is not None and (step := _last_step(folder / "events.jsonl")) > status.step:
        status = status.model_copy(update={"step": step})  # made since its last sign of life
    return status.model_copy(update={"state": "lost", "message": status.message or _how_lost(status, folder)})


def _last_step(events: Path) -> int:
    """The last step that the last worker told of; 0 where it told of none."""
    try:
        for _, line in islice(from_the_end(events), LAST_LINES):
            if line.startswith(STEP_START):
                step = from_json(line)["step"]
                return step if type(step) is int and step > 0 else 0
            if line.startswith(STARTED_START):
                return 0
    except (OSError, ValueError, KeyError, TypeError):
        pass  # the status stands as it was written
    return 0


def _age(status: Status, written: float, now: float | None) -> float:
    """Seconds since the status was written; infinite where that lies in the future, or before the machine's last
    start. written: Unix seconds of it, for a status of another machine.
    """
    boot = boot_id()
    if status.beat and boot and status.boot == boot:
        age = since_boot() - status.beat
        return age if age >= -CLOCK_SLACK_SECONDS else math.inf
    if boot and status.boot not in ("", boot) and status.host == socket.gethostname():
        return math.inf
    age = (time.time() if now is None else now) - written
    return age if age >= -SILENCE_SECONDS else math.inf


def _how_lost(status: Status, folder: Path | None) -> str:
    """One or two sentences: what is known of a worker's end of which it said nothing, and what to do."""
    at = f" after step {status.step:,}" if status.step else " before its first step"
    if status.host and status.host != socket.gethostname():
        if status.heartbeat > time.time() + SILENCE_SECONDS:
            return (
                f"Its last sign of life, on {status.host}, lies in the future: a clock was wrong, and nothing shows "
                "that a worker is there."
            )
        return f"There has been no sign of life from {status.host} for over {SILENCE_SECONDS:.0f} s{at}."
    if status.boot and boot_id() and status.boot != boot_id():
        return f"The machine went down or was started anew{at}: the worker ended with it. Resume the run."
    where = killed_since(status.kills, again(status.kills))
    if where:
        return (
            f"The worker was gone{at}, and since its last sign of life the kernel killed a process for want of host "
            f"memory {where}: most likely this one. Give it more memory, or train shorter rows or smaller batches, "
            "then resume."
        )
    free = _free_bytes(folder)
    if free is not None and free < FULL_DISK_BYTES:
        return (
            f"The worker process {status.pid} is gone{at}; the disk of its run is full ({size(free)} free). Free some "
            "space and resume the run."
        )
    return (
        f"The worker process {status.pid} is gone{at} and left no word: it was killed, or crashed in a library. Its "
        "log may say why; resume goes on from the last checkpoint."
    )


def _free_bytes(folder: Path | None) -> int | None:
    try:
        return None if folder is None else shutil.disk_usage(folder).free
    except OSError:
        return None


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
    return ProcessMark(pid=pid, started=started, ticks=_ticks(pid), host=socket.gethostname(), boot=boot_id())


def own_mark() -> ProcessMark:
    """The mark of this process."""
    mark = mark_of(os.getpid())
    assert mark is not None
    return mark


def process_seconds() -> float:
    """Seconds since this process began, its interpreter's start included."""
    mark = own_mark()
    if not mark.ticks:
        return max(0.0, time.time() - mark.started) if mark.started else 0.0
    return max(0.0, since_boot() - mark.ticks / os.sysconf("SC_CLK_TCK"))


def is_alive(mark: ProcessMark) -> bool | None:
    """Whether the marked process lives; None when it ran on another machine, whose processes cannot be seen here."""
    if mark.host and mark.host != socket.gethostname():
        return None
    if mark.pid <= 0 or (mark.boot and boot_id() and mark.boot != boot_id()):
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
