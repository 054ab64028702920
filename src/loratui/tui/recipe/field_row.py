"""One line of the recipe's fields: what it shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

ORIGIN_COLORS = {
    "mine": "bold $accent",
    "held": "bold $foreground",
    "preset": "$foreground",
    "proposed": "$text-muted",
}


@dataclass(frozen=True)
class FieldRow:
    """One field, or a group's heading (no key)."""

    key: str
    label: str
    value: Any = None
    unit: str = ""
    origin: str = ""
    why: str = ""
    kind: str = "text"
    shown: str = ""
    """What is shown for the value, where that is not its text."""
    proposed: str = ""
    """What the calculation would take, where that is another value."""
    was: str = ""
    """The value before the last change, where that moved it."""
    choices: tuple[tuple[Any, str], ...] = ()
    """What it can be, each value with its words; empty where it is typed."""
    tries: str = ""
    """The values that are to be tried, where the field is marked."""

    def tried_words(self, room: int) -> str:
        """The values that are to be tried, in so many columns."""
        words = f"tries {self.tries}"
        return words if len(words) <= room else self.tries.replace(", ", ",")
