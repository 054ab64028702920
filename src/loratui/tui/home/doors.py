"""The ways on from home, as cards side by side: enter takes the one that has the focus."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from loratui.format import one_line
from loratui.tui.home.run_list import RunList
from loratui.tui.wizard.draft import Draft, same_choices, step_to_open
from loratui.tui.wizard.mixing import chosen_words

if TYPE_CHECKING:
    from loratui.tui.wizard.draft_file import OtherDraft


DRAFTS = ("go_on", "kept")
"""The ways that name a draft, and are wider where there is room."""


@dataclass(frozen=True)
class Way:
    """One way on. key: go_on, new, demo or kept. lines: what it is, and what becomes of it. says: the same as one
    sentence; empty where there is nothing to take yet.
    """

    key: str
    title: str
    lines: tuple[str, str]
    says: str
    short: str = ""
    """The first line where that has no room."""


def ways_on(draft: Draft, others: list[OtherDraft]) -> list[Way]:
    """The four ways on from these drafts, each always in its own place; the draft's and those of others hold theirs
    while there is none.
    """
    nothing = same_choices(draft, Draft())
    kept = "" if nothing else " The draft is kept aside."
    becomes = "from the start" if nothing else "draft is kept"
    return [
        Way("go_on", "Go on", ("no draft yet", "it waits here"), "") if nothing else _go_on(draft),
        Way(
            "new", "New", ("model, data, recipe", becomes), f"Begins anew: machine, model, dataset.{kept}", "all steps"
        ),
        Way(
            "demo",
            "The demo",
            ("a tiny model", "in a minute"),
            f"A tiny model learns on the CPU in a minute.{kept}",
        ),
        _kept_aside(others) if others else Way("kept", "Kept aside", ("no other draft", "they wait here"), ""),
    ]


def _go_on(draft: Draft) -> Way:
    at, words, values = f"at {step_to_open(draft)}", chosen_words(draft), len(draft.by_hand)
    by_hand = f", {values} value{'' if values == 1 else 's'} of yours" if values else ""
    yours = f" · {values} yours" if values else ""
    short = words.partition(" on ")[0]
    return Way("go_on", "Go on", (words, at + yours), f"Goes on with {words}, {at}{by_hand}.", short)


def _kept_aside(others: list[OtherDraft]) -> Way:
    many = f"{len(others)} drafts" if len(others) > 1 else "another draft"
    says = f"Goes on with {many if len(others) == 1 else f'one of {many}'} kept aside: {others[0].words}."
    return Way("kept", "Kept aside", (many, chosen_words(others[0].draft)), says)


class Door(Static, can_focus=True):
    """One way on; enter or a click takes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "choose", "Choose", key_display="enter", tooltip="Take this way on"),
        Binding("left", "beside(-1)", "Beside", show=False, tooltip="The way on beside it"),
        Binding("right", "beside(1)", "Beside", show=False, tooltip="The way on beside it"),
        Binding("down,j", "down", "Runs", key_display="↓", tooltip="To the runs"),
    ]

    class Downwards(Message):
        """To what lies below."""

    class Chosen(Message):
        """Enter, or a click."""

        def __init__(self, way: Way) -> None:
            super().__init__()
            self.way = way

    class Focused(Message):
        """The focus came to it."""

        def __init__(self, way: Way) -> None:
            super().__init__()
            self.way = way

    def __init__(self, way: Way) -> None:
        super().__init__(classes="box door -draft" if way.key in DRAFTS else "box door")
        self.take(way)

    def take(self, way: Way) -> None:
        """Be this way on; without anything to take it keeps its place, and no key reaches it."""
        self.way = way
        self.can_focus = bool(way.says)
        self.set_class(not way.says, "-nothing")
        self.border_title = Content(f"▸ {way.title}" if self.has_focus else way.title)
        self.refresh()

    def render(self) -> Content:
        first, second = self.way.lines
        if self.way.short and len(first) > self.content_size.width:
            first = self.way.short
        for less in (" · ", " on "):
            if len(second) > self.content_size.width:
                second = second.partition(less)[0]
        look = "$foreground" if self.way.says else "$text-muted"
        return Content.assemble((one_line(first, 80), look), "\n", (one_line(second, 80), "$text-muted"))

    def on_focus(self) -> None:
        self.border_title = Content(f"▸ {self.way.title}")
        self.post_message(self.Focused(self.way))

    def on_blur(self) -> None:
        self.border_title = Content(self.way.title)

    def action_choose(self) -> None:
        """Take this way on."""
        self.post_message(self.Chosen(self.way))

    def action_beside(self, by: int) -> None:
        """Put the focus on the door beside this one."""
        assert isinstance(self.parent, Doors)
        self.parent.move(by)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "down":
            return any(not runs.looked or runs.lines for runs in self.screen.query(RunList))
        return super().check_action(action, parameters)

    def action_down(self) -> None:
        """To the runs."""
        self.post_message(self.Downwards())

    def on_click(self, event: events.Click) -> None:
        if self.can_focus:
            self.action_choose()


class Doors(Horizontal):
    """The ways on, side by side."""

    def __init__(self, ways: list[Way]) -> None:
        super().__init__(id="doors")
        self._ways = ways

    def compose(self) -> ComposeResult:
        for way in self._ways:
            yield Door(way)

    def show(self, ways: list[Way]) -> None:
        """Take other ways on, each in its place; nothing is painted where they are the same."""
        if ways == self._ways:
            return
        self._ways = ways
        for door, way in zip(self.query(Door), ways, strict=True):
            lost = door.has_focus and not way.says
            door.take(way)
            if lost:
                self.take_focus()

    @property
    def _open(self) -> list[Door]:
        return [door for door in self.query(Door) if door.can_focus]

    def take_focus(self) -> None:
        """Put the focus on the likeliest way on."""
        self._open[0].focus()

    def move(self, by: int) -> None:
        """Move the focus from door to door."""
        doors = self._open
        place = next((number for number, door in enumerate(doors) if door.has_focus), 0)
        doors[(place + by) % len(doors)].focus()
