"""A run's lock: whoever changes its files holds it, its worker for as long as it lives."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from loratui.core.errors import RunError
from loratui.files import open_own

LOCK_SECONDS = 2.0
"""How long another holder of the lock is waited for: readers touch it for an instant."""


def take_lock(path: Path) -> IO[str]:
    """The lock, held until the file is closed. RunError when another worker holds it, OSError where it cannot be
    made."""
    file = os.fdopen(open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a")
    if not is_locked_within(file, LOCK_SECONDS):
        raise RunError(
            f"run {Path(os.path.realpath(path.parent)).name} already has a worker.", hint="Stop that one first."
        )
    return file


def is_locked_within(file: IO[str], seconds: float) -> bool:
    """Lock an open file as soon as no other holder is there; after so many seconds it is closed instead."""
    until = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                file.close()
                return False
            time.sleep(0.05)
