"""What the last change moved, above the memory that it moved: old → new, until the next change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

if TYPE_CHECKING:
    from loratui.tui.app import LoratuiApp
    from loratui.tui.wizard.change import Change


class ChangeLine(Static):
    """`Batch size 8 → 128 · also method LoRA → QLoRA, checkpointing off → on · memory +1.30 GiB`.

    The screen shows it from the first change on (see StepScreen), always as high: what stands above it does not jump.
    """

    app: LoratuiApp

    def __init__(self) -> None:
        super().__init__(id="change-line")
        self._change: Change | None = None
        self._shown = Content("")

    def on_resize(self) -> None:
        self.show(self._change)

    def show(self, change: Change | None) -> None:
        """Show a change, or nothing; nothing is painted where that is told already."""
        self._change = change
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
    lines: list[Content] = []
    for pieces in _shorter_and_shorter(change):
        lines = _laid(pieces, width)
        if len(lines) <= height:
            return Content("\n").join(lines)
    return Content("\n").join([*lines[: height - 1], lines[height - 1].truncate(width - 1, ellipsis=False) + "…"])


def _shorter_and_shorter(change: Change) -> Iterator[list[tuple[str, str]]]:
    """The change as told in full, then with less and less of what followed, then without the time, then without
    what followed."""
    followed, price = change.followed, change.price
    memory = price.partition(", ")[0]
    for shown, cost in [*((n, price) for n in range(len(followed), -1, -1)), (0, memory), (-1, price), (-1, memory)]:
        more = len(followed) - max(0, shown)
        rest = [*followed[: max(0, shown)]]
        if more and shown >= 0:
            rest.append(f"{more} more" if shown else f"{more} value{'s' if more > 1 else ''} on Recipe")
        pieces = [(change.cause, "bold $accent")] if change.cause else []
        if rest:
            pieces.append((f"also {', '.join(rest)}", "$foreground"))
        if cost:
            pieces.append((cost, "bold $foreground"))
        yield pieces


def _laid(pieces: Sequence[tuple[str, str]], width: int) -> list[Content]:
    """The pieces with dots between them, broken where a line is full: at blanks."""
    whole = Content(" · ").stylize("$text-muted").join([Content.assemble(piece) for piece in pieces])
    return [line.rstrip() for line in whole.wrap(width)] if len(whole) > width else [whole]
