"""Runs that came while one looked: they are said, since the cursor stays on its own run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loratui.format import one_line

if TYPE_CHECKING:
    from loratui.tui.home.reading import Look


class Arrivals:
    """Knows which runs were there at the last look at all of them."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._told = self._beside = ""

    def words(self, look: Look, chosen: str) -> str:
        """What is said of runs that came since; empty where none did. chosen: name of the run under the cursor."""
        if look.more:  # some were not read yet
            return ""
        names = [line.summary.name for line in look.lines]
        new = [name for name in names if name not in self._known] if self._known else []
        self._known = set(names)
        if not new:
            return ""
        others = f" and {len(new) - 1:,} more" if len(new) > 1 else ""
        stays = f" The cursor stays on {one_line(chosen, 40)}." if chosen and chosen not in new else ""
        self._told, self._beside = f"New: {one_line(new[0], 40)}{others}.{stays}", chosen
        return self._told

    def passed(self, said: str, chosen: str) -> bool:
        """Whether this sentence is still the one of runs that came, and the cursor has left the run where it was."""
        return bool(self._told) and said.endswith(self._told) and chosen != self._beside
