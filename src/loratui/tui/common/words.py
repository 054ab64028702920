"""The words of the field, explained: one of them, or all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from loratui.core.glossary import Term
from loratui.core.plan_text import fields
from loratui.tui.common.scroll_panel import ScrollPanel
from loratui.tui.common.terms import Terms


class WordsScreen(ModalScreen[None]):
    """A panel over the screen in front. terms: what it explains; a single one with the fields that it is a word for."""

    CSS_PATH = "panels.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "Close", key_display="esc")]

    def __init__(self, terms: Sequence[Term]) -> None:
        super().__init__(classes="panel-over")
        self._terms = tuple(terms)

    def compose(self) -> ComposeResult:
        with ScrollPanel() as panel:
            panel.border_title = Content(self._terms[0].word if len(self._terms) == 1 else "Words")
            panel.border_subtitle = Content("↑ ↓ pgdn scroll · esc closes" if len(self._terms) > 1 else "esc closes")
            if len(self._terms) == 1:
                yield Static(Content(self._terms[0].line), classes="paragraph", id="words")
                for key in self._terms[0].keys:
                    yield Static(_field(key), classes="paragraph")
            else:
                yield Terms(self._terms)

    def on_mount(self) -> None:
        self.query_one("#panel").focus()

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)


def _field(key: str) -> Content:
    """What the plan says of a field."""
    field = fields()[key]
    return Content.assemble(
        (field.title or key, "bold $foreground"),
        (f"  {key}\n", "$text-muted"),
        (field.description or "", "$foreground"),
    )
