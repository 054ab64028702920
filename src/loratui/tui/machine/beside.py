"""Below the cards, where a terminal is wide: what the chosen device offers, and which other cards the model fits."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from textual import work
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import Static

from loratui.format import one_line

if TYPE_CHECKING:
    from loratui.core.architecture import ModelSpec
    from loratui.tui.app import LoratuiApp
    from loratui.tui.machine.others import Other

MOST_CARDS = 6
"""Cards of this machine that leave room for it; of more, all the room is theirs."""
FEW_CARDS = 3
"""The same where a terminal is tall and not wide, where what the chosen one offers stands below so many."""
MARGINS = 4
"""Columns of a box beside its text."""


class OthersBox(Static):
    """Cards of the catalogue, as many as there is room for."""

    def __init__(self) -> None:
        super().__init__(id="others", classes="box")
        self.border_subtitle = Content("o plans for one of them")
        self._others: list[Other] = []

    def show(self, name: str, others: list[Other]) -> None:
        """Tell of these cards, and what of the model `name` fits them."""
        self.border_title = Content(f"{one_line(PurePath(name).name, 40)} on other cards" if name else "other cards")
        self._others = others
        self.on_resize()

    def on_resize(self) -> None:
        room = self.content_size
        if room.width and room.height and self._others:
            from loratui.tui.machine.others import other_lines

            self.update(other_lines(self._others, room.width, room.height), layout=False)


class DeviceBox(Vertical):
    """Two boxes. What they need is imported and looked up only where they have room, and they come once all of it is
    known: at the start the cards are not laid out twice.
    """

    app: LoratuiApp

    def __init__(self) -> None:
        super().__init__(id="below-cards")
        self._for: tuple[object, ...] | None = None
        self._told = Content("")

    def compose(self) -> ComposeResult:
        yield Static(id="offers", classes="box")
        yield OthersBox()

    def on_resize(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Tell of the device and the model that are chosen now."""
        device = self.app.state.hardware.device()
        if not self.screen.has_class("-tall") or device is None:
            return
        self.screen.set_class(device.kind == "gpu", "-card")
        if not self.screen.has_class("-very-wide"):  # there is room for a chosen card alone
            if device.kind == "gpu" and not self.screen.has_class("-several"):
                self.call_after_refresh(self._tell_offers)
            return
        model = self.app.state.model.found
        key = (model.id, model.spec) if model is not None else ("", None)
        if key != self._for:
            self._for = key
            self._look_up(*key)
        elif self.has_class("-known"):
            self._show_offers()

    def _tell_offers(self) -> None:
        """Once the cards are painted: what the device offers is known by then and is only put into words."""
        self._show_offers()
        self.add_class("-known")

    def _show_offers(self) -> None:
        hardware = self.app.state.hardware
        device, machine = hardware.device(), hardware.machine
        column = self.parent
        if device is None or machine is None or not isinstance(column, Vertical):
            return
        from loratui.tui.machine.offers import offer_lines

        box = self.query_one("#offers", Static)
        many = f"{device.count} × " if device.count > 1 else ""
        box.border_title = Content(one_line(f"what {many}{device.name} offers", 60))
        told = offer_lines(device, machine.host, max(20, column.size.width - MARGINS))
        if told != self._told:  # live figures come every second: only what differs is painted
            self._told = told
            box.update(told)

    @work(thread=True, exclusive=True, group="others", exit_on_error=False)
    def _look_up(self, name: str, spec: ModelSpec | None) -> None:
        from loratui.tui.machine import offers  # noqa: F401  imported here, away from the keyboard
        from loratui.tui.machine.others import find_others

        self.app.call_from_thread(self._take, name, find_others(spec))

    def _take(self, name: str, others: list[Other]) -> None:
        self._show_offers()
        self.query_one(OthersBox).show(name, others)
        self.add_class("-known")
