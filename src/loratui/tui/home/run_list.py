"""The list of runs: one line each under its columns' names, repainted only where a line has changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loratui.format import one_line

if TYPE_CHECKING:
    from loratui.tui.home.reading import Line, Look

READING = "Looking for runs …"
NOTHING = "No runs yet on this machine.\n\nWhat you train appears here: how it went, and what was set otherwise."


class Rows(OptionList):
    """The lines; going up from the first one leaves them."""

    class Left(Message):
        """The cursor went up from the first line."""

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """No rows where there are no columns: while a window becomes small, what stands beside the list may take all of
        them for a moment, and Textual would cut words into pieces of nothing.
        """
        return super().get_content_height(container, viewport, width) if width > 0 else 0

    def action_cursor_up(self) -> None:
        """Go up, or leave the list."""
        if self.highlighted:
            super().action_cursor_up()
        else:
            self.post_message(self.Left())


class RunList(Vertical):
    """Shows the runs of a look."""

    def __init__(self) -> None:
        super().__init__(id="run-list")
        self._look: Look | None = None
        self._marked = ""
        self._shown: list[str] = []

    def compose(self) -> ComposeResult:
        yield Static(id="columns")
        rows = Rows(id="runs", compact=False)
        rows.display = False
        yield rows
        yield Static(Content(READING), id="no-runs")

    @property
    def rows(self) -> Rows:
        """The lines themselves."""
        return self.query_one(Rows)

    @property
    def lines(self) -> tuple[Line, ...]:
        """The runs; none before the first look."""
        return self._look.lines if self._look is not None else ()

    @property
    def looked(self) -> bool:
        """Whether there was a look already."""
        return self._look is not None

    @property
    def chosen(self) -> Line | None:
        """The run under the cursor."""
        name = self._name_at(self.rows.highlighted)
        return next((line for line in self.lines if line.summary.name == name), None)

    def _name_at(self, place: int | None) -> str:
        rows = self.rows
        return str(rows.get_option_at_index(place).id) if place is not None and place < rows.option_count else ""

    def show(self, look: Look, marked: str) -> None:
        """Show the runs of this look; the cursor stays on its run. marked: name of the run that is to be compared."""
        self._look, self._marked = look, marked
        self.draw()

    def on_resize(self) -> None:
        self._shown = []
        self.call_after_refresh(self.draw)

    def draw(self) -> None:
        """Paint what has changed."""
        look, rows = self._look, self.rows
        if look is None:
            return
        empty = self.query_one("#no-runs", Static)
        had = rows.display
        rows.display, empty.display = bool(look.lines), not look.lines
        if not look.lines:
            empty.update(Content(NOTHING))
            self.query_one("#columns", Static).update("")
            return
        if not had:  # it has no size before it was painted once
            self.call_after_refresh(self.draw)
        from loratui.tui.common.run_names import told_apart
        from loratui.tui.home.lines import heading, left_out, name_cells, row

        width = max(48, (rows.scrollable_content_region.width or self.size.width - 4) - 2)
        names = [line.summary.name for line in look.lines]
        longest = max(map(len, names))
        alone, differences = len(names) == 1, [look.sets_apart(line) for line in look.lines]
        apart = (
            0
            if alone
            else max((len(words[0] + left_out(len(words) - 1)) + 2 for words in differences if words), default=0)
        )
        self.query_one("#columns", Static).update(Content(heading(width, longest, apart, alone=alone)))
        shorts = told_apart([one_line(name) for name in names], name_cells(width, longest, apart))
        contents = [
            row(
                line,
                width,
                words,
                marked=line.summary.name == self._marked,
                longest=longest,
                room_apart=apart,
                shorts=shorts,
            )
            for line, words in zip(look.lines, differences, strict=True)
        ]
        if names != [option.id for option in rows.options]:
            kept = self._name_at(rows.highlighted)
            rows.clear_options()
            rows.add_options([Option(content, id=name) for content, name in zip(contents, names, strict=True)])
            rows.highlighted = names.index(kept) if kept in names else 0
        else:
            for name, content, before in zip(names, contents, self._shown or [""] * len(names), strict=True):
                if content.markup != before:
                    rows.replace_option_prompt(name, content)
        self._shown = [content.markup for content in contents]
