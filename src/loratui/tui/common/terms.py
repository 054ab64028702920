"""Words with what each means, as a line and as a list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from loratui.tui.common.text import in_column, wrapped

if TYPE_CHECKING:
    from loratui.core.glossary import Term


class Terms(Static):
    """Words with what each means; what goes on below a line stands under its explanation."""

    def __init__(self, terms: Sequence[Term], *, classes: str = "") -> None:
        self._terms = tuple(terms)
        super().__init__(self._lines(0), id="words", classes=classes)

    def on_resize(self) -> None:
        """Wrapped to the width."""
        self.update(self._lines(self.content_size.width))

    def _lines(self, width: int) -> Content:
        if not width:
            return Content("\n").join(term_line(term) for term in self._terms)
        cells = min(max(len(term.word) for term in self._terms) + 2, max(8, width // 3))
        lines: list[Content] = []
        for term in self._terms:
            if len(term.word) + 2 > cells:  # too long for the column: what it means goes on below it
                first, *rest = wrapped(term_line(term), width)
                lines += [first, *(Content(f"{'':<{cells}}{one.plain}") for one in rest)]
                continue
            first_line, *others = in_column(term.word, term.line, width, cells)
            lines += [
                Content.assemble((first_line[:cells], "bold $accent"), (first_line[cells:], "$foreground")),
                *(Content(one).stylize("$foreground") for one in others),
            ]
        return Content("\n").join(lines)


def term_line(term: Term, color: str = "$foreground") -> Content:
    """A word with its explanation, in this colour."""
    return Content.assemble((term.word, "bold $accent"), (f"  {term.line}", color))
