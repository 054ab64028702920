"""Text of which only the cells that changed are painted again: for figures that are told every second over a slow line."""

from __future__ import annotations

from textual.content import Content
from textual.geometry import Region
from textual.widget import Widget


class StillText(Widget):
    """Lines of text, one under the other; a line that is too long is cut, not wrapped."""

    DEFAULT_CSS = """
    StillText { height: auto; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Content] = [Content("")]
        self._content = Content("")

    def render(self) -> Content:
        return self._content

    @property
    def content(self) -> Content:
        """What is shown."""
        return self._content

    def show(self, content: Content) -> None:
        """Take new text; nothing is painted where it is the old one."""
        before, self._lines = self._lines, content.split("\n", allow_blank=True)
        self._content = content
        if len(before) != len(self._lines):
            self.refresh(layout=True)
            return
        regions = [
            Region(first, y, last - first, 1)
            for y, (old, new) in enumerate(zip(before, self._lines, strict=True))
            for first, last in [changed_cells(old, new)]
            if last > first
        ]
        if regions:
            self.refresh(*regions)


def changed_cells(old: Content, new: Content) -> tuple[int, int]:
    """First changed cell of a line and the one after the last; equal where nothing changed."""
    one, other = old.plain, new.plain
    if one == other:
        return (0, 0) if old.spans == new.spans else (0, new.cell_length)
    if old.cell_length != len(one) or new.cell_length != len(other):
        return 0, max(old.cell_length, new.cell_length)  # wide letters: cells are not letters
    first = next((place for place, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    if len(one) != len(other) or _styles_from(old, first) != _styles_from(new, first):
        return min(first, _style_change(old, new)), max(len(one), len(other))
    last = next(place for place in range(len(one) - 1, -1, -1) if one[place] != other[place])
    return first, last + 1


def _styles_from(line: Content, place: int) -> list[tuple[int, int, object]]:
    return [(span.start, span.end, span.style) for span in line.spans if span.end > place]


def _style_change(old: Content, new: Content) -> int:
    """The first cell at which the styles part, as far as the spans tell."""
    for one, other in zip(old.spans, new.spans, strict=False):
        if one != other:
            return min(one.start, other.start)
    return min((span.start for span in [*old.spans[len(new.spans) :], *new.spans[len(old.spans) :]]), default=len(new.plain))
