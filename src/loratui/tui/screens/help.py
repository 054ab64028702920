"""F1: what a screen is for, and every key that works on it."""

from __future__ import annotations

from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen, Screen
from textual.widgets import Static


class HelpScreen(ModalScreen[None]):
    """A panel over the screen that it explains."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,question_mark,q", "dismiss", "Close", key_display="esc"),
    ]

    def __init__(self, of: Screen[Any]) -> None:
        super().__init__(classes="panel-over")
        self.heading = str(getattr(of, "HEADING", "") or of.name or "loratui")
        self.text = str(getattr(of, "HELP_TEXT", "") or "")
        self.keys = keys_of(of)

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="panel") as panel:
            panel.border_title = Content(f"{self.heading}: help")
            panel.border_subtitle = Content("esc closes")
            if self.text:
                yield Static(Content(self.text), classes="paragraph")
            widest = max((len(key) for key, _ in self.keys), default=0)
            lines = [
                Content.assemble((f"{key:>{widest}}", "bold $footer-key-foreground"), "  ", (words, "$foreground"))
                for key, words in self.keys
            ]
            yield Static(Content("\n").join(lines), id="keys")

    def on_mount(self) -> None:
        self.query_one("#panel").focus()


def keys_of(screen: Screen[Any]) -> list[tuple[str, str]]:
    """Every key that works on a screen now, with what it does: each action once, with all its keys."""
    actions: dict[str, tuple[list[str], str]] = {}
    for active in screen.active_bindings.values():
        binding = active.binding
        words = binding.tooltip or binding.description
        if not words or binding.system:
            continue
        keys, _ = actions.setdefault(binding.action, ([], words))
        keys.append(screen.app.get_key_display(Binding(binding.key, binding.action)))
    return [(" ".join(dict.fromkeys(keys)), words) for keys, words in actions.values()]
