"""The memory of the chosen device, part by part: what the plan would take, what is free, and what the last change did."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widgets import Static

from loratui.tui.text import gib, one_line, signed_size, size

if TYPE_CHECKING:
    from loratui.core.proposal import Proposal
    from loratui.tui.app import LoratuiApp

FILLS = {
    "weights": "█", "adapter": "▓", "gradients": "▒", "optimizer": "░",
    "activations": "▚", "logits": "▞", "overhead": "▤",
}
"""The fill of each part: told apart without colour, too."""

TIGHT = 0.05
"""Share of the budget under which what is left is called tight."""


@dataclass(frozen=True)
class MemoryView:
    """What the bar draws, in bytes."""

    device: str
    parts: tuple[tuple[str, int], ...]
    total: int
    budget: int
    """What this process may take."""
    capacity: int
    """What the device has in all."""
    taken: int = 0
    """What others hold now."""

    @property
    def headroom(self) -> int:
        """Budget less what the plan takes; negative where it does not fit."""
        return self.budget - self.total


def memory_view(proposal: Proposal) -> MemoryView:
    """The memory of a proposal as the bar draws it."""
    device = proposal.device
    parts = tuple((name, value) for name, value in proposal.memory.parts.items() if value > 0)
    return MemoryView(
        device=device.name,
        parts=parts,
        total=proposal.memory.total_bytes,
        budget=proposal.memory.total_bytes + proposal.headroom_bytes,
        capacity=device.memory_total_bytes,
        taken=device.memory_total_bytes - device.memory_free_bytes,
    )


def verdict(view: MemoryView) -> tuple[str, str]:
    """Whether the plan fits, in words with a glyph, and the theme colour for it."""
    if view.headroom < 0:
        return f"✗ too big by {size(-view.headroom)}", "$error"
    if view.headroom < TIGHT * view.budget:
        return f"▲ tight: {size(view.headroom)} left", "$warning"
    return f"✓ fits: {size(view.headroom)} left", "$success"


def cells(view: MemoryView, width: int) -> list[tuple[str, int]]:
    """How many of `width` cells each part takes, in order; `free` and `reserve` fill the rest.

    Boundaries are rounded as sums, so that the parts never add up to more than they are together; where the plan is
    too big, the whole width is the plan.
    """
    whole = max(view.total, view.budget, 1)
    drawn: list[tuple[str, int]] = []
    position, sum_bytes = 0, 0
    for name, value in view.parts:
        sum_bytes += value
        end = round(sum_bytes / whole * width)
        if end > position:
            drawn.append((name, end - position))
            position = end
    if position < width:
        drawn.append(("free", width - position))
    return drawn


class HeadroomBar(Static):
    """Two lines: the bar with its verdict, and the parts with their sizes."""

    app: LoratuiApp

    def __init__(self) -> None:
        super().__init__(id="headroom-bar")
        self._stop: Callable[[], object] = lambda: None

    def on_mount(self) -> None:
        self._stop = self.app.state.listen(self._state_changed)

    def on_unmount(self) -> None:
        self._stop()

    def _state_changed(self, change: str) -> None:
        if change == "plan" and self.screen.is_current:
            self.refresh()

    def render(self) -> Content:
        state, width = self.app.state, self.content_size.width
        if state.proposal is None:
            return Content.assemble(
                ("·" * max(10, width - 36), "$memory-free"), ("  memory", "$text-muted"), "\n",
                (self._waiting(), "$text-muted"),
            )
        view = memory_view(state.proposal)
        words, color = verdict(view)
        numbers = f"{gib(view.total)} of {gib(view.budget)} GiB"
        room = max(10, width - len(numbers) - len(words) - 4)
        bar = Content.assemble(*(
            ("·" * n if name == "free" else FILLS.get(name, "█") * n, f"$memory-{name}") for name, n in cells(view, room)
        ))
        first = Content.assemble(bar, "  ", (numbers, "$foreground"), "  ", (words, f"bold {color}"))
        return Content.assemble(first, "\n", self._legend(view, width))

    def _waiting(self) -> str:
        state = self.app.state
        if not state.draft.model:
            return "Choose a model to see what training it takes."
        if state.model_problem or state.plan_problem:
            return one_line(state.model_problem or state.plan_problem)
        return "Looking at the machine and the model …"

    def _legend(self, view: MemoryView, width: int) -> Content:
        change = self.app.state.change_bytes
        told = f"{signed_size(change)} by the last change" if change else ""
        pieces = []
        for name, value in view.parts:
            pieces.append(Content.assemble(
                (FILLS.get(name, "█"), f"$memory-{name}"), (f" {name} ", "$text-muted"), (gib(value), "$foreground")
            ))
        if len(told) + sum(len(piece) + 2 for piece in pieces) > width:
            told = signed_size(change) if change else ""
        while len(told) + 2 + sum(len(piece) + 2 for piece in pieces) > width and len(pieces) > 1:
            smallest = min(range(len(pieces)), key=lambda index: view.parts[index][1] if index < len(view.parts) else 0)
            view = MemoryView(view.device, tuple(p for i, p in enumerate(view.parts) if i != smallest), view.total, view.budget, view.capacity, view.taken)
            del pieces[smallest]
        legend = Content("  ").join(pieces)
        return Content.assemble(legend, " " * max(2, width - len(legend) - len(told)), (told, "bold $accent"))
