"""The drafts that were kept aside, to choose one from."""

from __future__ import annotations

import time
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from loratui.tui.common.filter_list import FilterList, Item, columns
from loratui.tui.home.lines import AGE_CELLS, age_words
from loratui.tui.wizard.draft_file import OtherDraft


class KeptScreen(ModalScreen[OtherDraft | None]):
    """Returns the draft to go on with, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", key_display="esc")]

    def __init__(self, others: list[OtherDraft]) -> None:
        super().__init__(classes="panel-over")
        self._others = {str(one.path): one for one in others}

    def compose(self) -> ComposeResult:
        with Vertical(id="panel", classes="tall-panel") as panel:
            panel.border_title = Content("Drafts that were kept aside")
            panel.border_subtitle = Content("enter goes on with one; the present one is kept · esc closes")
            yield FilterList(self._draw, placeholder="filter: model, dataset …", id="kept", empty="There is none.")

    def on_mount(self) -> None:
        chooser = self.query_one(FilterList)
        chooser.set_items([Item(key, one.words) for key, one in self._others.items()])
        chooser.focus_list()

    def _draw(self, item: Item, width: int) -> Content:
        one = self._others[item.key]
        return columns(
            width,
            Content(one.words),
            (f"at {one.draft.step}", 13),
            (age_words(max(0.0, time.time() - one.changed)), AGE_CELLS),
        )

    @on(FilterList.Chosen)
    def _chosen(self, event: FilterList.Chosen) -> None:
        self.dismiss(self._others[event.key])

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss(None)
