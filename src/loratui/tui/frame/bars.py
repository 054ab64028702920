"""The line above a step: where you are. The keys that work here stand below (`common/key_bar.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual import events
from textual.content import Content
from textual.widgets import Static

from loratui.tui.wizard.draft import STEPS

if TYPE_CHECKING:
    from loratui.tui.app import LoratuiApp


NARROW = 96
"""Columns under which the separators shrink."""
NUMBERS = 76
"""Columns under which only the step that is open is named."""


class StepBar(Static):
    """`✓ 1 Machine › ● 2 Model › ○ 3 Dataset …`: done, here, to come; the number or a click goes there."""

    app: LoratuiApp

    def __init__(self, step: str) -> None:
        super().__init__(id="step-bar")
        self.step = step
        self._spans: list[tuple[int, int, str]] = []
        self._marks: tuple[bool, ...] = ()

    def renew(self) -> None:
        """Paint again where a mark has changed."""
        marks = tuple(self.app.state.done(step) for step in STEPS)
        if marks != self._marks:
            self._marks = marks
            self.refresh()

    def on_click(self, event: events.Click) -> None:
        """Go to the step that was clicked."""
        column = event.x - self.styles.padding.left
        for start, end, step in self._spans:
            if start <= column < end:
                self.app.open_step(step)

    def render(self) -> Content:
        state = self.app.state
        width = self.size.width
        wide = width >= NARROW
        parts: list[tuple[str, str]] = []
        self._spans = []
        column = 0
        for number, step in enumerate(STEPS, start=1):
            here, done = step == self.step, state.done(step)
            glyph = "●" if here else "✓" if done else "○"
            style = "bold $accent" if here else "$foreground" if done else "$text-muted"
            named = f" {step.capitalize()}" if here or width >= NUMBERS else ""
            label = f"{glyph} {number}{named}" if wide else f"{glyph}{number}{named}"
            gap = (" › " if wide else " ") if number < len(STEPS) else ""
            parts += [(label, style), (gap, "$foreground-disabled")]
            self._spans.append((column, column + len(label), step))
            column += len(label) + len(gap)
        return Content.assemble(*parts)
