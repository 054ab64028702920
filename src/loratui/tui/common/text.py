"""Text as Textual paints it. How figures and foreign text are written is `loratui.format`'s; `NoControls` is the last
wall:

nothing that is painted carries a control or a bidirectional override to the terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.filter import LineFilter

from loratui.format import CONTROLS, harmless

if TYPE_CHECKING:
    from rich.segment import Segment
    from textual.color import Color


CUT_BEHIND = (("/", 0.75), ("-_", 0.75), ("/-_", 0.5), (".", 0.5))
"""Signs behind which a name that is longer than its line is cut, and how much of the line must be full by then; the
best first.
"""


def plain(text: object) -> Content:
    """Foreign text as content: no markup in it is obeyed."""
    return Content(harmless(text))


def wrap(line: str, width: int) -> list[str]:
    """One line cut at blanks into lines of at most `width` columns; a longer word is cut behind one of its signs."""
    from rich.cells import cell_len

    if cell_len(line) <= width:
        return [line]
    lines, current = [], ""
    for word in line.split(" "):
        if cell_len(current) + 1 + cell_len(word) <= width:
            current = f"{current} {word}" if current else word
            continue
        if current:
            lines.append(current)
        *whole, current = _chopped(word, width)
        lines += whole
    return [*lines, current]


def whole_words(line: str, width: int) -> str:
    """One line in at most `width` columns, cut between words with a mark; empty where not even one fits."""
    from rich.cells import cell_len

    if cell_len(line) <= width:
        return line
    first = wrap(line, width - 2)[0] if width > 2 else ""
    return f"{first} …" if line.startswith(f"{first} ") and first else ""


def _chopped(word: str, width: int) -> list[str]:
    """A word in pieces of at most `width` columns, cut behind a sign of their last half, or at the edge."""
    from rich.cells import chop_cells

    pieces: list[str] = []
    while True:
        piece, *rest = chop_cells(word, width) or [""]
        if not rest:
            return [*pieces, piece]
        places = ((max(piece.rfind(sign) for sign in signs) + 1, least) for signs, least in CUT_BEHIND)
        cut = next((cut for cut, least in places if cut > width * least), len(piece))
        pieces.append(piece[:cut])
        word = word[len(pieces[-1]) :]


def hanging(line: str, width: int, by: int = 2) -> list[str]:
    """A line cut at blanks; what goes on below it stands `by` columns further in than the line itself."""
    text = line.lstrip(" ")
    indent = len(line) - len(text)
    first, *rest = wrap(text, max(8, width - indent))
    if not rest:
        return [line]
    room = max(8, width - indent - by)
    return [
        " " * indent + first,
        *(" " * (indent + by) + piece for piece in wrap(text[len(first) :].lstrip(" "), room)),
    ]


def in_column(label: str, text: str, width: int, cells: int) -> list[str]:
    """A label, and the text beside it in a column of its own that begins after so many cells."""
    first, *rest = wrap(text, max(8, width - cells))
    return [f"{label:<{cells}}{first}", *(" " * cells + line for line in rest)]


def wrapped(content: Content, width: int) -> list[Content]:
    """Content cut at blanks into lines of at most `width` columns, each with its colours."""
    text, at, lines = content.plain, 0, []
    for line in wrap(text, width):
        at = text.find(line, at)
        lines.append(content[at : at + len(line)])
        at += len(line)
    return lines


def labelled(label: str, content: Content, width: int, most: int) -> Content:
    """A label of eight columns and what is said beside it, wrapped there to at most `most` lines of `width` columns."""
    indent = 9
    room = max(20, width - indent)
    lines = wrapped(content, room)
    if len(lines) > most:
        lines = [*lines[: most - 1], Content.assemble(_whole(lines[most - 1], room - 2), " …")]
    return Content("\n").join(
        Content.assemble((f"{label if number == 0 else '':<{indent}}", "$text-muted"), line)
        for number, line in enumerate(lines)
    )


def _whole(line: Content, room: int) -> Content:
    """As much of a line as fits, to the end of a word where that loses no more than half of it."""
    line = line.rstrip()
    if len(line) <= room:
        return line
    end = line.plain.rfind(" ", 0, room + 1)
    return line[: end if end > room // 2 else room].rstrip(" ,:;·")


class NoControls(LineFilter):
    """Drops what `harmless` should have made visible: the last wall before the terminal."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        if not any(CONTROLS.search(segment.text) for segment in segments):
            return segments
        from rich.segment import Segment as Painted

        return [Painted(CONTROLS.sub("", text), style, control) for text, style, control in segments]
