"""One question asked of the person, in a panel: yes or no, or one line."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from loratui.format import harmless


class ConfirmScreen(ModalScreen[bool]):
    """A panel with one sentence of what will happen; enter does it, esc leaves everything as it is."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,y", "answer(True)", "Yes"),
        Binding("escape,n,q", "answer(False)", "No"),
    ]
    DEFAULT_CSS = """
    ConfirmScreen #panel { max-width: 70; }
    ConfirmScreen #choices { margin: 1 0 0 0; height: 1; }
    """

    def __init__(self, title: str, sentence: str, yes: str, no: str = "leave it as it is") -> None:
        super().__init__(classes="panel-over")
        self._title, self._sentence, self._yes, self._no = title, sentence, yes, no

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content(harmless(self._title))
            yield Static(Content(harmless(self._sentence)))
            yield Static(
                Content.assemble(
                    ("enter", "bold $footer-key-foreground"),
                    f" {self._yes}     ",
                    ("esc", "bold $footer-key-foreground"),
                    f" {self._no}",
                ),
                id="choices",
            )

    def action_answer(self, yes: bool) -> None:
        """Close with the answer."""
        self.dismiss(yes)


class AskLineScreen(ModalScreen[str]):
    """Returns what was typed, without spaces around it; an empty text where it was left with esc. needed: what is said
    where nothing was typed; without it, that is an answer.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "take", "Take it", priority=True),
        Binding("escape", "leave", "Close", key_display="esc"),
    ]

    def __init__(self, title: str, placeholder: str, value: str = "", *, needed: str = "") -> None:
        super().__init__(classes="panel-over")
        self._title, self._placeholder, self._value = title, placeholder, value
        self._needed = needed

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content(harmless(self._title))
            panel.border_subtitle = Content("enter takes it · esc closes")
            field = Input(self._value, placeholder=self._placeholder)
            field.cursor_blink = False
            yield field
            said = Static(id="line-said")
            said.display = False
            yield said

    def on_mount(self) -> None:
        self.query_one(Input).focus()

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        typed = event.value.strip()
        if self._needed and not typed:
            said = self.query_one("#line-said", Static)
            said.update(Content(f"✗ {self._needed}").stylize("$error"))
            said.display = True
            return
        self.dismiss(typed)

    async def action_take(self) -> None:
        """Take what was typed."""
        await self.query_one(Input).action_submit()

    def action_leave(self) -> None:
        """Close without an answer."""
        self.dismiss("")
