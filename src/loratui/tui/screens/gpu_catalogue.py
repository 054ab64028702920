"""A list of GPUs to plan for, in a panel."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen

from loratui.format import in_gib, one_line
from loratui.tui.widgets.filter_list import FilterList, Item, columns


class GpuCatalogueScreen(ModalScreen[str]):
    """Returns the chosen GPU's name, or an empty text."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", key_display="esc")]

    def __init__(self) -> None:
        super().__init__(classes="panel-over")
        from loratui.machine.catalogue import all_gpus

        self.gpus = {gpu.name: gpu for gpu in all_gpus()}

    def compose(self) -> ComposeResult:
        with Vertical(id="panel", classes="tall-panel") as panel:
            panel.border_title = Content("Plan for another GPU")
            panel.border_subtitle = Content("enter chooses · esc closes")
            yield FilterList(self._draw, placeholder="filter: A100, 24GB, Ada …", id="gpus", empty="No such card is known.")

    def on_mount(self) -> None:
        items = [Item(name, " ".join((name, *gpu.aliases, f"{gpu.marketed_gb}GB"))) for name, gpu in self.gpus.items()]
        chooser = self.query_one(FilterList)
        chooser.set_items(items)
        chooser.focus_filter()

    def _draw(self, item: Item, width: int) -> Content:
        gpu = self.gpus[item.key]
        bf16 = gpu.bf16_tflops is not None
        return columns(
            width, Content(one_line(gpu.name)),
            (f"{in_gib(gpu.usable_mib * 2**20)} GiB", 10),
            (f"{gpu.bandwidth_gb_per_second:,.0f} GB/s", 11),
            (Content("bf16" if bf16 else "no bf16").stylize("$text-muted"), 7),
        )

    @on(FilterList.Chosen)
    def _chosen(self, event: FilterList.Chosen) -> None:
        self.dismiss(event.key)

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss("")
