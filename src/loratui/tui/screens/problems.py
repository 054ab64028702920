"""What is wrong with the rows of a dataset, by line, in a panel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from loratui.tui.text import one_line

if TYPE_CHECKING:
    from loratui.tui.loading import DatasetView

MOST = 300
"""Problems that are listed."""


class ProblemsScreen(ModalScreen[None]):
    """The problems that the check found; before it, those of the first rows."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,e,q", "dismiss", "Close", key_display="esc")]

    def __init__(self, view: DatasetView | None, check: dict[str, Any] | None) -> None:
        super().__init__(classes="panel-over")
        self.checked = check is not None
        self.rows: list[tuple[str, str, str]] = []
        for one in (check or {}).get("problems", []):
            place = f"line {one['line']:,}" if one.get("line") is not None else f"row {one['index'] + 1:,}" if one.get("index") is not None else "file"
            self.rows.append((place, str(one.get("kind", "")), str(one.get("message", ""))))
        if check is None and view is not None:
            for row in view.preview.rows:
                if row.problem is not None:
                    place = f"line {row.line:,}" if row.line is not None else f"row {row.index + 1:,}"
                    self.rows.append((place, row.problem.kind, row.problem.message))

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="panel") as panel:
            panel.border_title = Content(f"{len(self.rows):,} problem{'s' if len(self.rows) != 1 else ''}")
            panel.border_subtitle = Content("esc closes")
            yield Static(self._text())

    def on_mount(self) -> None:
        self.query_one("#panel").focus()

    def _text(self) -> Content:
        if not self.rows:
            words = "Nothing is wrong with the rows." if self.checked else "Nothing is wrong with the first rows. The whole dataset is checked once its model is here."
            return Content(f"✓ {words}").stylize("$success")
        lines = []
        for place, kind, message in self.rows[:MOST]:
            lines.append(Content.assemble((f"{place:>12}  ", "bold"), (f"{one_line(kind, 30)}  ", "$warning"), one_line(message, 400)))
        if len(self.rows) > MOST:
            lines.append(Content(f"and {len(self.rows) - MOST:,} more: `loratui inspect --json` lists them all.").stylize("$text-muted"))
        return Content("\n").join(lines)
