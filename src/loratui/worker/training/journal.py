"""A run's events, status and heartbeat, written by its worker alone."""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import IO, Any

from loratui.files import open_own
from loratui.machine.boot import since_boot
from loratui.machine.memory_kills import again, read_kills
from loratui.runs import row_losses
from loratui.runs.directory import Run
from loratui.runs.events import encode, make, open_events
from loratui.runs.lock import take_lock
from loratui.runs.row_losses import RowLosses
from loratui.runs.status import (
    HEARTBEAT_SECONDS,
    State,
    Status,
    mark_of,
    own_mark,
    read_status,
    signs_of_life,
    write_status,
)
from loratui.worker.training.laps import Laps

log = logging.getLogger("loratui")
USUAL_SHARE = 0.1
"""Weight of the newest step in what one usually takes."""
WATCHED = "LORATUI_WATCHED"
"""Process id of the one that watches over several: they leave how they ended, and it says so."""


class Journal:
    """Holds the run's lock from beginning to end. On ranks other than 0 (`writes` false) it says nothing."""

    def __init__(self, run: Run, *, writes: bool = True) -> None:
        """Raises RunError when another worker holds the run."""
        self.run = run
        self.writes = writes
        self._lock: IO[str] | None = None
        self._unwritten: deque[str] = deque(maxlen=100_000)
        self._guard = threading.Lock()
        self._done = threading.Event()
        self._began = time.monotonic()
        self.laps = Laps()
        self._said_phase = False
        self._heart: threading.Thread | None = None
        self.asked_to_stop: Callable[[], bool] = lambda: False
        """Set by the training: a wish to stop is shown at once, also while a long step is being made."""
        self.write_error: OSError | None = None
        """Why the last line could not be written; None once all could."""
        if not writes:
            self._status = Status()
            return
        self._lock = take_lock(run.lock_path)
        before = read_status(run.status_path)
        mark = own_mark()
        watcher = mark_of(int(os.environ.get(WATCHED, "0")))
        self._status = Status(
            state="starting",
            pid=mark.pid,
            process_started=mark.started,
            process_ticks=mark.ticks,
            boot=mark.boot,
            host=socket.gethostname(),
            watcher_pid=watcher.pid if watcher else 0,
            watcher_started=watcher.started if watcher else 0.0,
            watcher_ticks=watcher.ticks if watcher else 0,
            created=before.created if before else time.time(),
            started=time.time(),
            step=before.step if before else 0,
            total=before.total if before else 0,
            epoch=before.epoch if before else 0.0,
            loss=before.loss if before else None,
            moved=since_boot(),
            kills=read_kills(),
        )
        self._events = open_events(run.events_path)
        self.beat()
        self._heart = threading.Thread(target=self._beat_on, name="heartbeat", daemon=True)
        self._heart.start()

    @property
    def status(self) -> Status:
        return self._status

    @property
    def worker_seconds(self) -> float:
        """Since this worker was started."""
        return round(time.monotonic() - self._began, 3)

    def emit(self, kind: str, **fields: Any) -> None:
        """Append one event. Lines that cannot be written now (a full disk) are written before the next one."""
        if not self.writes:
            return
        if kind == "step":
            self._time_step(fields.get("seconds"))
        self._unwritten.append(encode(make(kind, round(time.time(), 3), **fields)) + "\n")
        self._write_lines()

    def keep_rows(self, step: int, rows: RowLosses | None) -> None:
        """Keep what each held-out row lost; a disk that does not take it ends no run."""
        if self.writes and rows is not None:
            try:
                row_losses.keep(self.run, step, rows)
            except OSError as error:
                log.error("the held-out rows' losses cannot be written: %s", error)

    def update(self, **changes: Any) -> None:
        """Change the status in memory: the next heartbeat writes it."""
        with self._guard:
            before, self._status = self._status, self._status.model_copy(update=changes)
            now = self._status
            if (now.state, now.phase, now.step) != (before.state, before.phase, before.step):
                self._status = now.model_copy(update={"moved": since_boot()})

    def _time_step(self, seconds: float | None) -> None:
        """Know what a step takes, so that whoever looks on can tell when one takes far longer."""
        if seconds:
            usual = self._status.step_seconds
            self.update(step_seconds=round(usual + USUAL_SHARE * (seconds - usual) if usual else seconds, 4))

    def state(self, state: State, **changes: Any) -> None:
        """Change the state, and write it at once."""
        self.update(state=state, **changes)
        self.beat()

    def phase(self, phase: str, message: str, *, state: State | None = None, **fields: Any) -> None:
        """Say what is done now."""
        if not self._said_phase:
            self._said_phase = True
            fields["worker_seconds"] = self.worker_seconds
        self.emit("phase", phase=phase, message=message, **fields)
        self.update(phase=phase, **({"state": state} if state else {}))
        self.beat()

    def beat(self) -> None:
        """Write the status with the present time."""
        if not self.writes:
            return
        with self._guard:
            self._status = self._status.model_copy(update={**signs_of_life(), "kills": again(self._status.kills)})
            try:
                write_status(self.run.status_path, self._status)
            except OSError as error:
                self.write_error = error
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    self._overwrite_status()

    def _overwrite_status(self) -> None:
        """Where the disk has no room for a new file beside the old one, the old one is written over: the state must not
        be left behind.
        """
        text = self._status.model_dump_json(indent=1) + "\n"
        try:
            with os.fdopen(open_own(self.run.status_path, os.O_RDWR), "r+b") as file:
                size = file.seek(0, 2)
                file.seek(0)
                file.write(text.encode().ljust(size))
        except OSError as error:
            self.write_error = error

    def hand_over(self) -> None:
        """Give the run to the process that goes on with it: the lock is free, and the state stays as it is."""
        self._done.set()
        if self._heart is not None:
            self._heart.join(timeout=5)
        self.beat()
        self._give_back()

    def close(self, state: State, message: str = "") -> None:
        """Write the last state and give the run back."""
        self._done.set()
        if self._heart is not None:
            self._heart.join(timeout=5)
        if self.writes:
            self.state(state, message=message, ended=round(time.time(), 3), eta_seconds=None)
        self._give_back()

    def _give_back(self) -> None:
        if self.writes:
            self._write_lines()
            os.close(self._events)
            self.writes = False
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _write_lines(self) -> None:
        while self._unwritten:
            data = self._unwritten[0].encode()
            try:
                written = os.write(self._events, data)
            except OSError as error:
                if self.write_error is None:
                    log.error("events cannot be written: %s", error)
                self.write_error = error
                return
            if written < len(data):  # the disk filled up in the middle of a line: the rest goes first next time
                self._unwritten[0] = data[written:].decode("utf-8", "replace")
                continue
            self._unwritten.popleft()
        self.write_error = None

    def _beat_on(self) -> None:
        while not self._done.wait(HEARTBEAT_SECONDS):
            if self.asked_to_stop() and self._status.state in ("running", "evaluating"):
                self.update(state="stopping")
            self.beat()
