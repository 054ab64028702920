"""The end of a run's log, with a search."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from loratui.files import open_regular
from loratui.format import harmless, one_line
from loratui.tui.keys import bindings

TAIL_BYTES = 256 * 1024
SHOWN_LINES = 2000


class LogScreen(ModalScreen[None]):
    """Read when it is opened and at `r`; nothing is written to the terminal while it only stands there."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close", key_display="esc", tooltip="End the search, or close the log"),
        Binding("L,q", "dismiss", "Close", show=False),
        *bindings("log"),
    ]
    DEFAULT_CSS = """
    LogScreen #panel { width: 96%; max-width: 100%; height: 92%; padding: 0 1; }
    LogScreen #lines { height: 1fr; }
    LogScreen #search { display: none; }
    LogScreen #search.-open { display: block; }
    """

    def __init__(self, path: Path) -> None:
        super().__init__(classes="panel-over")
        self._path = path
        self._lines: list[str] = []

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content(f"log of {one_line(self._path.parent.name, 50)}")
            panel.border_subtitle = Content("/ searches · r reads again · esc closes")
            with VerticalScroll(id="lines"):
                yield Static(id="text")
            yield Input(id="search", placeholder="words to look for; esc ends the search", compact=True)

    def on_mount(self) -> None:
        self.action_read()
        self.query_one("#lines").focus()

    def action_read(self) -> None:
        """Read the end of the file again."""
        try:
            with open_regular(self._path) as file:
                size = file.seek(0, 2)
                file.seek(max(0, size - TAIL_BYTES))
                text = file.read().decode("utf-8", "replace")
        except OSError as error:
            text = f"The log cannot be read: {error.strerror or error}."
        # a progress bar of some library overwrites its own line: only its last state is of interest
        self._lines = [line.rsplit("\r", 1)[-1] for line in text.replace("\r\n", "\n").rstrip("\n").split("\n")][
            -SHOWN_LINES:
        ]
        self._show("")
        self.call_after_refresh(lambda: self.query_one("#lines", VerticalScroll).scroll_end(animate=False))

    def _show(self, words: str) -> None:
        wanted = words.casefold()
        lines = [line for line in self._lines if wanted in line.casefold()]
        nothing = f"No line holds {words!r}." if words else "The worker has printed nothing yet."
        self.query_one("#text", Static).update(Content(harmless("\n".join(lines)) if any(lines) else harmless(nothing)))

    def action_search(self) -> None:
        """Show only lines with some words."""
        search = self.query_one("#search", Input)
        search.add_class("-open")
        search.focus()

    @on(Input.Changed, "#search")
    def _searched(self, event: Input.Changed) -> None:
        self._show(event.value)

    @on(Input.Submitted, "#search")
    def _search_done(self) -> None:
        self.query_one("#lines").focus()

    def action_leave(self) -> None:
        """End the search, with every line shown again; without one, close."""
        search = self.query_one("#search", Input)
        if not search.has_class("-open"):
            self.dismiss()
            return
        search.value = ""
        search.remove_class("-open")
        self.query_one("#lines").focus()
