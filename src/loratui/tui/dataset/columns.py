"""How a dataset's columns are read, in a panel: another reading, or the way to a mapping by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from loratui.format import one_line

if TYPE_CHECKING:
    from loratui.data.recognition import Recognition

BY_HAND = "by-hand"
"""What the panel returns where the person wants to point at the columns."""


class ColumnsScreen(ModalScreen[dict[str, Any] | str | None]):
    """Returns plan keys (dataset.format, dataset.columns), BY_HAND, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", key_display="esc")]

    def __init__(self, recognition: Recognition) -> None:
        super().__init__(classes="panel-over")
        self.readings = [recognition, *recognition.others]

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content("How the columns are read")
            panel.border_subtitle = Content("enter chooses · esc closes")
            yield OptionList(
                *(Option(self._line(number), id=str(number)) for number in range(len(self.readings))),
                Option(
                    Content.assemble(
                        ("○ ", "$text-muted"),
                        ("by hand", "bold"),
                        ("\n  point at the columns, join several, reach into objects, write constants", "$text-muted"),
                    ),
                    id=BY_HAND,
                ),
                markup=False,
                id="readings",
            )

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()

    def _line(self, number: int) -> Content:
        reading = self.readings[number]
        mapping = ", ".join(f"{part} ← {one_line(column, 40)}" for part, column in reading.columns.items())
        used = f" · {reading.used:,} of the first {reading.tried:,} rows" if reading.tried else ""
        lines = Content.assemble(
            ("● " if number == 0 else "○ ", "$accent" if number == 0 else "$text-muted"),
            (reading.format, "bold"),
            f"  {mapping}\n  ",
            (one_line(reading.why, 160) + used, "$text-muted"),
        )
        doubts = [Content.assemble("\n  ", (f"▲ {one_line(doubt, 160)}", "$warning")) for doubt in reading.doubts]
        return Content.assemble(lines, *doubts)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        if event.option.id == BY_HAND:
            self.dismiss(BY_HAND)
            return
        reading = self.readings[int(event.option.id or 0)]
        self.dismiss({"dataset.format": reading.format, "dataset.columns": dict(reading.columns)})

    def action_leave(self) -> None:
        """Close without a change."""
        self.dismiss(None)
