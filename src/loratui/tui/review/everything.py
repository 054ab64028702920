"""The whole plan line by line, in a panel: for terminals that have no room for it beside the cards."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from loratui.tui.common.scroll_panel import ScrollPanel
from loratui.tui.review.rows import Row


class EverythingScreen(ModalScreen[None]):
    """Shows what `rows` says now."""

    CSS_PATH = "review.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,m,q", "leave", "Close", key_display="esc")]

    def __init__(self, rows: Callable[[], list[Row]]) -> None:
        super().__init__(classes="panel-over")
        self._rows = rows

    def compose(self) -> ComposeResult:
        with ScrollPanel(classes="everything") as panel:
            panel.border_title = Content("Everything that was decided")
            panel.border_subtitle = Content("↑ ↓ pgdn scroll · esc closes")
            yield Static(id="everything")

    def on_mount(self) -> None:
        self.query_one("#panel").focus()
        self.call_after_refresh(self._show)

    def on_resize(self) -> None:
        self.call_after_refresh(self._show)

    def _show(self) -> None:
        text = self.query_one("#everything", Static)
        width = max(20, text.content_size.width - 1)
        text.update(Content("\n").join(row.content(width) for row in self._rows()))

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)
