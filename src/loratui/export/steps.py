"""What another tool would be asked to do: the exact command, and what is missing where the tool is not installed."""

from __future__ import annotations

import shlex
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One command. words: what it does. missing: how to get its tool; "" where it is installed. notes: what to know of
    the result.
    """

    words: str
    command: tuple[str, ...]
    missing: str = ""
    notes: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """The command as one types it."""
        return shlex.join(self.command)
