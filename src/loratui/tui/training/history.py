"""The events of a long run, opened quickly: a share of the early steps, all the late ones; or its loss curve at a
glance.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from loratui.files import open_regular
from loratui.runs.events import Event, EventLines, Step, decode
from loratui.runs.lines import STEP_START, LineTail

WHOLE_BYTES = 1 << 20
"""The end of the file, of which every event is read."""
STEP_BYTES = 256
"""About what a step's line takes."""


class History(EventLines):
    """Events so far, to be gone through once, in constant memory. OSError where they cannot be read."""

    def __init__(self, path: Path, *, keep_steps: int = 10_000) -> None:
        size = path.stat().st_size
        super().__init__(LineTail(path, until=size))
        self._every = max(1, size // STEP_BYTES // keep_steps)
        self._whole_from = size - WHOLE_BYTES
        self._steps = 0

    def __iter__(self) -> Iterator[Event]:
        for place, lines in self._lines.chunks():
            yield from self._decoded(self._kept(place, lines))

    def _kept(self, place: int, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Every line but most of the early steps'."""
        for line in lines:
            place += len(line) + 1
            if line.startswith(STEP_START):
                self._steps += 1
                if self._steps % self._every and place < self._whole_from:
                    continue
            yield line


BLOCK_BYTES = 2048
BARS = "▁▂▃▄▅▆▇█"


def loss_glimpse(path: Path, points: int = 16, *, since: int = 0) -> list[float]:
    """Losses at about evenly spaced places of the file from `since` on, oldest first, the newest among them."""
    try:
        with open_regular(path) as file:
            size = max(0, file.seek(0, 2) - since)
            if size <= BLOCK_BYTES * points:
                file.seek(since)
                return _thin(_losses(file.read()), points)
            found: list[float] = []
            for number in range(points - 1):
                file.seek(since + max(0, round((size - BLOCK_BYTES) * number / (points - 1))))
                block = _losses(file.read(BLOCK_BYTES).partition(b"\n")[2])
                if block:
                    found.append(block[-1])
            length, newest = BLOCK_BYTES, list[float]()
            while not newest and length <= size:  # what follows the last step may be long: evaluations tell their rows
                file.seek(since + size - length)
                newest = _losses(file.read(length).partition(b"\n")[2])[-1:]
                length *= 4
            return found + newest
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
