"""Choosing who answers: the base, the result, any checkpoint and other runs' results, up to three side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loratui.format import harmless

MOST = 3
"""Answers that fit beside each other."""


class ColumnsScreen(ModalScreen[list[str] | None]):
    """Returns the chosen sides in order, or None where they were left as they were. refused: others that cannot answer
    here, each with the reason.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "pick", "Choose", priority=True),
        Binding("enter", "take", "Take them", priority=True),
        Binding("escape", "leave", "Leave as they were", key_display="esc"),
    ]
    DEFAULT_CSS = """
    ColumnsScreen #panel { width: 56; max-height: 80%; }
    ColumnsScreen OptionList { height: auto; max-height: 14; }
    """

    def __init__(self, names: Sequence[str], chosen: Sequence[str], refused: Mapping[str, str]) -> None:
        super().__init__(classes="panel-over")
        self._refused = refused
        self._names, self._chosen = list(names), list(chosen)

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content("who answers")
            panel.border_subtitle = Content("space chooses · enter takes them · esc leaves")
            yield OptionList(
                *(Option(self._line(name), id=name) for name in (*self._names, *self._refused)), markup=False
            )
            yield Static(id="column-note")

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        options.highlighted = len(self._names) - 1 if self._names else None
        options.focus()
        self._say("")

    def _line(self, name: str) -> Content:
        if name in self._refused:
            return Content(f"– {harmless(name)}").stylize("$text-muted")
        return Content.assemble(
            ("● " if name in self._chosen else "○ ", "$accent" if name in self._chosen else "$text-muted"),
            harmless(name),
        )

    def _say(self, words: str) -> None:
        told = words or f"{len(self._chosen)} of at most {MOST}. The base is loaded once; adapters are switched on it."
        self.query_one("#column-note", Static).update(Content(told).stylize("$warning" if words else "$text-muted"))

    def action_pick(self) -> None:
        """Choose the side, or leave it out."""
        options = self.query_one(OptionList)
        if options.highlighted is None:
            return
        name = str(options.get_option_at_index(options.highlighted).id)
        if name in self._refused:
            self._say(self._refused[name])
            return
        if name in self._chosen:
            self._chosen.remove(name)
        elif len(self._chosen) == MOST:
            self._say(f"At most {MOST} answer side by side: leave one out first.")
            return
        else:
            self._chosen.append(name)
        options.replace_option_prompt(name, self._line(name))
        self._say("")

    @on(OptionList.OptionSelected)
    def _clicked(self, event: OptionList.OptionSelected) -> None:
        self.action_pick()

    def action_take(self) -> None:
        """Close with the choice."""
        if not self._chosen:
            self._say("Choose at least one.")
            return
        self.dismiss([name for name in self._names if name in self._chosen])

    def action_leave(self) -> None:
        """Close; nothing changes."""
        self.dismiss(None)
