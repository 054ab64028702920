"""Where a prompt is written: enter sends, ctrl+j makes a new line, up brings earlier prompts back."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import TextArea

from loratui.format import one_line


class PromptArea(TextArea):
    """A text area that sends."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "Send", key_display="enter", tooltip="Ask all sides", priority=True),
        Binding(
            "ctrl+j,shift+enter", "line", "New line", key_display="^j", show=False, tooltip="A new line in the prompt"
        ),
    ]
    DEFAULT_CSS = """
    PromptArea, PromptArea:focus {
        height: auto; min-height: 3; max-height: 7; border: round $border-blurred; background: $background;
        padding: 0 1;
        border-title-color: $text-muted; border-subtitle-color: $text-muted; scrollbar-size-vertical: 1;
    }
    PromptArea:focus { border: round $accent; border-title-color: $accent; }
    PromptArea .text-area--cursor-line { background: $background; }
    """

    class Sent(Message):
        """A prompt was sent."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self) -> None:
        super().__init__(
            id="prompt",
            soft_wrap=True,
            compact=False,
            show_line_numbers=False,
            highlight_cursor_line=False,
            placeholder="A question: enter asks all, ^l takes a held-out row.",
        )
        self.cursor_blink = False
        self._earlier: list[str] = []
        self._place = 0

    def take(self, key: events.Key) -> None:
        """Take a key that came before this could be written in."""
        if key.key == "enter":
            self.action_send()
        else:
            self.post_message(events.Key(key.key, key.character))

    def action_send(self) -> None:
        """Send what is written, once all letters that came before have been."""
        self.call_later(self._send)  # a binding overtakes the letters of the same burst, which still wait here

    def _send(self) -> None:
        text = self.text.strip("\n")
        if text.strip():
            if not self._earlier or self._earlier[-1] != text:
                self._earlier.append(text)
            self._place = len(self._earlier)
            self.post_message(self.Sent(text))

    def action_line(self) -> None:
        """Begin a new line."""
        self.insert("\n")

    def action_cursor_up(self, select: bool = False) -> None:
        """Up; from the first line of an untouched prompt to the one before."""
        if self.cursor_location[0] == 0 and self._may_replace() and self._place > 0:
            self._place -= 1
            self.put(self._earlier[self._place])
        else:
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        """Down; from the last line of an earlier prompt to the one after."""
        if self.cursor_at_last_line and self._may_replace() and self._place < len(self._earlier):
            self._place += 1
            self.put(self._earlier[self._place] if self._place < len(self._earlier) else "")
        else:
            super().action_cursor_down(select)

    def _may_replace(self) -> bool:
        written = self.text.strip("\n")
        return not written or written in self._earlier

    def put_system(self, text: str) -> None:
        """Show in the border what every question is asked under; empty: nothing."""
        self.border_title = Content(f"prompt · system: {one_line(text, 200)}" if text else "prompt")

    def put(self, text: str) -> None:
        """Replace what is written, the cursor at its end."""
        self.load_text(text)
        self.move_cursor(self.document.end)
