"""Several sides answering side by side on one model.

The base and its adapters share their weights: only one of them can compute at a time. Each side generates in a thread
of its own, and only the one whose turn it is runs. A turn ends at a token, so both answers grow together on the screen
while the adapter is switched only a few times a second, and each side's own speed can still be told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch

TURN_SECONDS = 0.1


class Turns:
    """Passes the model from side to side. `use(side)` prepares it: switches the adapter on or off."""

    def __init__(self, sides: Sequence[str], use: Callable[[str], None], turn_seconds: float = TURN_SECONDS) -> None:
        self._waiting = list(sides)
        self._use = use
        self._turn_seconds = turn_seconds
        self._change = threading.Condition()
        self._random: dict[str, Any] = {}
        self._began = 0.0
        self._held: dict[str, float] = dict.fromkeys(sides, 0.0)

    def run(self, side: str, work: Callable[[], None]) -> None:
        """Do a side's work when its turn comes; the body of its thread."""
        self._wait_for(side)
        try:
            work()
        finally:
            with self._change:
                self._waiting.remove(side)
                self._change.notify_all()

    def token(self, side: str) -> None:
        """Called by the running side after each token: hand over if its time is up and another waits."""
        if len(self._waiting) < 2 or time.perf_counter() - self._began < self._turn_seconds:
            return
        self._random[side] = _random_state()
        with self._change:
            self._held[side] += time.perf_counter() - self._began
            self._waiting.append(self._waiting.pop(0))
            self._change.notify_all()
        self._wait_for(side)

    def held_seconds(self, side: str) -> float:
        """How long the running side has had the model so far."""
        return self._held[side] + time.perf_counter() - self._began

    def _wait_for(self, side: str) -> None:
        with self._change:
            self._change.wait_for(lambda: self._waiting[0] == side)
        self._began = time.perf_counter()
        self._use(side)
        if side in self._random:
            _restore_random_state(self._random.pop(side))


def _random_state() -> tuple[Any, Any]:
    """Each side draws from its own random numbers, whoever else answers beside it."""
    return torch.get_rng_state(), torch.cuda.get_rng_state_all() if torch.cuda.is_available() else None


def _restore_random_state(state: tuple[Any, Any]) -> None:
    cpu, cuda = state
    torch.set_rng_state(cpu)
    if cuda is not None:
        torch.cuda.set_rng_state_all(cuda)
