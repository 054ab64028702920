"""Something that others may wait for.

Textual's own `Signal` needs a mounted node at both ends, posts its calls, and keeps what a subscriber raises to itself;
the wizard's state is used without a screen, its followers must have followed before the next line runs, and a defect in
one of them must be seen.
"""

from __future__ import annotations

from collections.abc import Callable


class Signal:
    """Calls its subscribers at once, in the order in which they came."""

    def __init__(self) -> None:
        self._subscribers: list[Callable[[], object]] = []

    def subscribe(self, callback: Callable[[], object]) -> Callable[[], None]:
        """Have `callback` called at each publication; the returned function ends that."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback) if callback in self._subscribers else None

    def publish(self) -> None:
        """Tell all who wait."""
        for subscriber in list(self._subscribers):
            subscriber()
