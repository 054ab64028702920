"""What would make a plan fit: each way with everything that it would change, old → new, and its price, before it is
taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loratui.core.moves import Move
from loratui.format import lowered, one_line, size
from loratui.tui.common.filter_list import columns
from loratui.tui.wizard.change import move_words

if TYPE_CHECKING:
    from loratui.core.memory.alternatives import Alternative
    from loratui.core.proposal import Proposal


class FitScreen(ModalScreen[dict[str, object] | None]):
    """The ways, the gentlest first. Returns the plan keys of the one that was taken, or None."""

    CSS_PATH = "panels.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,f", "leave", "Close", key_display="esc")]

    def __init__(self, proposal: Proposal) -> None:
        super().__init__(classes="panel-over")
        self.proposal = proposal
        fitting = [one for one in proposal.alternatives if one.fits]
        self.ways = fitting or list(proposal.alternatives)
        """What fits; where nothing does, what helps."""

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content("Make it fit")
            panel.border_subtitle = Content("enter takes it · esc leaves the plan as it is")
            now = self.proposal.memory
            limit = size(self.proposal.budget.bytes)
            about = f" (up to {size(now.upper_bytes)})" if now.upper_bytes > now.total_bytes else ""
            yield Static(
                Content(f"This plan takes {size(now.total_bytes)}{about} of {limit}.").stylize("$text-muted"),
                classes="paragraph",
            )
            yield OptionList(markup=False, id="ways")
            yield Static(id="way")

    def on_mount(self) -> None:
        ways = self.query_one("#ways", OptionList)
        ways.focus()
        self.call_after_refresh(self._fill)

    def on_resize(self) -> None:
        self.call_after_refresh(self._fill)

    def _fill(self) -> None:
        ways = self.query_one("#ways", OptionList)
        place = ways.highlighted or 0
        width = max(40, (ways.scrollable_content_region.width or 60) - 1)
        ways.clear_options()
        ways.add_options([Option(self._line(way, width)) for way in self.ways])
        if self.ways:
            ways.highlighted = min(place, len(self.ways) - 1)

    def _line(self, way: Alternative, width: int) -> Content:
        glyph, color = ("✓", "$success") if way.fits else ("✗", "$error")
        name = one_line(", ".join(lowered(move_words(move)) for move in self.moves(way)), 200)
        memory = Content.assemble((f"{size(way.memory_total_bytes)} ", ""), (glyph, color))
        return columns(width, name, (memory, 12))

    def moves(self, way: Alternative) -> list[Move]:
        """What a way changes, without the keys that only hold the rest as it is."""
        plan = self.proposal.plan
        return [
            Move(key, plan.get(key), value)
            for key, value in way.change.items()
            if key not in way.held and plan.get(key) != value
        ]

    @on(OptionList.OptionHighlighted)
    def _moved(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        way = self.ways[event.option_index]
        before, after = self.proposal.memory.total_bytes, way.memory_total_bytes
        lines = [Content(f"  {move_words(move)}") for move in self.moves(way)]
        lines.append(Content(f"  Memory {size(before)} → {size(after)}").stylize("bold"))
        told = Content(one_line(way.cost, 400)).stylize("$text-muted")
        held = "The rest stays as it is: what is not named is set to its present value, so that no search moves it."
        kept = [Content(held).stylize("$text-muted")] if way.held else []
        self.query_one("#way", Static).update(Content("\n").join([*lines, told, *kept]))

    @on(OptionList.OptionSelected)
    def _taken(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss(dict(self.ways[event.option_index].change))

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss(None)
