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


class DeviceBox(Vertical):
    """Two boxes; what they need is imported and looked up while they are shown, and only then."""

    app: LoratuiApp

    def __init__(self) -> None:
        super().__init__(id="below-cards")
        self._others: list[Other] = []
        self._for: tuple[object, ...] = ()
        self._told = Content("")

    def compose(self) -> ComposeResult:
        for name in ("offers", "others"):
            yield Static(id=name, classes="box")

    def on_mount(self) -> None:
        others = self.query_one("#others")
        others.border_title = Content("other cards")
        others.border_subtitle = Content("o plans for one of them")

    def on_resize(self) -> None:
        self.renew()
        self._draw_others()

    def renew(self) -> None:
        """Tell of the device and the model that are chosen now."""
        hardware = self.app.state.hardware
        device, machine = hardware.device(), hardware.machine
        box = self.query_one("#offers", Static)
        if device is None or machine is None or not self.display or not box.content_size.width:
            return
        from loratui.tui.machine.offers import offer_lines

        many = f"{device.count} × " if device.count > 1 else ""
        box.border_title = Content(one_line(f"what {many}{device.name} offers", 60))
        told = offer_lines(device, machine.host, box.content_size.width)
        if told != self._told:  # live figures come every second: only what differs is painted
            self._told = told
            box.update(told)
        model = self.app.state.model.found
        key = (model.id, model.spec) if model is not None else ("", None)
        if key != self._for:
            self._for = key
            self._look_up(*key)

    @work(thread=True, exclusive=True, group="others", exit_on_error=False)
    def _look_up(self, name: str, spec: ModelSpec | None) -> None:
        from loratui.tui.machine.others import find_others

        self.app.call_from_thread(self._take, name, find_others(spec))

    def _take(self, name: str, others: list[Other]) -> None:
        self._others = others
        title = f"{one_line(PurePath(name).name, 40)} on other cards" if name else "other cards"
        self.query_one("#others").border_title = Content(title)
        self._draw_others()

    def _draw_others(self) -> None:
        box = self.query_one("#others", Static)
        room = box.content_size
        if room.width and self._others:
            from loratui.tui.machine.others import other_lines

            box.update(other_lines(self._others, room.width, room.height))
