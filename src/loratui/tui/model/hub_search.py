"""Models of the hub that match some words, in a panel: size, licence, gate, and whether training them fits."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, OptionList, Static
from textual.widgets.option_list import Option
from textual.worker import get_current_worker

from loratui.format import count, one_line
from loratui.tui.common.filter_list import MOVES, columns

if TYPE_CHECKING:
    from textual import events

    from loratui.models.hub import HubModel
    from loratui.tui.app import LoratuiApp

NARROW = 76
"""Columns under which downloads are left out."""
PAUSE_SECONDS = 0.4
"""How long the cursor must rest on a model before its config is asked for."""


class HubSearchScreen(ModalScreen[str]):
    """Words above, hits below. Returns the id that was chosen, or an empty text."""

    CSS_PATH = "hub_search.tcss"
    app: LoratuiApp

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "Close", key_display="esc")]

    def __init__(self, words: str) -> None:
        super().__init__(classes="panel-over")
        self._words = words
        self.hits: dict[str, HubModel] = {}
        self._searched = ""

    def compose(self) -> ComposeResult:
        with Vertical(id="panel", classes="tall-panel") as panel:
            panel.border_title = Content("Search the hub")
            panel.border_subtitle = Content("enter searches, then chooses · ↑↓ move · esc closes")
            field = Input(self._words, placeholder="words of a model's name, e.g. qwen3 instruct")
            field.cursor_blink = False
            yield field
            yield OptionList(markup=False, id="hits")
            yield Static(id="hub-said")

    def on_mount(self) -> None:
        self.query_one(Input).focus()
        if self._words:
            self._search(self._words)
        else:
            self._say("The hub is asked when you press enter; nothing of this machine is told to it but the words.")

    def _say(self, words: str, color: str = "$text-muted") -> None:
        self.query_one("#hub-said", Static).update(Content(one_line(words, 400)).stylize(color))

    @on(Input.Submitted)
    def _entered(self, event: Input.Submitted) -> None:
        words = event.value.strip()
        if words and words == self._searched and self._key():
            self.dismiss(self._key())
        elif words:
            self._search(words)

    def _key(self) -> str:
        hits = self.query_one("#hits", OptionList)
        return (hits.get_option_at_index(hits.highlighted).id or "") if hits.highlighted is not None else ""

    @work(thread=True, exclusive=True, group="search", exit_on_error=False)
    def _search(self, words: str) -> None:
        from loratui.core.errors import LoratuiError
        from loratui.models.hub import search_models

        self.app.call_from_thread(self._say, f"Asking the hub for {words!r} …")
        try:
            hits, problem = search_models(words), ""
        except LoratuiError as error:
            hits, problem = [], error.sentence
        if not get_current_worker().is_cancelled:
            self.app.call_from_thread(self._found, words, hits, problem)

    def _found(self, words: str, hits: list[HubModel], problem: str) -> None:
        self._searched = words
        self.hits = {hit.id: hit for hit in hits}
        options = self.query_one("#hits", OptionList)
        options.clear_options()
        if problem:
            self._say(f"✗ {problem}", "$error")
            return
        width = max(40, options.scrollable_content_region.width - 1)
        options.add_options([Option(self._line(hit, width), id=hit.id) for hit in hits])
        if hits:
            options.highlighted = 0
        else:
            self._say(f"The hub has no text-generation model for {words!r}.", "$warning")

    @staticmethod
    def _line(hit: HubModel, width: int) -> Content:
        cells: list[tuple[Content | str, int]] = [
            (count(hit.parameters) if hit.parameters else "–", 8),
            (one_line(hit.licence, 14) or "–", 14),
            (Content("gated" if hit.gated else "open").stylize("$warning" if hit.gated else "$success"), 5),
        ]
        if width >= NARROW:
            cells.append((f"{count(hit.downloads)} ↓", 9))
        return columns(width, one_line(hit.id, 100), *cells)

    @on(OptionList.OptionHighlighted)
    def _moved(self, event: OptionList.OptionHighlighted) -> None:
        if event.option.id:
            self._say(f"{event.option.id}: asking for its shape …")
            self._look(event.option.id)

    @work(thread=True, exclusive=True, group="look", exit_on_error=False)
    def _look(self, identifier: str) -> None:
        """What training the model under the cursor takes, once the cursor rests on it."""
        from threading import Event

        from loratui.core.errors import LoratuiError
        from loratui.core.memory.fit import method_fits
        from loratui.models.find import find_model

        Event().wait(PAUSE_SECONDS)
        worker, device = get_current_worker(), self.app.state.hardware.device()
        if worker.is_cancelled:
            return
        try:
            found = find_model(identifier)
            fits = dict(method_fits(found.spec, device)) if device is not None else {}
            words = " · ".join(
                [
                    f"{count(found.spec.total_parameters)} parameters",
                    *(f"{method} {verdict}" for method, verdict in fits.items()),
                    *([found.note] if found.note else []),
                ]
            )
            color = "$foreground"
        except LoratuiError as error:
            words, color = f"▲ {error.sentence}", "$warning"
        if not worker.is_cancelled:
            self.app.call_from_thread(self._say, words, color)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(event.option.id or "")

    def on_key(self, event: events.Key) -> None:
        if event.key in MOVES and self.query_one(Input).has_focus:
            getattr(self.query_one("#hits", OptionList), f"action_{MOVES[event.key]}")()
            event.stop()
            event.prevent_default()

    def action_leave(self) -> None:
        """Close without a choice."""
        self.dismiss("")
