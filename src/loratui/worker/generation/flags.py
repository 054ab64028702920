"""Which answers a person wants to end."""

from __future__ import annotations


class StopFlags:
    """Set from the thread that reads requests, read by the threads that answer."""

    def __init__(self) -> None:
        self._stopped: set[tuple[int, str]] = set()

    def stop(self, ask: int, side: str = "") -> None:
        """Stop one side of an ask; every side where none is named."""
        self._stopped.add((ask, side))

    def is_stopped(self, ask: int, side: str) -> bool:
        """Whether this answer should end at its next token."""
        return (ask, side) in self._stopped or (ask, "") in self._stopped
