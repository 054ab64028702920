"""The rows of a dataset, as many as fit, as conversations or as the trainer's tokens; searched, and jumped to by
number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static
from textual.worker import get_current_worker

from loratui.format import harmless, one_line
from loratui.tui.dataset.path_field import PathField
from loratui.tui.dataset.row_parts import row_content
from loratui.tui.keys import bindings

if TYPE_CHECKING:
    from loratui.data.preview import Preview, PreviewRow
    from loratui.tui.app import LoratuiApp


WINDOW_ROWS = 20
"""Rows that are read together."""
MOST_ROWS = 12
"""Rows that are shown together where there is room."""
BESIDE_WIDTH = 120
"""Columns of the terminal from which on a pair's answers stand beside each other."""

HELD_TURNS = 3
"""Turns of its queue for which a letter waits: about as many as the app needs to hand out the next one of a burst."""


class RowBrowser(VerticalScroll):
    """Holds a window of rows and shows those from `number` on. Posts Said with what a search or a jump came to."""

    app: LoratuiApp

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("rows"),
        Binding("left", "row(-1)", "Row before", show=False, tooltip="The row before"),
        Binding("right", "row(1)", "Next row", show=False, key_display="→", tooltip="The next row"),
    ]

    class Said(Message):
        """A sentence for the screen's notice line; severity as `StepScreen.say` takes it."""

        def __init__(self, sentence: str, severity: str = "") -> None:
            super().__init__()
            self.sentence, self.severity = sentence, severity

    class Drawn(Message):
        """Other rows may be shown now, or the same otherwise."""

    def __init__(self) -> None:
        super().__init__(id="row", classes="box")
        self.preview: Preview | None = None
        self.rows: tuple[PreviewRow, ...] = ()
        self.place = 0
        """Which row of the window stands first."""
        self.as_tokens = False
        self.words = ""
        """Of the last search."""
        self._held: events.Key | None = None
        """A letter that waits for what comes in one burst with it."""
        self._asked: set[tuple[str, int]] = set()
        """Rows whose tokens were asked for, with the check they belong to."""

    def compose(self) -> ComposeResult:
        yield Static(id="row-text")

    @property
    def number(self) -> int:
        """Number of the row that stands first, from 0."""
        return self.rows[self.place].index if self.rows else 0

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("tokens", "search", "jump", "row") and self.preview is None:
            return False  # there is no row to show
        return super().check_action(action, parameters)

    def _forward_event(self, event: events.Event) -> None:
        # Here the app hands out keys, one by one. Of a burst (typed fast, or over a slow line) it hands out many before
        # a widget answers the first, so the focus has to move before the second one.
        if isinstance(event, events.Key):
            for field in self.screen.query(PathField):
                if field.begins_with(event) or self._goes_on(event, field):
                    field._forward_event(event)
                    return
                if self._hold(event):
                    return
        super()._forward_event(event)

    def _hold(self, event: events.Key) -> bool:
        """Whether a letter that is a key waits for the one after it: a word that comes in one burst opens no panel."""
        self._let_go()
        if self.preview is None or not event.is_printable or event.key not in self.screen.active_bindings:
            return False
        self._held = event
        self.call_later(self._let_go, HELD_TURNS)
        return True

    def _let_go(self, turns: int = 0) -> None:
        """Answer the key that waits, after so many more turns."""
        if self._held is not None and turns:
            self.call_later(self._let_go, turns - 1)
        elif self._held is not None:
            held, self._held = self._held, None
            super()._forward_event(held)

    def _goes_on(self, event: events.Key, field: PathField) -> bool:
        """Whether this letter and the one that waits are a word, which then begins a path. A key that repeats is
        none.
        """
        held = self._held
        if held is None or not event.is_printable or event.key == held.key:
            return False
        self._held = None
        field.write(held.character or "")
        return True

    def take(self, preview: Preview | None, otherwise: Content) -> None:
        """Show this dataset from its first row, or stay where one is in the same one; `otherwise` where there is
        none.
        """
        before, self.preview = self.preview, preview
        if preview is None:
            self.rows, self.place = (), 0
            self.query_one("#row-text", Static).styles.text_wrap = "wrap"
            self.border_title = self.border_subtitle = ""
            self.query_one("#row-text", Static).update(otherwise)
            self.post_message(self.Drawn())
            return
        if (
            before is None
            or before.found != preview.found
            or before.recognition != preview.recognition
            or [(one.name, one.found) for one in before.others] != [(one.name, one.found) for one in preview.others]
            or not self.rows
        ):
            self.rows, self.place = preview.rows, 0
        self.draw()

    def draw(self) -> None:
        """Paint the rows, or the tokens of the first."""
        if not self.rows:
            return
        self.post_message(self.Drawn())
        text = self.query_one("#row-text", Static)
        row = self.rows[self.place]
        line = f", line {row.line:,}" if row.line is not None else ""
        paired = row.conversation is not None and row.conversation.rejected
        learnt = "▌ bears loss: chosen up, rejected down" if paired else "▌ is learnt"
        self.border_subtitle = Content(f"{learnt} · ← → other rows · / search · : go to")
        width, height = self.content_size.width or self.size.width - 8, self.content_size.height
        beside = self.app.size.width >= BESIDE_WIDTH
        if self.as_tokens:
            check = self.app.state.check.now
            rendered = check.rows.get(row.index)
            coming = ": the check was stopped, r checks again" if check.stopped else ": its tokens come with the check"
            wait = coming if rendered is None else ", as the trainer receives it"
            self.border_title = Content(f"row {row.index + 1:,}{of_part(row)}{line}{wait}")
            text.styles.text_wrap = "wrap"
            text.update(row_content(row, width, beside=beside) if rendered is None else token_content(rendered))
            if rendered is None and not check.progress and (check.key, row.index) not in self._asked:
                self._asked |= {(check.key, one.index) for one in self.rows}
                self.app.render_rows([one.index for one in self.rows])
            return
        text.styles.text_wrap = "nowrap"  # wrapped below: wrapped again beside a scrollbar, it would keep that for ever
        shown: list[Content] = []
        lines = 0
        for following in self.rows[self.place : self.place + MOST_ROWS]:
            rendered = self.app.state.check.now.rows.get(following.index)
            content = row_content(following, width, rendered, beside=beside)
            if following.part and following is not row:
                content = Content.assemble((f"{named(following)}\n", "$text-muted"), content)
            lines += content.plain.count("\n") + 2
            if not shown and lines - 1 > height > 0:  # it is scrolled
                content = row_content(
                    following, width - self.styles.scrollbar_size_vertical - 1, rendered, beside=beside
                )
            if shown and lines - 1 > height:
                break
            shown.append(content)
        last = self.rows[self.place + len(shown) - 1].index + 1
        self.border_title = Content(
            f"row {row.index + 1:,}{of_part(row)}{line}"
            if len(shown) == 1
            else f"rows {row.index + 1:,}{of_part(row)} to {last:,}"
        )
        text.update(Content("\n\n").join(shown))

    def on_resize(self) -> None:
        self.call_after_refresh(self.draw)

    def action_tokens(self) -> None:
        """Show the row as conversation, or as the trainer receives it."""
        self.as_tokens = not self.as_tokens
        self.draw()

    def action_row(self, by: int) -> None:
        """Show the row before or after; the first follows the last."""
        if not self.rows:
            return
        if 0 <= self.place + by < len(self.rows):
            self.place += by
            self.scroll_home(animate=False)
            self.draw()
        elif self.number + by >= 0:
            self._open(self.number + by)

    def go_to(self, number: int, *, typed: bool = False) -> None:
        """Show the row of this number (from 0). typed: somebody asked for this very one."""
        place = next((place for place, row in enumerate(self.rows) if row.index == number), None)
        if place is None:
            self._open(number, typed)
        else:
            self.place = place
            self.scroll_home(animate=False)
            self.draw()

    @work(thread=True, exclusive=True, group="rows", exit_on_error=False)
    def _open(self, number: int, typed: bool = False) -> None:
        from loratui.core.errors import LoratuiError
        from loratui.data.preview import rows_from

        preview = self.preview
        if preview is None:
            return
        start = max(0, number - (WINDOW_ROWS - 1 if 0 <= number < self.number else 0))
        try:
            rows = rows_from(preview, start, WINDOW_ROWS) if number >= 0 else ()
        except LoratuiError as error:
            self.post_message(self.Said(one_line(error.sentence, 300), "error"))
            return
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._opened, preview, number, rows, typed)

    def _opened(self, preview: Preview, number: int, rows: tuple[PreviewRow, ...], typed: bool = False) -> None:
        if preview is not self.preview:
            return
        if not any(row.index == number for row in rows):  # beyond an end
            if typed:
                self.post_message(self.Said(f"There is no row {number + 1:,}: the dataset ends before it.", "warning"))
                return
            rows, number = preview.rows, 0
        self.rows, self.place = rows, next(place for place, row in enumerate(rows) if row.index == number)
        self.scroll_home(animate=False)
        self.draw()

    @work
    async def action_jump(self) -> None:
        """Ask for a number, and go there."""
        from loratui.tui.common.dialogs import AskLineScreen

        names = [one.name for one in self.preview.parts if one.name] if self.preview is not None else []
        part = ", or a part's name" if names else ""
        typed = await self.app.push_screen_wait(AskLineScreen("Go to a row", f"its number, the first is 1{part}"))
        if not typed:
            return
        if typed in names:
            self._go_to_part(typed)
            return
        digits = typed.replace(",", "").replace(".", "")
        if not digits.isdecimal() or int(digits) < 1:
            self.post_message(self.Said(f"{one_line(typed, 40)!r} is no row's number: type 1 or more.", "error"))
            return
        self.go_to(int(digits) - 1, typed=True)

    @work(thread=True, exclusive=True, group="rows", exit_on_error=False)
    def _go_to_part(self, name: str) -> None:
        from loratui.core.errors import LoratuiError
        from loratui.data.preview import first_of_part

        preview = self.preview
        if preview is None:
            return
        try:
            number = first_of_part(preview, name)
        except LoratuiError as error:
            self.post_message(self.Said(one_line(error.sentence, 300), "error"))
            return
        if number is None:
            self.post_message(self.Said(f"{one_line(name, 60)} has no row.", "warning"))
        elif not get_current_worker().is_cancelled:
            self.app.call_from_thread(self.go_to, number)

    @work
    async def action_search(self) -> None:
        """Ask for words, and go to the next row that holds them; the same words again: to the one after this."""
        from loratui.tui.common.dialogs import AskLineScreen

        words = await self.app.push_screen_wait(AskLineScreen("Search the rows", "words that a row holds", self.words))
        field = next(iter(self.screen.query(PathField)), None)
        if words and field is not None and field.is_rest_of_path(words):
            field.write(f"/{words}")
            self.post_message(self.Said(f"/{one_line(words, 60)} is there: enter takes it, esc stays with these rows."))
        elif words:
            again = words == self.words
            self.words = words
            self._find(words, self.number if again else self.number - 1)

    @work(thread=True, exclusive=True, group="rows", exit_on_error=False)
    def _find(self, words: str, after: int) -> None:
        from loratui.core.errors import LoratuiError
        from loratui.data.preview import find_row

        preview, worker = self.preview, get_current_worker()
        if preview is None:
            return
        self.post_message(self.Said(f"Searching for {one_line(words, 60)!r} …"))
        try:
            number = find_row(preview, words, after, stopped=lambda: worker.is_cancelled)
        except LoratuiError as error:
            self.post_message(self.Said(one_line(error.sentence, 300), "error"))
            return
        if worker.is_cancelled:
            return
        if number is None:
            self.post_message(self.Said(f"No row holds {one_line(words, 60)!r}.", "warning"))
        else:
            again = " It is before this one: the search began again at the top." if number <= after else ""
            self.post_message(
                self.Said(
                    f"{one_line(words, 60)!r} is in row {number + 1:,}; / and enter goes to the next one.{again}",
                    "done",
                )
            )
            self.app.call_from_thread(self.go_to, number)


def of_part(row: PreviewRow) -> str:
    """Which part of a mix a row is of, after its number."""
    return f" of {one_line(row.part, 40)}" if row.part else ""


def named(row: PreviewRow) -> str:
    """A row of a mix by its number and its part."""
    return f"row {row.index + 1:,}{of_part(row)}"


def token_content(row: dict[str, Any]) -> Content:
    """A row as the trainer receives it, of a pair both sides: learnt tokens underlined, special ones reversed, cut ones
    struck out.
    """
    if row.get("problem"):
        return Content(f"✗ not trained on: {one_line(row['problem'], 300)}").stylize("$error")
    if not row.get("rejected"):
        return _tokens(row["tokens"], "")
    return Content("\n\n").join([_tokens(row["tokens"], "chosen: "), _tokens(row["rejected"]["tokens"], "rejected: ")])


def _tokens(tokens: list[Any], name: str) -> Content:
    pieces: list[tuple[str, str] | str] = []
    for _number, text, trained, special, cut in tokens:
        style = "bold underline $foreground on $block-cursor-blurred-background" if trained else "$text-muted"
        if special:
            style = "bold underline reverse $accent" if trained else "reverse $text-muted"
        if cut:
            style += " strike"
        pieces.append((harmless(text), style))
    learnt = sum(1 for token in tokens if token[2])
    head = f"{name}{len(tokens):,} tokens, {learnt:,} learnt (underlined); special tokens reversed\n"
    return Content.assemble((head, "$text-muted"), *pieces)
