"""Below the facts, where a terminal is wide: what is wrong, and the first row as its file has it and as the model
receives it, with those that follow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from loratui.format import one_line
from loratui.tui.common.text import wrapped
from loratui.tui.dataset.row_parts import cell_text
from loratui.tui.dataset.rows import token_content

if TYPE_CHECKING:
    from loratui.data.preview import PreviewRow
    from loratui.tui.app import LoratuiApp
    from loratui.tui.dataset.problems import Kind

LEAST_HEIGHT = 6
"""Lines from which on it says something whole, its border among them."""
MOST_KINDS = 5
CELL_LINES = 3
"""Lines that one column of a row takes at most."""


class RowClose(Static):
    """Shows what one would otherwise open: problems (e), the row in its file, its tokens (t)."""

    app: LoratuiApp

    def __init__(self) -> None:
        super().__init__(id="row-close", classes="box")
        self.display = False

    def show(self, rows: Sequence[PreviewRow], height: int) -> None:
        """Tell of these rows, the first of them whole, in so many lines; hidden where that is too few."""
        self.display = bool(rows) and height >= LEAST_HEIGHT
        if not self.display:
            return
        from loratui.tui.dataset.problems import kinds_found

        self.styles.height = height
        state = self.app.state
        width = self.content_size.width or self.app.size.width // 2 - 8
        kinds = kinds_found(state.dataset.view, state.check.now.result)
        row = f"row {rows[0].index + 1:,} closely"
        self.border_title = Content(f"problems, and {row}" if kinds else row)
        check = state.check.now
        absent = "t shows its tokens" if check.result is not None else "its tokens come with the check"
        lines = close_lines(rows, check.rows, kinds, width, height - 2, absent)
        self.update(Content("\n").join(lines))


def close_lines(
    rows: Sequence[PreviewRow],
    rendered: Mapping[int, Mapping[str, object]],
    kinds: Sequence[Kind],
    width: int,
    height: int,
    absent: str = "",
) -> list[Content]:
    """The lines: problems by kind, the first row's columns, and the tokens of as many rows as there is room for.

    rendered: rows as the trainer receives them, by number. absent: what is said where the first is not among them.
    """
    lines = _problem_lines(kinds, width)
    first = rows[0]
    if isinstance(first.value, Mapping):
        lines.append(Content("in its file").stylize("$text-muted"))
        for key, value in first.value.items():
            cell = Content.assemble((f"{one_line(key, 24)}  ", "$accent"), one_line(cell_text(value), 4 * width))
            lines += wrapped(cell, width)[:CELL_LINES]
        lines.append(Content(""))
    for row in rows:
        if len(lines) >= height:
            break
        own = rendered.get(row.index)
        if own is None:
            if row is first:
                lines.append(Content(absent).stylize("$text-muted"))
            break
        name = "as the model receives it" if row is first else f"row {row.index + 1:,}"
        lines.append(Content(name).stylize("$text-muted"))
        for line in token_content(dict(own)).split("\n", allow_blank=True):
            lines += wrapped(line, width)
        lines.append(Content(""))
    return lines[:height]


def _problem_lines(kinds: Sequence[Kind], width: int) -> list[Content]:
    lines = []
    for kind in kinds[:MOST_KINDS]:
        sign, color = ("✗", "$error") if kind.blocking else ("▲", "$warning")
        place, sentence = kind.listed[0] if kind.listed else ("", "left out")
        words = f"{sign} {kind.rows:,} {kind.name}"
        told = one_line(f"  {place}: {sentence}" if place else f"  {sentence}", max(8, width - len(words)))
        lines.append(Content.assemble((words, color), (f"  {told.strip()}", "$foreground"))[:width])
    if lines:
        more = f"{len(kinds) - MOST_KINDS} more kinds; " if len(kinds) > MOST_KINDS else ""
        lines += [Content(f"{more}e lists them all").stylize("$text-muted"), Content("")]
    return lines
