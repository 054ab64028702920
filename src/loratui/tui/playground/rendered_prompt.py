"""What the model really got: the chat template's own rendering of the conversation, special tokens and all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from loratui.format import harmless
from loratui.workers.protocol import Rendered

LONGEST = 50_000


class RenderedPromptScreen(ModalScreen[None]):
    """The prompt of each side (one for all where they got the same)."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,t,q", "leave", "Close", key_display="esc")]
    DEFAULT_CSS = """
    RenderedPromptScreen #panel { width: 90%; max-height: 90%; }
    RenderedPromptScreen VerticalScroll { height: auto; max-height: 100%; }
    RenderedPromptScreen .side { margin: 0 0 1 0; }
    """

    def __init__(self, prompts: Sequence[Rendered]) -> None:
        super().__init__(classes="panel-over")
        self._prompts = prompts

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content("what the model was sent")
            panel.border_subtitle = Content("↵ is a line feed · esc closes")
            with VerticalScroll():
                for prompt in self._prompts:
                    yield Static(
                        Content.assemble(
                            (harmless(prompt.side or "all sides"), "bold $accent"),
                            (f"  {prompt.tokens:,} tokens\n", "$text-muted"),
                            _shown(prompt.text),
                        ),
                        classes="side",
                    )

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)


def _shown(text: str) -> Content:
    lines = harmless(text, LONGEST).split("\n")
    shown: list[tuple[str, str]] = []
    for number, line in enumerate(lines):
        shown.append((line, "$foreground"))
        if number + 1 < len(lines):
            shown.append(("↵\n", "$text-muted"))
    return Content.assemble(*shown)
