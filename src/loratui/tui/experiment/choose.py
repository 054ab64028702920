"""Opening an experiment: the only one at once, else one of a list."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from loratui.format import age, one_line
from loratui.tui.common.filter_list import FilterList, Item, columns
from loratui.tui.experiment.screen import ExperimentScreen
from loratui.tui.experiment.work import Listed, listed

if TYPE_CHECKING:
    from loratui.tui.app import LoratuiApp


async def open_one(app: LoratuiApp) -> bool:
    """Show an experiment; which one is asked where there are several. False where there is none."""
    found = await asyncio.to_thread(listed)
    name = found[0].name if len(found) == 1 else await app.push_screen_wait(ChooseScreen(found)) if found else ""
    if name:
        app.push_screen(ExperimentScreen(name))
    return bool(found)


class ChooseScreen(ModalScreen[str]):
    """Returns the name of an experiment, or an empty text."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", key_display="esc")]

    def __init__(self, found: list[Listed]) -> None:
        super().__init__(classes="panel-over")
        self._found = {one.name: one for one in found}
        self._begun = {
            one.name: f"{age(max(0.0, time.time() - one.created))} ago" if one.created else "" for one in found
        }
        self._state_cells = max((len(one.state) for one in found), default=0)
        self._begun_cells = max(map(len, self._begun.values()), default=0)

    def compose(self) -> ComposeResult:
        with Vertical(id="panel", classes="tall-panel") as panel:
            panel.border_title = Content("Experiments")
            panel.border_subtitle = Content("enter opens one · esc closes")
            yield FilterList(self._draw, placeholder="filter: name, field …", id="experiments")

    def on_mount(self) -> None:
        chooser = self.query_one(FilterList)
        chooser.set_items([Item(name, f"{name} {one.varies}") for name, one in self._found.items()])
        chooser.focus_list()

    def _draw(self, item: Item, width: int) -> Content:
        one = self._found[item.key]
        words = Content.assemble((one_line(one.name, 60), "bold"), ("  " + one_line(one.varies, 120), "$text-muted"))
        return columns(width, words, (one.state, self._state_cells), (self._begun[one.name], self._begun_cells))

    @on(FilterList.Chosen)
    def _chosen(self, event: FilterList.Chosen) -> None:
        self.dismiss(event.key)

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss("")
