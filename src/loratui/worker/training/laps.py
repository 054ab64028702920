"""How long a worker's way to its first step took, and its way from the last one: what a later run is told by."""

from __future__ import annotations

import time
from collections.abc import Callable

from loratui.runs.status import process_seconds


class Laps:
    """Seconds of each lap; 0 of what was not run or is not over. They follow each other, from the process's start."""

    def __init__(self) -> None:
        self.rehearsing = self.importing = self.loading = self.ending = 0.0
        self._over = time.monotonic() - process_seconds()
        self.at_end: Callable[[], None] = lambda: None
        """Called once all are over."""

    def _lap(self) -> float:
        before, self._over = self._over, time.monotonic()
        return round(self._over - before, 3)

    def rehearsed(self, seconds: float) -> None:
        """A rehearsal took so long, in the midst of the first lap."""
        self.rehearsing = round(seconds, 3)
        self._over += seconds

    def imported(self) -> None:
        """The libraries are there."""
        self.importing = self._lap()

    def loaded(self) -> None:
        """The first step can be made."""
        self.loading = self._lap()

    def trained(self) -> None:
        """The last step is made, with its evaluation and checkpoint."""
        self._lap()

    def ended(self) -> None:
        """The result and its card are written."""
        self.ending = self._lap()
        self.at_end()
