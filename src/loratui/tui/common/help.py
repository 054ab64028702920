"""F1: what a screen is for, and every key that works on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.dom import DOMNode
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, Static, TextArea

from loratui.tui.common.key_bar import NAMED
from loratui.tui.common.scroll_panel import ScrollPanel
from loratui.tui.common.terms import Terms
from loratui.tui.common.text import wrap
from loratui.tui.wizard.words import words_of

if TYPE_CHECKING:
    from collections.abc import Sequence


STEP_KEYS = "1 … 7"
STEP_WORDS = "Go to a step; where letters are typed alt+1 …, or F2 to F8: steps 1 to 7"
EDITING = ("^u", "Empty the field; ← → home end and the rest edit as in every text field", 3)
"""What stands for the many keys of a text field, which nobody looks up here."""
GROUPS = ("On this screen", "From step to step", "Everywhere", "Inside a field or a list")
"""In the order in which they are told."""


OWN_WORDS = {
    "app.focus_next": "Next field or list",
    "app.focus_previous": "The field or list before",
    "scroll_up": "A line up",
    "scroll_down": "A line down",
    "page_up": "A page up",
    "page_down": "A page down",
    "scroll_home": "To the beginning",
    "scroll_end": "To the end",
    "cursor_up": "The line above",
    "cursor_down": "The line below",
    "first": "The first line",
    "last": "The last line",
    "select": "Take the line under the cursor",
}
"""What Textual's own actions do; it names them for programmers."""


class Keys(Static):
    """Keys with what they do, by group; what goes on below a line stands under its words. keys: as of `keys_of`."""

    def __init__(self, keys: Sequence[tuple[str, str, int]]) -> None:
        self._keys = tuple(keys)
        super().__init__(self._lines(0), id="keys")

    def on_resize(self) -> None:
        """Wrapped to the width."""
        self.update(self._lines(self.content_size.width))

    def _lines(self, width: int) -> Content:
        widest = max((len(key) for key, _, _ in self._keys), default=0)
        lines: list[Content] = []
        for place, group in enumerate(GROUPS):
            rows = [(key, words) for key, words, rank in self._keys if rank == place]
            if rows:
                lines += [*([Content("")] if lines else []), Content(group.upper()).stylize("$text-muted")]
            for key, words in rows:
                first, *rest = wrap(words, max(8, width - widest - 2)) if width else [words]
                lines.append(
                    Content.assemble((f"{key:>{widest}}", "bold $footer-key-foreground"), "  ", (first, "$foreground"))
                )
                lines += [Content.assemble(" " * (widest + 2), (line, "$foreground")) for line in rest]
        return Content("\n").join(lines)


class HelpScreen(ModalScreen[None]):
    """A panel over the screen that it explains."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,f1,question_mark,q", "dismiss", "Close", key_display="esc"),
    ]

    def __init__(self, of: Screen[Any]) -> None:
        super().__init__(classes="panel-over")
        titles = [str(panel.border_title) for panel in of.query("#panel") if panel.border_title]
        self.heading = str(getattr(of, "HEADING", "") or of.name or next(iter(titles), "loratui"))
        self.text = str(getattr(of, "HELP_TEXT", "") or "")
        self.frame_text = str(getattr(of, "more_help", "") or "")
        self.words = words_of(str(of.name))
        self.keys = keys_of(of)

    def compose(self) -> ComposeResult:
        with ScrollPanel() as panel:
            panel.border_title = Content(f"{self.heading}: help")
            panel.border_subtitle = Content("↑ ↓ pgdn scroll · esc closes")
            if self.text:
                yield Static(Content(self.text), classes="paragraph")
            if self.words:
                yield Terms(self.words, classes="paragraph")
            yield Keys(self.keys)
            if self.frame_text:
                yield Static(Content(f"\n{self.frame_text}"), id="frame-text")

    def on_mount(self) -> None:
        self.query_one("#panel").focus()


def keys_of(screen: Screen[Any]) -> list[tuple[str, str, int]]:
    """Every key that works on a screen now, with what it does and the group it belongs to (`GROUPS`): the screen's own
    first, what Textual's fields and lists do by themselves last; how a text is edited takes one line.
    """
    actions: dict[str, tuple[list[str], str, int]] = {}
    typing = False
    for active in screen.active_bindings.values():
        binding = active.binding
        words = binding.tooltip or binding.description
        if not words or binding.system or binding.key.startswith("super+"):  # few terminals send it
            continue
        action, rank = binding.action, 0
        if action.startswith("open_step("):
            action, words, rank = "open_step", STEP_WORDS, 1
        elif action in ("next", "back", "leave_step"):
            rank = 1
        elif active.node is screen.app or action.startswith(("app.", "screen.")):
            rank, words = 2, OWN_WORDS.get(action, words)
        elif _declares(active.node, action).startswith("textual."):
            rank = 3
            words = OWN_WORDS.get(action, words)
            if isinstance(active.node, (Input, TextArea)) and action != "submit":
                typing = True
                continue
        keys, _, _ = actions.setdefault(action, ([], words, rank))
        keys.append(NAMED.get(binding.key) or screen.app.get_key_display(Binding(binding.key, binding.action)))
    rows = sorted(actions.items(), key=lambda item: item[1][2])
    told = [
        (STEP_KEYS if action == "open_step" else " ".join(dict.fromkeys(keys)), words, rank)
        for action, (keys, words, rank) in rows
    ]
    return [*told, EDITING] if typing else told


def _declares(node: DOMNode, action: str) -> str:
    """The module of the class that brought an action's key: a list of ours has most of its keys from Textual's."""
    for one in type(node).__mro__:
        if any(isinstance(key, Binding) and key.action == action for key in one.__dict__.get("BINDINGS", ())):
            return one.__module__
    return type(node).__module__
