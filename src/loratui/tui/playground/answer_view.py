"""An answer that grows: only the rows that changed are painted, and the end is followed until one scrolls up."""

from __future__ import annotations

import re

from rich.segment import Segment
from textual.content import Content
from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.strip import Strip

from loratui.format import harmless, one_line
from loratui.tui.common.text import in_column
from loratui.tui.playground.growing_text import GrowingText, wrap
from loratui.workers.protocol import Done, Failed

LONGEST_PIECE = 100_000
BESIDE, LABEL_CELLS = "\t", 10
"""In a note: what stands between a label and what is said beside it, and the columns that the label gets."""
MOST_NOTE = 8
"""Rows of a note for which a pane asks at most."""
ENDS = {
    "stop token": "stop token",
    "length": "▲ cut: max tokens",
    "context full": "▲ cut: context full",
    "stopped": "■ stopped",
}
"""How an answer ended, in words."""
CUT = ("length", "context full")
"""Ends at which there would have been more."""


class AnswerView(ScrollView):
    """One side's answer. Its title is the side, its subtitle how the answer ended."""

    DEFAULT_CSS = """
    AnswerView {
        border: round $border-blurred; border-title-color: $foreground; border-title-style: bold;
        border-subtitle-color: $text-muted;
        background: $background; padding: 0 1; width: 1fr; height: 1fr; min-height: 4; scrollbar-size-vertical: 1;
        overflow-x: hidden; scrollbar-gutter: stable;
    }
    AnswerView:focus { border: round $accent; border-title-color: $accent; }
    AnswerView.-failed { border-subtitle-color: $error; }
    AnswerView.-cut { border-subtitle-color: $warning; }
    AnswerView.-matches { border-subtitle-color: $success; }
    """

    def __init__(self, side: str, title: str = "", note: str = "") -> None:
        super().__init__(id="answer-" + re.sub(r"[^\w-]", "-", side, flags=re.ASCII))
        self.side = side
        self._named = Content.assemble(
            harmless(side), (f"  {one_line(title, 60)}" if title else "", "not bold $text-muted")
        ).markup
        self.shown_name = harmless(side)
        """What the pane is called: the side, or its number while a vote is open."""
        self.border_title = self._named
        self._hidden = False
        self._text = GrowingText()
        self._waiting = ""
        self._follow = True
        self.note = note
        """What stands in the pane while it holds no answer."""
        self._ended: Done | Failed | None = None
        self.matches: bool | None = None
        """Whether the answer equals the expected one; None where nothing is expected, or it did not end by itself."""

    @property
    def text(self) -> str:
        """The answer so far, harmless."""
        self.flush()
        return self._text.text

    @property
    def overflows(self) -> bool:
        """Whether the answer has more rows than are seen at once."""
        return len(self._text.rows) > max(1, self.size.height)

    def hide_name(self, number: int) -> None:
        """Be a number, and say nothing that tells who answers: not how fast, how it ended, or whether it is right."""
        self._hidden = True
        self.shown_name = self.border_title = str(number)
        self._tell_end()

    def show_name(self, number: int = 0) -> None:
        """Say who answers, and how it ended. number: what it was called while a vote was open; 0: it had none."""
        self._hidden = False
        self.shown_name = f"{number} {harmless(self.side)}" if number else harmless(self.side)
        self.border_title = f"{number} · {self._named}" if number else self._named
        self._tell_end()

    def clear(self, note: str) -> None:
        """Forget the answer. note: stands in the pane instead."""
        self._empty(note)
        self._tell_end()

    def begin(self) -> None:
        """Empty for a new answer."""
        self._empty("")
        self._tell_end()
        self.subtitle("…")

    def _empty(self, note: str) -> None:
        self._ended = self.matches = None
        self._waiting, self.note, self._follow = "", note, True
        self._text.clear()
        self.virtual_size = Size(self._text.width, 1)
        self.scroll_to(y=0, animate=False)
        self.refresh()

    def say(self, note: str) -> None:
        """A line of our own in an empty pane."""
        if self.note != note:
            self.note = note
            self.refresh()

    def feed(self, piece: str) -> None:
        """More text; it is painted at the next flush."""
        self._waiting += piece

    def flush(self) -> None:
        """Paint what was fed."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, ""
        changed = self._text.append(harmless(waiting, LONGEST_PIECE))
        rows = len(self._text.rows)
        at_end = self._follow and self.max_scroll_y - self.scroll_offset.y <= 1
        if rows != self.virtual_size.height:
            self.virtual_size = Size(self._text.width, rows)
        self.refresh_lines(changed, max(1, rows - changed))
        if at_end and rows > self.size.height:
            self.scroll_end(animate=False, immediate=True, force=True)

    def end(self, event: Done | Failed, expected: str = "") -> None:
        """How the answer ended."""
        self.flush()
        self._ended = event
        if isinstance(event, Failed):
            self.say(event.sentence)
        elif expected and event.reason != "stopped":
            self.matches = self._text.text.strip() == harmless(expected, LONGEST_PIECE).strip()
        self._tell_end()

    def _tell_end(self) -> None:
        event, told = self._ended, not self._hidden
        self.set_class(told and isinstance(event, Failed), "-failed")
        self.set_class(told and isinstance(event, Done) and event.reason in CUT, "-cut")
        self.set_class(told and self.matches is True, "-matches")
        if event is None:
            self.subtitle("")
        elif self._hidden:
            self.subtitle("did not answer" if isinstance(event, Failed) else "has answered")
        elif isinstance(event, Failed):
            self.subtitle("✗ failed")
        else:
            words = [] if self.matches is None else ["✓ as expected" if self.matches else "✗ differs"]
            if event.tokens and not self._text.text.strip():
                words.append("nothing but blanks")
            if event.tokens_per_second:
                words.append(f"{event.tokens_per_second:,.0f} tokens/s")
            self.subtitle(" · ".join([*words, f"{event.tokens} tokens", ENDS[event.reason]]))

    def subtitle(self, words: str) -> None:
        """The words at the lower edge."""
        self.border_subtitle = Content(words).markup

    def on_resize(self) -> None:
        width = self.scrollable_content_region.width
        if width and width != self._text.width:
            self._text.resize(width)
            self.virtual_size = Size(width, len(self._text.rows))
            self.refresh()

    def on_mouse_scroll_up(self) -> None:
        self._follow = False

    def watch_scroll_y(self, old: float, new: float) -> None:
        super().watch_scroll_y(old, new)
        if new < old:
            self._follow = False
        elif self.max_scroll_y - new <= 1:
            self._follow = True

    @property
    def needed(self) -> int:
        """Rows in which the answer, or the note, can be read; of a long note its beginning."""
        if not self._notes:
            return len(self._text.rows)
        width = max(1, self.scrollable_content_region.width)
        return min(MOST_NOTE, sum(len(_rows_of(line, width)) for line in self.note.split("\n")))

    @property
    def _notes(self) -> bool:
        """Whether the note is shown."""
        return bool(self.note) and self._text.rows == [""]

    def _note_rows(self, width: int) -> list[str]:
        """The note in rows; of several lines those that have room whole."""
        rows: list[str] = []
        for line in self.note.split("\n"):
            parts = _rows_of(line, width)
            if not rows or len(rows) + len(parts) <= self.size.height:
                rows += parts
        return rows

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        row = y + self.scroll_offset.y
        style = self.rich_style
        if self._notes:
            rows = self._note_rows(max(1, width))
            text = rows[y] if y < len(rows) else ""
        else:
            text = self._text.rows[row] if row < len(self._text.rows) else ""
        return Strip([Segment(text, style)]).adjust_cell_length(width, style)


def _rows_of(line: str, width: int) -> list[str]:
    """A line of a note in rows; what stands beside a label keeps its column."""
    label, beside, text = line.partition(BESIDE)
    if beside:
        return in_column(label, harmless(text), width, LABEL_CELLS)
    return wrap(harmless(line), width)
