"""How a dataset's columns are read, in a panel: another reading, or a mapping by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from loratui.format import one_line

if TYPE_CHECKING:
    from loratui.data.recognise import Recognition


class ColumnsScreen(ModalScreen[dict[str, Any] | None]):
    """Returns plan keys (dataset.format, dataset.columns), or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", key_display="esc")]

    def __init__(self, recognition: Recognition) -> None:
        super().__init__(classes="panel-over")
        self.readings = [recognition, *recognition.others]

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content("How the columns are read")
            panel.border_subtitle = Content("enter chooses · tab to map by hand · esc closes")
            yield OptionList(
                *(Option(self._line(number), id=str(number)) for number in range(len(self.readings))),
                markup=False,
                id="readings",
            )
            yield Static(
                Content(
                    "By hand: part:column, separated by commas. Parts are prompt, completion, instruction, input, "
                    "output, system, history, messages, text, tools, chosen, rejected."
                ).stylize("$text-muted")
            )
            field = Input(self.readings[0].setting, id="mapping", select_on_focus=False)
            field.cursor_blink = False
            yield field
            yield Static(id="mapping-error")

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()

    def _line(self, number: int) -> Content:
        reading = self.readings[number]
        mapping = ", ".join(f"{part} ← {one_line(column, 40)}" for part, column in reading.columns.items())
        return Content.assemble(
            ("● " if number == 0 else "○ ", "$accent" if number == 0 else "$text-muted"),
            (reading.format, "bold"),
            f"  {mapping}\n  ",
            (one_line(reading.why, 160), "$text-muted"),
        )

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        reading = self.readings[int(event.option.id or 0)]
        self.dismiss({"dataset.format": reading.format, "dataset.columns": dict(reading.columns)})

    @on(Input.Submitted)
    def _mapped(self, event: Input.Submitted) -> None:
        from loratui.core.errors import LoratuiError
        from loratui.core.plan_text import parse_setting

        try:
            key, columns = parse_setting(f"dataset.columns={event.value}", where="")
        except LoratuiError as error:
            self.query_one("#mapping-error", Static).update(Content(f"✗ {one_line(error.sentence)}").stylize("$error"))
            return
        self.dismiss({"dataset.format": "auto", key: columns})

    def action_leave(self) -> None:
        """Close without a change."""
        self.dismiss(None)
