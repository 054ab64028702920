"""Finding a field by its name, among all that mean something for this method and machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from loratui.core.plan_text import fields
from loratui.format import one_line
from loratui.tui.common.filter_list import FilterList, Item, columns
from loratui.tui.frame.step import StepScreen
from loratui.tui.recipe.rows import keys_of
from loratui.tui.wizard.change import title
from loratui.tui.wizard.settings import value_and_unit

if TYPE_CHECKING:
    from loratui.core.proposal import Proposal

VALUE_CELLS = 20


class FindFieldScreen(ModalScreen[str]):
    """Returns the plan key that was chosen, or an empty text. here: the key that the cursor is on at first."""

    CSS_PATH = "panels.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", key_display="esc")]

    def __init__(self, proposal: Proposal, here: str) -> None:
        super().__init__(classes="panel-over")
        self._proposal, self._here = proposal, here

    def compose(self) -> ComposeResult:
        with Vertical(id="panel", classes="tall-panel") as panel:
            panel.border_title = Content("Find a field")
            panel.border_subtitle = Content("enter goes there · type to filter · esc closes")
            yield FilterList(self._draw, placeholder="a name, or a key: rate, warm-up, lora.r …", id="find-field")
            yield Static(id="found-field")

    def on_mount(self) -> None:
        groups = keys_of(self._proposal, True)
        items = [Item(key, f"{title(key)} {key}", group) for group, keys in groups for key in keys]
        chooser = self.query_one(FilterList)
        chooser.set_items(items, highlight=self._here)
        chooser.focus_filter()

    def _draw(self, item: Item, width: int) -> Content:
        value = one_line(" ".join(value_and_unit(item.key, self._proposal.plan.get(item.key))).strip(), VALUE_CELLS)
        return columns(width, title(item.key), (Content(value).stylize("$text-muted"), VALUE_CELLS))

    @on(FilterList.Highlighted)
    def _moved(self, event: FilterList.Highlighted) -> None:
        about = f"{event.key}: {fields()[event.key].description}" if event.key else ""
        self.query_one("#found-field", Static).update(Content(one_line(about, 300)).stylize("$text-muted"))

    @on(FilterList.Chosen)
    def _chosen(self, event: FilterList.Chosen) -> None:
        self.dismiss(event.key)

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss("")


class FindingScreen(StepScreen):
    """What a screen with fields does to have one of them found."""

    def key_here(self) -> str:
        """The plan key under the cursor; empty where there is none."""
        raise NotImplementedError

    def go_to_field(self, key: str) -> None:
        """Put the cursor on a field."""
        raise NotImplementedError

    @work
    async def action_find(self) -> None:
        """Ask for a field by its name, and go there."""
        proposal = self.app.state.plan.proposal
        if proposal is None:
            self.say("There is no plan yet: model and machine are still being looked up.")
            return
        key = await self.app.push_screen_wait(FindFieldScreen(proposal, self.key_here()))
        if key:
            self.go_to_field(key)
