"""The lock of this machine's watcher: there is one at a time, and it ends with its process, whatever ended that."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import IO

from loratui.files import make_folder, open_own
from loratui.paths import state_home
from loratui.runs.lock import is_locked_within


def watch_lock() -> Path:
    """The file that the watcher of this machine has locked for as long as it lives."""
    return state_home() / f"queue.{socket.gethostname()}.lock"


def take_watch(seconds: float = 0.0) -> IO[str] | None:
    """The watcher's lock, held until the file is closed; None where another has it. Raises OSError."""
    make_folder(watch_lock().parent)
    file = os.fdopen(open_own(watch_lock(), os.O_WRONLY | os.O_CREAT), "w")
    return file if is_locked_within(file, seconds) else None
