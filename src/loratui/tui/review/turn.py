"""Where a training is at work already: what is said of it before a start, and the question whether to wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loratui.format import duration, one_line, size

if TYPE_CHECKING:
    from loratui.core.proposal import Proposal
    from loratui.queue.room import Crowd

Turn = Literal["queue", "start"]


def crowd_words(crowd: Crowd, proposal: Proposal) -> str:
    """Who is at work where this plan would train, and what memory that leaves it, in two sentences."""
    first = crowd.runs[0]
    left = f", {duration(first.left_seconds)} left" if first.left_seconds is not None else ""
    place = f" (step {first.step:,} of {first.steps:,}{left})" if first.steps else ""
    many = f" and {len(crowd.runs) - 1} more" if len(crowd.runs) > 1 else ""
    until = "" if crowd.growing_bytes is not None else " so far"
    takes, room = proposal.memory.upper_bytes, left_bytes(crowd, proposal)
    short = f": {size(takes - room)} too little" if takes > room else ""
    return (
        f"At work here: {one_line(first.name, 48)}{place}{many}. It leaves {size(room)} of memory{until}; this plan "
        f"takes up to {size(takes)}{short}."
    )


def left_bytes(crowd: Crowd, proposal: Proposal) -> int:
    """What is left for this plan once the others have grown to their peaks."""
    return max(0, proposal.budget.bytes - (crowd.growing_bytes or 0))


def turn_words(crowd: Crowd) -> str:
    """When its turn would come."""
    if crowd.turn_seconds is not None:
        return f"starts in about {duration(crowd.turn_seconds)}" if crowd.turn_seconds >= 1 else "starts next"
    return f"after {crowd.waiting} that wait" if crowd.waiting else "when the other is over"


class TurnScreen(ModalScreen[Turn | None]):
    """Returns whether to wait in the queue or to start beside the others; None where neither."""

    CSS_PATH = "../common/panels.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "Do not start", key_display="esc")]

    def __init__(self, crowd: Crowd, proposal: Proposal) -> None:
        super().__init__(classes="panel-over")
        self._crowd, self._proposal = crowd, proposal

    def compose(self) -> ComposeResult:
        crowd = self._crowd
        fits = left_bytes(crowd, self._proposal) >= self._proposal.memory.upper_bytes
        beside = "both are slower then" if fits else "its memory may not suffice"
        with Vertical(id="panel") as panel:
            panel.border_title = Content("Another training is at work")
            panel.border_subtitle = Content("enter takes it · esc starts nothing")
            yield Static(Content(crowd_words(crowd, self._proposal)), classes="paragraph")
            yield OptionList(
                Option(self._line("Queue it", turn_words(crowd)), id="queue"),
                Option(self._line("Start it now, beside it", beside), id="start"),
                markup=False,
                id="ways",
            )

    @staticmethod
    def _line(what: str, then: str) -> Content:
        return Content.assemble((f"{what:<25}", "bold"), (then, "$text-muted"))

    def on_mount(self) -> None:
        ways = self.query_one(OptionList)
        ways.highlighted = 0
        ways.focus()

    @on(OptionList.OptionSelected)
    def _taken(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.dismiss("queue" if event.option_id == "queue" else "start")

    def action_leave(self) -> None:
        """Close; nothing is started."""
        self.dismiss(None)
