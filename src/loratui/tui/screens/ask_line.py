"""One line asked of the person, in a panel."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input

from loratui.format import harmless


class AskLineScreen(ModalScreen[str]):
    """Returns what was typed, without spaces around it; an empty text where it was left with esc."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", key_display="esc")]

    def __init__(self, title: str, placeholder: str, value: str = "") -> None:
        super().__init__(classes="panel-over")
        self._title, self._placeholder, self._value = title, placeholder, value

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content(harmless(self._title))
            panel.border_subtitle = Content("enter takes it · esc closes")
            field = Input(self._value, placeholder=self._placeholder)
            field.cursor_blink = False
            yield field

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        self.dismiss(event.value.strip())

    def action_leave(self) -> None:
        """Close without an answer."""
        self.dismiss("")
