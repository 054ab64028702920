"""The events of a long run, opened quickly: a share of the early steps, all the late ones; or its loss curve at a
glance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from loratui.files import open_regular
from loratui.runs.events import Event, Step, decode

CHUNK_BYTES = 8 << 20
WHOLE_BYTES = 1 << 20
"""The end of the file, of which every event is read."""
STEP_BYTES = 256
"""About what a step's line takes."""
STEP_START = b'{"type":"step"'


def read_history(path: Path, *, keep_steps: int = 10_000) -> tuple[list[Event], int]:
    """Events so far, and the bytes of the file that they came from (whole lines only). OSError where it cannot be
    read.
    """
    events: list[Event] = []
    with open_regular(path) as file:
        size = file.seek(0, 2)
        file.seek(0)
        every = max(1, size // STEP_BYTES // keep_steps)
        left, read, steps = b"", 0, 0
        while chunk := file.read(min(CHUNK_BYTES, size - read)):
            read += len(chunk)
            lines = (left + chunk).split(b"\n")
            left = lines.pop()
            near_end = size - read < WHOLE_BYTES
            begin_whole = max(0, len(lines) - WHOLE_BYTES // STEP_BYTES) if near_end else len(lines)
            for number, line in enumerate(lines):
                if line.startswith(STEP_START):
                    steps += 1
                    if steps % every and number < begin_whole:
                        continue
                event = decode(line) if line else None
                if event is not None:
                    events.append(event)
    return events, read - len(left)


BLOCK_BYTES = 2048
BARS = "▁▂▃▄▅▆▇█"


def loss_glimpse(path: Path, points: int = 16) -> list[float]:
    """Losses at about evenly spaced places of the file, oldest first, the newest among them."""
    try:
        with open_regular(path) as file:
            size = file.seek(0, 2)
            if size <= BLOCK_BYTES * points:
                file.seek(0)
                return _thin(_losses(file.read()), points)
            found: list[float] = []
            for number in range(points):
                file.seek(max(0, round((size - BLOCK_BYTES) * number / (points - 1))))
                block = _losses(file.read(BLOCK_BYTES).partition(b"\n")[2])
                if block:
                    found.append(block[-1])
            return found
    except OSError:
        return []


def _losses(data: bytes) -> list[float]:
    events = (decode(line) for line in data.split(b"\n") if b'"loss"' in line)
    return [
        event.loss
        for event in events
        if isinstance(event, Step) and event.loss is not None and math.isfinite(event.loss)
    ]


def _thin(losses: list[float], points: int) -> list[float]:
    if len(losses) <= points:
        return losses
    return [losses[round((len(losses) - 1) * number / (points - 1))] for number in range(points)]


def sparkline(values: Sequence[float]) -> str:
    """The values as bars of eight heights, the least lowest."""
    if not values:
        return ""
    low, high = min(values), max(values)
    span = (high - low) or 1.0
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1))] for value in values)
