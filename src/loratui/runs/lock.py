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
    until = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() >= until:
                file.close()
                raise RunError(
                    f"run {Path(os.path.realpath(path.parent)).name} already has a worker.", hint="Stop that one first."
                ) from None
            time.sleep(0.05)
