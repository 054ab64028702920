"""Rows as a screen shows them: aligned columns, and words that find room beside them or stand below."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from loratui.format import printable
from loratui.tui.common.text import wrap

INDENT = "    "


def laid_out(rows: Sequence[Sequence[str]], width: int, *, loose: int, right: frozenset[int]) -> list[list[Content]]:
    """The lines of each row, the columns' names first. The last `loose` columns are words: where not all of a row fits
    into `width`, they stand below it. right: columns aligned at their end.
    """
    clean = [[printable(cell) for cell in row] for row in rows]
    kept = [number for number in range(len(clean[0])) if any(row[number] for row in clean[1:])]
    widths = {number: max(len(row[number]) for row in clean) for number in kept}
    beside = sum(widths.values()) + 2 * (len(kept) - 1) <= width
    firm = [number for number in kept if beside or number < len(clean[0]) - loose]
    words = [number for number in kept if number not in firm]

    def line(row: Sequence[str]) -> str:
        cells = [row[at].rjust(widths[at]) if at in right else row[at].ljust(widths[at]) for at in firm]
        return "  ".join(cells).rstrip()

    found = []
    for number, row in enumerate(clean):
        style = "$text-muted" if number == 0 else "$foreground"
        lines = [Content(line(row)[:width]).stylize(style)]
        told = " · ".join(row[at] for at in words if row[at]) if number else ""
        if told:
            below = wrap(told, max(20, width - len(INDENT)))
            lines += [Content(INDENT + one).stylize("$text-muted") for one in below]
        found.append(lines)
    return found


def labelled_lines(lines: Sequence[tuple[str, str]], width: int) -> list[Content]:
    """A word, and what is to be said of it, wrapped beside it."""
    widest = max((len(word) for word, _ in lines), default=0) + 2
    found = []
    for word, text in lines:
        for at, piece in enumerate(wrap(printable(text), max(20, width - widest))):
            found.append(Content.assemble((f"{'' if at else word:<{widest}}", "$text-muted"), (piece, "$foreground")))
    return found
