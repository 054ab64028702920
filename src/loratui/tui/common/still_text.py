"""Text of which only the cells that changed are painted again: for figures that are told every second over a slow
line.
"""

from __future__ import annotations

from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.widget import Widget


class StillText(Widget):
    """Lines of text, one under the other; a line that is too long is cut, not wrapped."""

    DEFAULT_CSS = """
    StillText { height: auto; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    class Resized(Message):
        """It has another size: what was cut or filled up to the old one is to be told anew."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Content] = [Content("")]
        self._content = Content("")

    def on_resize(self) -> None:
        self.post_message(self.Resized())

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
    if one == other and old.spans == new.spans:
        return 0, 0
    if old.cell_length != len(one) or new.cell_length != len(other):
        return 0, max(old.cell_length, new.cell_length)  # wide letters: cells are not letters
    ours, theirs = _letters(old), _letters(new)
    length = max(len(ours), len(theirs))
    ours += [_BLANK] * (length - len(ours))
    theirs += [_BLANK] * (length - len(theirs))
    changed = [place for place in range(length) if ours[place] != theirs[place]]
    return (changed[0], changed[-1] + 1) if changed else (0, 0)


_BLANK: tuple[str, tuple[str, ...]] = (" ", ())


def _letters(line: Content) -> list[tuple[str, tuple[str, ...]]]:
    """Each letter with the styles that lie on it."""
    styles: list[tuple[str, ...]] = [()] * len(line.plain)
    for span in line.spans:
        name = str(span.style)
        for place in range(max(0, span.start), min(span.end, len(styles))):
            styles[place] = (*styles[place], name)
    return list(zip(line.plain, styles, strict=True))
