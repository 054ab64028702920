"""A step that opens with the cursor in a prompt: what is typed while it opens is not lost."""

from __future__ import annotations

from textual import events, on

from loratui.tui.frame.step import StepScreen
from loratui.tui.playground.prompt_area import PromptArea


class WritingScreen(StepScreen):
    """Keys that come before anything has the focus are the prompt's: it takes them, in order, once it can."""

    prompt: PromptArea
    """Where is written; a subclass makes it, and gives it the focus."""

    def __init__(self) -> None:
        super().__init__()
        self._early: list[events.Key] | None = []
        """Keys that wait; None once something had the focus."""

    def on_key(self, event: events.Key) -> None:
        """Keep a key that nobody could take yet, or hand on one that was sent before the prompt had the focus."""
        if not (event.is_printable or event.key == "enter") or not (self._early is not None or self.prompt.has_focus):
            return
        event.stop()
        event.prevent_default()
        if self._early is not None:
            self._early.append(event)
        else:
            self.prompt.take(event)

    @on(events.DescendantFocus)
    def _can_write(self) -> None:
        early, self._early = self._early, None
        for event in early or ():
            self.prompt.take(event)
