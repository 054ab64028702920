"""A run on several GPUs: accelerate begins one process for each, and this one watches over them.

It is the run's process id until they have begun and after they have ended: what one of them could not say (it was
killed, or it is not the one that writes) is said here, and a run that may mend itself begins anew here.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from types import FrameType

from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.machine.memory_kills import memory_killed, read_kills
from loratui.runs.directory import Run
from loratui.worker.training.ending import FELLOW_LOST, Ending, ending_of, has_left, say, take_left
from loratui.worker.training.journal import WATCHED, Journal
from loratui.worker.training.processes import end_with_children, launched, process_count
from loratui.worker.training.rehearse import before as rehearse_before
from loratui.worker.training.rehearse import clear
from loratui.worker.training.signals import Requests, StopRequestedError

log = logging.getLogger("loratui")
PATIENCE_SECONDS = 10.0
"""How long the others may go on after one process has failed: they wait for it in a kernel that hears no signal."""
PERIOD_SECONDS = 0.2


class _Watch:
    """Passes signals on to the process that writes, and ends all where one has failed."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.stopped = ""

    def install(self) -> None:
        """Take the signals over."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        status = self.run.status()
        if status.pid not in (0, os.getpid()) and not status.over:
            try:
                os.kill(status.pid, number)
            except ProcessLookupError:
                log.warning("process %d ended before it could be told of signal %d", status.pid, number)
        elif number in (signal.SIGTERM, signal.SIGINT):  # nobody has begun to train: there is nothing to save
            self.stopped = f"asked to stop ({signal.Signals(number).name})"

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Watch the launcher until it ends; its exit status."""
        failed_since = 0.0
        while process.poll() is None:
            time.sleep(PERIOD_SECONDS)
            if self.stopped or (failed_since and time.monotonic() - failed_since > PATIENCE_SECONDS):
                end_with_children(process)
            elif not failed_since and has_left(self.run):
                failed_since = time.monotonic()
        return process.returncode


def train_together(run: Run, plan: Plan, *, rehearse: bool) -> int:
    """Execute a run of several processes; 0 finished or stopped as asked, 1 failed."""
    requests = Requests()
    requests.hold()
    try:
        journal = Journal(run)
    except (LoratuiError, OSError) as error:
        log.error("%s", error)
        return 1
    take_left(run)
    try:
        requests.install()
        clear(run)
        if rehearse:
            rehearse_before(run, journal)
        command = launched(run, plan, [])
        journal.phase("start", f"Starting {process_count(plan)} processes", state="starting")
        watch = _Watch(run)
        watch.install()
        kills = read_kills()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            cwd="/",
            env=os.environ | {WATCHED: str(os.getpid())},
        )
        journal.hand_over()
        code = watch.wait(process)
    except StopRequestedError as error:
        journal.emit("stopped", step=journal.status.step, reason=str(error))
        journal.close("stopped", str(error))
        return 0
    except BaseException as error:  # noqa: BLE001 (whatever it is, the run has to say so)
        return say(run, journal, ending_of(error, journal))
    status = run.status()
    left = take_left(run)
    if left is None and status.over and status.state != "lost":
        return 0 if status.state in ("finished", "stopped") else 1
    try:
        journal = Journal(run)
    except (LoratuiError, OSError) as error:
        log.error("%s", error)
        return 1
    if watch.stopped:
        journal.emit("stopped", step=journal.status.step, reason=watch.stopped)
        journal.close("stopped", watch.stopped)
        return 0
    if left is None or left.code == FELLOW_LOST:
        log.info("the launcher ended with status %d", code)
        by_kernel = memory_killed(kills)
        why = (
            f"it was killed {by_kernel}. Train shorter rows or smaller batches, or give it more memory."
            if by_kernel
            else "somebody killed it, or it crashed in a library; the log may say more."
        )
        left = Ending(
            "failed",
            f"One of the {process_count(plan)} processes is gone without a word: {why}",
            FELLOW_LOST,
            step=journal.status.step,
        )
    return say(run, journal, left)
