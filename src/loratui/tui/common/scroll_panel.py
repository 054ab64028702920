"""A panel of text: its line of keys names the one that scrolls it, and its text keeps off the scrollbar."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll


class ScrollPanel(VerticalScroll):
    """What a panel shows from top to bottom."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("pagedown", "page_down", "Scroll", key_display="↑ ↓ pgdn", tooltip="A page down"),
    ]

    DEFAULT_CSS = "ScrollPanel > Static { padding: 0 1 0 0; }"

    def __init__(self, *, classes: str = "") -> None:
        super().__init__(id="panel", classes=classes)
