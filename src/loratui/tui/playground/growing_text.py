"""Wrapping text that grows at its end: only the last line is wrapped again."""

from __future__ import annotations

from rich.cells import cell_len, chop_cells


class GrowingText:
    """Text from a stranger, already made harmless, as rows of a given width in cells."""

    def __init__(self, width: int = 80) -> None:
        self.width = max(1, width)
        self.lines: list[str] = [""]
        """Logical lines, without their ends."""
        self.rows: list[str] = [""]
        self._last_rows = 1
        """Rows that the last logical line takes."""

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines)

    def clear(self) -> None:
        """Forget the text."""
        self.lines, self.rows, self._last_rows = [""], [""], 1

    def append(self, text: str) -> int:
        """Add text at the end; the first row that is new or changed."""
        if not text:
            return len(self.rows)
        first, *more = text.split("\n")
        self.lines[-1] += first
        changed = len(self.rows) - self._last_rows
        del self.rows[changed:]
        for number, line in enumerate([self.lines[-1], *more]):
            if number:
                self.lines.append(line)
            wrapped = wrap(line, self.width)
            self.rows += wrapped
            self._last_rows = len(wrapped)
        return changed

    def resize(self, width: int) -> None:
        """Wrap everything for another width."""
        self.width = max(1, width)
        self.rows = []
        for line in self.lines:
            wrapped = wrap(line, self.width)
            self.rows += wrapped
            self._last_rows = len(wrapped)


def wrap(line: str, width: int) -> list[str]:
    """One line as rows of at most `width` cells, broken at spaces where there are any. Nothing is lost but those
    spaces.
    """
    if cell_len(line) <= width:
        return [line]
    rows: list[str] = []
    row, row_cells = "", 0
    for word in _words(line):
        cells = cell_len(word)
        if row_cells + len(word.rstrip(" ")) <= width and row_cells + cell_len(word.rstrip(" ")) <= width:
            row, row_cells = row + word, row_cells + cells
            continue
        if row:
            rows.append(row.rstrip(" "))
        row, row_cells = word, cells
        if cell_len(word.rstrip(" ")) > width:
            *whole, row = chop_cells(word, width)
            rows += whole
            row_cells = cell_len(row)
    rows.append(row)
    return [one if cell_len(one) <= width else one.rstrip(" ")[:width] for one in rows]


def _words(line: str) -> list[str]:
    """Words with the spaces that follow them."""
    words: list[str] = []
    start = place = 0
    while place < len(line):
        if line[place] == " " and (place + 1 == len(line) or line[place + 1] != " "):
            words.append(line[start : place + 1])
            start = place + 1
        place += 1
    if start < len(line):
        words.append(line[start:])
    return words
