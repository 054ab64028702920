"""A run's loss curve at a glance: a few places of its events file, however long it is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from loratui.runs.events import Step, decode

BLOCK_BYTES = 2048
BARS = "▁▂▃▄▅▆▇█"


def loss_glimpse(path: Path, points: int = 16) -> list[float]:
    """Losses at about evenly spaced places of the file, oldest first, the newest among them."""
    try:
        with path.open("rb") as file:
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
    return [event.loss for event in events if isinstance(event, Step) and event.loss is not None and math.isfinite(event.loss)]


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
