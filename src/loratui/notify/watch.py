"""`python -m loratui.notify RUN`: follows a run by its files alone, and tells people what became of it.

A process of its own, as the run's worker is: no terminal is needed, and nothing of it is waited for by the training.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

from loratui.core.errors import LoratuiError
from loratui.files import open_own
from loratui.notify.happening import Happening, happening_of
from loratui.notify.told import Told
from loratui.runs.directory import Run
from loratui.runs.status import Status
from loratui.settings import Notify, read_settings

log = logging.getLogger("loratui.notify")
LOCK = ".told.lock"
POLL_SECONDS = 1.0
SURE_SECONDS = 3.0
"""So long a run has to have ended in the same way: one that mends itself begins anew within that."""
WAITS_SECONDS = (2.0, 10.0, 60.0, 300.0, 900.0)
"""Before the second try, the third …; the last one before every further."""


def main(arguments: list[str]) -> int:
    """Follow the run until it is over and everybody was told; 0, or 1 where that cannot be done."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    run = Run(Path(arguments[0]).absolute())
    try:
        settings = read_settings().notify
        with os.fdopen(open_own(run.path / LOCK, os.O_WRONLY | os.O_CREAT), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one that is there already goes on with this worker, too
            watch(run, settings)
    except (LoratuiError, OSError) as error:
        log.error("%s", error)
        return 1
    return 0


def watch(run: Run, settings: Notify, *, sleep: Callable[[float], None] = time.sleep) -> None:
    """Tell what happens to the run until it is over. Raises OSError where its directory is gone or full."""
    told = Told(run)
    tries = 0
    due_at = 0.0
    while run.path.is_dir():
        status = run.status()
        found = happening_of(run, status) if _may_be_told(status) else None
        wanted = found is not None and found.kind in settings.on and not told.knows(found)
        if found is not None and wanted and time.monotonic() >= due_at and _is_sure(run, found, sleep):
            if told.tell(found, settings):
                due_at = time.monotonic() + WAITS_SECONDS[min(tries, len(WAITS_SECONDS) - 1)]
                tries += 1
            else:
                due_at, tries = 0.0, 0
        elif status.over and not wanted:
            return
        sleep(POLL_SECONDS)


def _may_be_told(status: Status) -> bool:
    return status.over or status.state in ("running", "stopping", "queued")


def _is_sure(run: Run, found: Happening, sleep: Callable[[float], None]) -> bool:
    """Whether it still is so a moment later: a run that mends itself, or one whose last word was still to come."""
    if found.kind in ("finished", "stopped"):
        return True
    sleep(SURE_SECONDS)
    again = happening_of(run, run.status())
    return again is not None and again.mark == found.mark
