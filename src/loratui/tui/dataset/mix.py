"""The panel in which several datasets become one: parts are added, weighed and taken away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loratui.core.errors import LoratuiError
from loratui.format import one_line
from loratui.paths import home_short, is_there
from loratui.tui.common.dialogs import AskLineScreen

ADD = "add"
EXPLANATION = (
    "Weight: how often an epoch draws each row (2: twice, 0.5: a fixed half). Written behind the path, a cap too: "
    "rows.jsonl=0.5#1000."
)


class MixScreen(ModalScreen[None]):
    """Each change is made at once; where it cannot be, the panel says why and nothing has changed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Close", key_display="esc"),
        Binding("o", "browse", "Open", tooltip="Add a file or folder from a browser"),
        Binding("x,delete", "remove", "Take away", tooltip="Take the part under the cursor away"),
    ]
    DEFAULT_CSS = """
    MixScreen #panel { max-width: 76; }
    MixScreen #said { color: $error; height: auto; }
    MixScreen #explained { color: $text-muted; height: auto; margin: 1 0 0 0; }
    """

    def __init__(
        self, parts: Sequence[Mapping[str, Any]], choose: Callable[[Sequence[Mapping[str, Any]]], Sequence[Any]]
    ) -> None:
        """choose: takes the parts, and returns them complete; LoratuiError where they cannot be one dataset."""
        super().__init__(classes="panel-over")
        self.parts = [dict(part) for part in parts]
        self._choose = choose

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content("The datasets that are trained on as one")
            panel.border_subtitle = Content("enter weighs or adds · o opens · x takes away · esc closes")
            yield OptionList(markup=False, id="parts")
            yield Static(id="said")
            yield Static(Content(EXPLANATION), id="explained")

    def on_mount(self) -> None:
        self._show()
        self.query_one(OptionList).focus()

    def _show(self, at: int = 0) -> None:
        listed = self.query_one(OptionList)
        listed.clear_options()
        listed.add_options([Option(self._line(part), id=str(number)) for number, part in enumerate(self.parts)])
        listed.add_option(Option(Content.assemble(("+ ", "$accent"), ("another dataset", "bold")), id=ADD))
        listed.highlighted = min(at, len(self.parts))

    @staticmethod
    def _line(part: Mapping[str, Any]) -> Content:
        cap = part.get("cap", "none")
        most = "" if cap == "none" else f", at most {cap:,} rows"
        path = str(part["path"])
        return Content.assemble(
            (one_line(part.get("name") or path, 30), "bold"),
            f"  weight {part.get('weight', 1.0):g}{most}  ",
            (one_line(home_short(path), 60), "$text-muted"),
        )

    @property
    def _highlighted(self) -> int:
        return self.query_one(OptionList).highlighted or 0

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        if event.option.id == ADD:
            self._add()
        else:
            self._weigh(int(event.option.id or 0))

    @work
    async def _add(self) -> None:
        words = await self.app.push_screen_wait(AskLineScreen("Another dataset", "a file, a folder, or a hub id"))
        if words:
            self._added(words)

    def _added(self, words: str) -> None:
        from loratui.core.parts_text import part_from_words

        try:
            part = {"path": words} if is_there(words) else part_from_words(words, where="")
        except LoratuiError as error:
            self._say(error.sentence)
            return
        self._take([*self.parts, part], len(self.parts))

    @work
    async def _weigh(self, number: int) -> None:
        part = self.parts[number]
        cap = part.get("cap", "none")
        now = f"{part.get('weight', 1.0):g}" + ("" if cap == "none" else f"#{cap}")
        title = f"Weight of {one_line(part.get('name') or part['path'], 30)}"
        words = await self.app.push_screen_wait(AskLineScreen(title, "0.5, 2, or with a cap 1#1000", now))
        if not words or words == now:
            return
        from loratui.core.parts_text import part_from_words

        try:
            told = part_from_words(f"part={words}", where="")
        except LoratuiError as error:
            self._say(error.sentence)
            return
        if told["path"] != "part":
            self._say(f"{words!r} is no weight. Write a number, e.g. 0.5, or 0.5#1000 with a cap.")
            return
        weighed = {**part, "weight": told.get("weight", 1.0), "cap": told.get("cap", "none")}
        self._take([*self.parts[:number], weighed, *self.parts[number + 1 :]], number)

    @work
    async def action_browse(self) -> None:
        """Add a file or folder from a browser."""
        from loratui.data.open_file import data_kind
        from loratui.tui.common.file_browser import BrowserScreen

        path = await self.app.push_screen_wait(
            BrowserScreen(
                "Another dataset",
                Path.cwd(),
                lambda path: bool(data_kind(path)),
                folders="use this folder: all its data files",
            )
        )
        if path:
            self._take([*self.parts, {"path": home_short(path) if "~" not in path else path}], len(self.parts))

    def action_remove(self) -> None:
        """Take the part under the cursor away; the last one stays."""
        number = self._highlighted
        if number >= len(self.parts):
            return
        if len(self.parts) == 1:
            self._say("This is the only dataset: choose another one on the screen behind.")
            return
        self._take([part for at, part in enumerate(self.parts) if at != number], max(0, number - 1))

    def _take(self, parts: Sequence[Mapping[str, Any]], at: int) -> None:
        try:
            self.parts = [dict(part) for part in self._choose(parts)]
        except LoratuiError as error:
            self._say(error.sentence)
            return
        self._say("")
        self._show(at)

    def _say(self, sentence: str) -> None:
        self.query_one("#said", Static).update(Content(one_line(sentence, 400)))

    def action_leave(self) -> None:
        """Close; what was changed stays."""
        self.dismiss()
