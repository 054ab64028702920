"""The line of the keys that work here, below a step and below a panel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from textual import events
from textual.binding import Binding
from textual.content import Content
from textual.widgets import Static

from loratui.tui.keys import FOOTERS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.binding import ActiveBinding
    from textual.screen import Screen


HELP = ("help", "app.help")
QUIT = ("quit", "app.quit")
LAST = ("explain", *QUIT, *HELP)
"""Actions that stand at the right end and are never dropped."""
ALWAYS_QUITS = "ctrl+q"
"""It works on every step, also where letters are typed: the line names no other key for leaving."""


FIRST = {"enter": -2, "esc": -1, "escape": -1}
"""Keys that stand at the left end, on whichever screen."""
NAMED = {"enter": "enter", "escape": "esc"}
"""Keys that are written as words, as everywhere else on the screens."""
BETWEEN = 2
"""Blanks after a key."""
MORE = "help"
"""Key of the help, which a click on the number of the keys that found no room opens."""


class KeyBar(Static):
    """`^n Next  ^p Back  …  ^q Quit  ? Help`: each key can be clicked. Where some do not fit it ends in how many and
    the key that lists them all, `+5 ?`. Where a field takes letters, ? is one of them: F1 stands in its place.
    """

    def __init__(self) -> None:
        super().__init__(id="key-bar")
        self._painted: Content | None = None
        self._spans: list[tuple[int, int, str]] = []

    def on_mount(self) -> None:
        self.screen.bindings_updated_signal.subscribe(self, self._bindings_changed)

    def _bindings_changed(self, screen: Screen[object]) -> None:
        if screen is self.screen and screen.is_running and not self._is_painted(self._keys()):
            self.refresh()

    def _is_painted(self, keys: Content) -> bool:
        return self._painted is not None and keys.plain == self._painted.plain and keys.spans == self._painted.spans

    def shown(self) -> list[tuple[Binding, bool]]:
        """The bindings to show, each action once, with whether it can be used now."""
        return self._shown(self.screen.active_bindings)

    def _shown(self, bindings: Mapping[str, ActiveBinding]) -> list[tuple[Binding, bool]]:
        seen: dict[str, tuple[Binding, bool]] = {}
        for active in bindings.values():
            if active.binding.show and active.binding.description and active.binding.action not in seen:
                seen[active.binding.action] = (active.binding, active.enabled)
        always = bindings.get(ALWAYS_QUITS)
        if always is not None:
            for action in QUIT:
                seen.pop(action, None)
            seen["quit"] = (always.binding, always.enabled)
        for action in HELP:
            if action in seen and "question_mark" in bindings:
                help_, enabled = seen[action]
                seen[action] = (replace(help_, key="question_mark", key_display="?"), enabled)
        return sorted(seen.values(), key=lambda one: place_of(one[0], self.screen.name or ""))

    async def on_click(self, event: events.Click) -> None:
        """Press the key that was clicked."""
        column = event.x - self.styles.padding.left
        for start, end, key in self._spans:
            if start <= column < end:
                if key == MORE:
                    await self.app.run_action("app.help")
                else:
                    self.app.simulate_key(key)

    def render(self) -> Content:
        self._painted = self._keys()
        return self._painted

    def _keys(self) -> Content:
        left: list[tuple[Content, str]] = []
        right: list[tuple[Content, str]] = []
        help_: list[tuple[Content, str]] = []
        bindings = self.screen.active_bindings  # gathered anew at each asking: once is enough for a painting
        for binding, enabled in self._shown(bindings):
            key = binding.key_display or NAMED.get(binding.key) or self.app.get_key_display(binding)
            text = Content.assemble(
                (key, "bold $footer-key-foreground" if enabled else "$foreground-disabled"),
                (f" {binding.description}", "$text-muted" if enabled else "$foreground-disabled"),
            )
            side = help_ if binding.action in HELP else right if binding.action in LAST else left
            side.append((text, binding.key))
        lists = "?" if "question_mark" in bindings else "F1"  # ? may be a letter like any other
        dropped = 0
        while left and _width(left) + _width(right) + _width(help_) - BETWEEN > self.content_size.width:
            left.pop()
            dropped += 1
            more = Content.assemble((f"+{dropped} {lists}", "bold $footer-key-foreground"))
            help_ = [(more, MORE)]
        right += help_
        return self._laid(left, right)

    def _laid(self, left: list[tuple[Content, str]], right: list[tuple[Content, str]]) -> Content:
        """The keys at both ends of the line; where each stands is kept for the mouse."""
        self._spans = []
        between = max(BETWEEN, self.content_size.width - _width(left) - _width(right) + 2 * BETWEEN)
        pieces: list[Content | str] = []
        column = 0
        for number, (text, key) in enumerate([*left, *right]):
            if number:
                gap = between if number == len(left) else BETWEEN
                pieces.append(" " * gap)
                column += gap
            self._spans.append((column, column + len(text), key))
            pieces.append(text)
            column += len(text)
        return Content.assemble(*pieces)


def place_of(binding: Binding, screen: str) -> tuple[int, int]:
    """Where a key stands on this screen: enter and esc in front, then what is needed, those that are never dropped at
    the end, the rest as they come.
    """
    needed = FOOTERS.get(screen, ())
    if binding.action in LAST:
        return 2, LAST.index(binding.action)
    first = FIRST.get(binding.key_display or binding.key)
    if first is not None:
        return 0, first
    return 1, needed.index(binding.action) if binding.action in needed else len(needed)


def _width(pieces: list[tuple[Content, str]]) -> int:
    """Columns of keys with the two blanks after each."""
    return sum(len(text) + BETWEEN for text, _ in pieces)
