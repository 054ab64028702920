"""The experiments above the runs: a line each, the newest first; nothing where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from loratui.format import one_line

if TYPE_CHECKING:
    from loratui.tui.experiment.work import Listed

SHOWN = 2
"""Lines at most: the runs need the room."""
GLYPHS = {"goes on": ("●", "$accent"), "over": ("✓", "$success")}
OTHER = ("▲", "$warning")


class ExperimentLines(Static):
    """Shows the newest experiments of a look."""

    def __init__(self) -> None:
        super().__init__(id="experiments-line")
        self.display = False
        self._found: list[Listed] = []

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return bool(self._found)

    def show(self, found: list[Listed]) -> None:
        """Show these, painted where something changed."""
        if found != self._found:
            self._found = found
            self.display = bool(found)
            self.refresh(layout=True)

    def render(self) -> Content:
        width = max(40, self.content_size.width)
        lines = []
        for one in self._found[:SHOWN]:
            glyph, color = GLYPHS.get(one.state, OTHER)
            text = f"{one.name}  {one.state}  {one.varies}"
            lines.append(Content.assemble((f"{glyph} ", color), (one_line(text, width - 2), "$foreground")))
        more = len(self._found) - SHOWN
        shows = f"  V shows {'it' if len(self._found) == 1 else 'them'}" + (f", and {more} more" if more > 0 else "")
        if lines and len(lines[-1]) + len(shows) <= width:
            lines[-1] = Content.assemble(lines[-1], (shows, "$text-muted"))
        return Content("\n").join(lines)
