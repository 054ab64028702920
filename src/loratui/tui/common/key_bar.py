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


LAST = ("explain", "help", "app.help", "quit", "app.quit")
"""Actions that stand at the right end and are never dropped."""


FIRST = {"enter": -2, "esc": -1, "escape": -1}
"""Keys that stand at the left end, on whichever screen."""
NAMED = {"enter": "enter", "escape": "esc"}
"""Keys that are written as words, as everywhere else on the screens."""
BETWEEN = 2
"""Blanks after a key."""
MORE = "help"
"""Key of the help, which a click on the number of the keys that found no room opens."""


class KeyBar(Static):
    """`^n Next  ^p Back  …  +5 ?  F1 Help  q Quit`: each key can be clicked; of those that do not fit it tells how
    many there are, and ? lists them all, or F1 where a field takes letters.
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
        if {"quit", "app.quit"} <= set(seen):
            del seen["app.quit"]
        always = bindings.get("ctrl+q")
        if always is not None and not {"quit", "app.quit"} & set(seen):  # where letters are typed, q is one of them
            seen["quit"] = (always.binding, always.enabled)
        if {"explain", "help"} <= set(seen):  # F1 explains the field; the whole help is behind ?
            help_, enabled = seen["help"]
            seen["help"] = (replace(help_, key="question_mark", key_display="?"), enabled)
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
        bindings = self.screen.active_bindings  # gathered anew at each asking: once is enough for a painting
        for binding, enabled in self._shown(bindings):
            key = binding.key_display or NAMED.get(binding.key) or self.app.get_key_display(binding)
            text = Content.assemble(
                (key, "bold $footer-key-foreground" if enabled else "$foreground-disabled"),
                (f" {binding.description}", "$text-muted" if enabled else "$foreground-disabled"),
            )
            (right if binding.action in LAST else left).append((text, binding.key))
        room = self.content_size.width - _width(right) + BETWEEN  # no blanks follow the last of them
        dropped = 0
        lists = "?" if "question_mark" in bindings else "F1"  # ? may be a letter like any other
        while left and _width(left) + (len(_more(dropped, lists)) + BETWEEN if dropped else 0) > room:
            left.pop()
            dropped += 1
        if dropped:
            left.append((Content.assemble((_more(dropped, lists), "bold $footer-key-foreground")), MORE))
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


def _more(dropped: int, lists: str) -> str:
    return f"+{dropped} {lists}"


def _width(pieces: list[tuple[Content, str]]) -> int:
    """Columns of keys with the two blanks after each."""
    return sum(len(text) + BETWEEN for text, _ in pieces)
