"""Where you are: the seven steps in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from loratui.tui.draft import STEPS

if TYPE_CHECKING:
    from loratui.tui.app import LoratuiApp

NARROW = 96
"""Columns under which the separators shrink."""


class StepBar(Static):
    """`✓ Machine › ● Model › ○ Dataset …`: done, here, to come; a click or F2 … F8 goes there."""

    app: LoratuiApp

    def __init__(self, step: str) -> None:
        super().__init__(id="step-bar")
        self.step = step

    def render(self) -> Content:
        state = self.app.state
        width = self.size.width
        wide = width >= NARROW
        parts: list[tuple[str, str] | Content] = []
        for number, step in enumerate(STEPS, start=1):
            here, done = step == self.step, state.done(step)
            glyph = "●" if here else "✓" if done else "○"
            style = "bold $accent" if here else "$foreground" if done else "$text-muted"
            name = step.capitalize()
            action = f"@click=app.open_step('{step}')"
            label = f"{glyph} {number} {name}" if wide else f"{glyph} {name}"
            parts.append(Content.from_markup(f"[{action}]{label}[/]").stylize(style))
            if number < len(STEPS):
                parts.append((" › " if wide else " ", "$text-disabled"))
        return Content.assemble(*parts)
