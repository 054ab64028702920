"""Map a dataset's columns by pointing at them: a key gives the column under the cursor its part, the first row shows
what comes of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option

from loratui.format import one_line

KEYS = {
    "p": "prompt",
    "a": "completion",
    "s": "system",
    "m": "messages",
    "t": "text",
    "g": "chosen",
    "b": "rejected",
    "f": "tools",
}
"""The key that gives the column under the cursor a part."""
JOINED = ("prompt", "completion", "system", "text")
"""Parts that several columns can be joined for."""
SHOWN_MESSAGES = 4
NAME, MARK, KIND = 24, 13, 8
"""Cells of a line's parts: the column, its part, what it holds."""


class MappingScreen(ModalScreen[dict[str, Any] | None]):
    """Returns plan keys (dataset.format, dataset.columns), or None.

    values: the first rows as they stand in the file. columns: part → column now.
    """

    CSS_PATH = "panels.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close", key_display="esc"),
        *(Binding(key, f"give('{part}')", part, show=False) for key, part in KEYS.items()),
        Binding("backspace,delete", "take_away", "Take away", show=False),
    ]

    def __init__(self, values: Sequence[Mapping[str, Any]], columns: Mapping[str, str]) -> None:
        super().__init__(classes="panel-over")
        self.values = list(values)
        self.columns = dict(columns)

    def compose(self) -> ComposeResult:
        with Vertical(id="panel", classes="tall-panel") as panel:
            panel.border_title = Content("Which column is what")
            panel.border_subtitle = Content("enter takes it · tab writes it · esc closes")
            yield OptionList(markup=False, id="columns")
            field = Input(id="mapping", select_on_focus=False)
            field.border_title = Content("{a}\\n{b} joins columns, =words is the same in every row")
            field.cursor_blink = False
            yield field
            yield Static(id="mapped")
            yield Static(id="mapping-keys")

    def _legend(self, width: int) -> Content:
        """The keys in lines of so many cells; a key stays with its word."""
        lines, room = [Content("")], width
        for key, part in (*KEYS.items(), ("⌫", "none")):
            item = Content.assemble((key, "bold $footer-key-foreground"), f" {_said(part)}")
            if item.cell_length > room:
                lines, room = [*lines, Content("")], width
            lines[-1] = Content.assemble(lines[-1], item, "  ")
            room -= item.cell_length + 2
        return Content("\n").join(lines)

    def on_mount(self) -> None:
        from loratui.data.recognise_survey import nested, survey

        top, below = survey(self.values), nested(self.values)
        found = {**top, **below}
        self.paths = [path for name in top for path in (name, *(one for one in below if one.startswith(f"{name}.")))]
        self.kinds = {name: column.kind for name, column in found.items()}
        options = self.query_one("#columns", OptionList)
        options.add_options([Option(self._line(path), id=str(number)) for number, path in enumerate(self.paths)])
        options.highlighted = 0
        options.focus()
        self._written()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show)

    def _line(self, path: str) -> Content:
        from loratui.data.cells import paths

        parts = [part for part, setting in self.columns.items() if path in paths(setting)]
        value = self._value(path)
        mark = f"← {', '.join(map(_said, parts))}" if parts else ""
        room = max(10, self.query_one("#columns", OptionList).size.width - NAME - MARK - KIND - 7)
        return Content.assemble(
            (f"{one_line(path, NAME):<{NAME}.{NAME}} ", "bold" if parts else ""),
            (f"{mark:<{MARK}.{MARK}} ", "$accent"),
            (f"{self.kinds[path]:<{KIND}.{KIND}} ", "$text-muted"),
            (one_line(value if isinstance(value, str) else json.dumps(value, default=str), room), "$text-muted"),
        )

    def _value(self, path: str) -> Any:
        """What the first row that has it holds there."""
        from loratui.data.cells import MISSING, cell_at, every, unfold
        from loratui.data.row import RowError

        for value in self.values:
            for one in unfold(value, every({"": path})):
                try:
                    cell = cell_at(one, path)
                except RowError:
                    continue
                if cell is not MISSING and cell not in (None, ""):
                    return cell
        return ""

    @property
    def highlighted(self) -> str:
        """The column under the cursor; empty where there is none."""
        place = self.query_one("#columns", OptionList).highlighted
        return self.paths[place] if place is not None else ""

    def action_give(self, part: str) -> None:
        """Give the column under the cursor this part; a second column is joined to the first."""
        path, now = self.highlighted, self.columns.get(part, "")
        if not path:
            return
        if now and part in JOINED and now != path:
            from loratui.data.cells import paths, template

            if path in paths(now):
                return
            joined = now if template(now) else f"{{{now}}}"
            self.columns[part] = f"{joined}\n\n{{{path}}}"
        else:
            self.columns[part] = path
        self._written()

    def action_take_away(self) -> None:
        """Take every part away from the column under the cursor."""
        from loratui.data.cells import paths

        for part, setting in list(self.columns.items()):
            if self.highlighted in paths(setting):
                rest = [path for path in paths(setting) if path != self.highlighted]
                if rest:
                    self.columns[part] = rest[0] if len(rest) == 1 else "\n\n".join(f"{{{path}}}" for path in rest)
                else:
                    del self.columns[part]
        self._written()

    def _written(self) -> None:
        """The mapping has changed by a key: write it into the field, and show what it does."""
        from loratui.core.columns import write_columns

        with self.prevent(Input.Changed):
            self.query_one("#mapping", Input).value = write_columns(self.columns) if self.columns else ""
        self._show()

    def _show(self) -> None:
        options = self.query_one("#columns", OptionList)
        for number, path in enumerate(self.paths):
            options.replace_option_prompt_at_index(number, self._line(path))
        self.query_one("#mapped", Static).update(self._mapped())
        keys = self.query_one("#mapping-keys", Static)
        keys.update(self._legend(keys.content_size.width or NAME + MARK + KIND))

    def _mapped(self) -> Content:
        """The first row as it would be trained, or why it could not be."""
        from loratui.core.errors import LoratuiError
        from loratui.data.convert import to_conversation
        from loratui.data.row import RowError

        if not self.columns:
            return Content("Point at a column and press its part's key.").stylize("$text-muted")
        if set(self.columns) <= {"prompt", "system"}:
            return Content("Now point at the answer and press a.").stylize("$text-muted")
        try:
            first, reading = self._first()
            conversation = to_conversation(first, reading)
        except LoratuiError as error:
            return Content(f"✗ {one_line(error.message, 200)}").stylize("$error")
        except RowError as error:
            return Content(f"✗ the first row: {one_line(error.message, 200)}").stylize("$error")
        lines = [
            Content.assemble(
                (f"{message.role:<9} ", "$accent" if message.trained else "$text-muted"),
                ("▌ " if message.trained else "│ ", "$accent" if message.trained else "$foreground-disabled"),
                one_line(message.content, 200),
            )
            for message in conversation.messages[:SHOWN_MESSAGES]
        ] or [Content.assemble(("text      ▌ ", "$accent"), one_line(conversation.text, 200))]
        used = f"{reading.used:,} of the first {reading.tried:,} rows can be used"
        unread = [_said(part) for part in self.columns if part not in reading.columns]
        beside = f"{', '.join(unread)} is not read beside {', '.join(map(_said, reading.columns))}: ⌫ takes a part away"
        told = [beside] * bool(unread) + list(reading.doubts)
        doubts = [Content(f"▲ {one_line(doubt, 200)}").stylize("$warning") for doubt in told[:1]]
        return Content("\n").join([*lines, Content(used).stylize("$text-muted"), *doubts])

    def _first(self) -> tuple[Mapping[str, Any], Any]:
        """The first example and the reading of this mapping. DatasetError where it is none."""
        from loratui.data.cells import unfold
        from loratui.data.recognise import recognise
        from loratui.data.row import Row

        rows = [Row(number, None, value) for number, value in enumerate(self.values)]
        reading = recognise(rows, "auto", self.columns)
        return next(iter(unfold(self.values[0], reading.unfold))), reading

    @on(Input.Changed, "#mapping")
    def _typed(self, event: Input.Changed) -> None:
        from loratui.core.errors import LoratuiError
        from loratui.core.plan_text import parse_setting

        try:
            self.columns = dict(parse_setting(f"dataset.columns={event.value}", where="")[1])
        except LoratuiError as error:
            self.query_one("#mapped", Static).update(Content(f"✗ {one_line(error.sentence)}").stylize("$error"))
            return
        self._show()

    @on(Input.Submitted, "#mapping")
    @on(OptionList.OptionSelected, "#columns")
    def _taken(self) -> None:
        from loratui.core.errors import LoratuiError

        try:
            self._first()
        except LoratuiError as error:
            self.query_one("#mapped", Static).update(Content(f"✗ {one_line(error.sentence, 300)}").stylize("$error"))
            return
        self.dismiss({"dataset.format": "auto", "dataset.columns": dict(self.columns)})

    def action_leave(self) -> None:
        """Close without a change."""
        self.dismiss(None)


def _said(part: str) -> str:
    """A part as people call it."""
    return "answer" if part == "completion" else part
