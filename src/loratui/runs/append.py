"""Writing events behind those that are there."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from loratui.runs.directory import Run
from loratui.runs.events import encode, make


def open_events(path: Path) -> int:
    """The events file as a descriptor to append to, its last line ended: a worker that was killed may have left half of one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    with path.open("rb") as file:
        size = file.seek(0, 2)
        if size:
            file.seek(size - 1)
            if file.read(1) != b"\n":
                os.write(descriptor, b"\n")
    return descriptor


def append_event(run: Run, kind: str, **fields: Any) -> None:
    """Append one event to a run that no worker holds; the caller holds its lock. OSError where the disk does not take it."""
    descriptor = open_events(run.events_path)
    try:
        os.write(descriptor, (encode(make(kind, round(time.time(), 3), **fields)) + "\n").encode())
    finally:
        os.close(descriptor)
