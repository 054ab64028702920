"""What the last change moved, above the memory that it moved: old → new, until the next change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

if TYPE_CHECKING:
    from loratui.tui.app import LoratuiApp
    from loratui.tui.wizard.change import Change


class ChangeLine(Static):
    """`Batch size 8 → 128 · also method LoRA → QLoRA, checkpointing off → on · memory +1.30 GiB`.

    There from the first change on, always as high: what stands above it does not jump.
    """

    app: LoratuiApp

    def __init__(self) -> None:
        super().__init__(id="change-line")
        self._stops: list[Callable[[], None]] = []
        self._shown = Content("")

    def on_mount(self) -> None:
        self._stops.append(self.app.state.plan.changed.subscribe(self._heard))

    def on_unmount(self) -> None:
        for stop in self._stops:
            stop()

    def on_resize(self) -> None:
        self.renew()

    def _heard(self) -> None:
        if self.screen.is_current and self.display:
            self.call_after_refresh(self.renew)  # the field that was changed is painted first
        elif self.screen.is_current:
            self.renew()

    def renew(self) -> None:
        """Show what moved last; nothing is painted where that is told already."""
        change = self.app.state.plan.change
        if self.display != (change is not None):
            self.display = change is not None
        if change is None:
            return
        width = self.app.size.width - 4
        content = change_content(change, width, max(1, self.size.height))
        if content != self._shown:
            self._shown = content
            self.update(content, layout=False)


def change_content(change: Change, width: int, height: int = 1) -> Content:
    """A change in at most `height` lines of `width` columns. What followed is told as far as it fits, the weightiest
    first; of the rest how many there are.
    """
    price, followed = change.price, change.followed
    for shown in range(len(followed), -1, -1):
        more = len(followed) - shown
        rest = [*followed[:shown], *([f"{more} more" if shown else f"{more} of the proposed values"] if more else [])]
        pieces = [(change.cause, "bold $accent")] if change.cause else []
        if rest:
            pieces.append((f"also {', '.join(rest)}", "$foreground"))
        if price:
            pieces.append((price, "bold $foreground"))
        lines = _laid(pieces, width)
        if len(lines) <= height or not shown:
            break
    return Content("\n").join(line.truncate(width, ellipsis=True) for line in lines[:height])


def _laid(pieces: Sequence[tuple[str, str]], width: int) -> list[Content]:
    """The pieces with dots between them, broken where a line is full: at blanks."""
    whole = Content(" · ").stylize("$text-muted").join([Content.assemble(piece) for piece in pieces])
    return [line.rstrip() for line in whole.wrap(width)] if len(whole) > width else [whole]
