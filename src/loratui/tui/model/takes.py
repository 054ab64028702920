"""What each method would take for the model under the cursor: for terminals that have room beside the list."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from textual import work
from textual.content import Content
from textual.widgets import Static

from loratui.format import count, in_gib, one_line
from loratui.tui.common.filter_list import FIT_GLYPHS
from loratui.tui.common.meter import at_least_seen

if TYPE_CHECKING:
    from loratui.core.hardware import Device
    from loratui.models.found import FoundModel
    from loratui.tui.app import LoratuiApp

METHODS = {"full": "full", "lora": "LoRA", "qlora": "QLoRA"}
NAME_CELLS, FIGURE_CELLS = 7, 11
SUPPOSED = "with one row of 1,024 tokens at a time, checkpointing and rank 16"


Takes = Mapping[Any, tuple[int, str]]
"""For each method its predicted peak in bytes, and the verdict on it."""


def takes_lines(takes: Takes, budget_bytes: int, width: int) -> list[Content]:
    """A bar for each method against the limit, with its peak in GiB."""
    room = max(4, width - NAME_CELLS - FIGURE_CELLS)
    scale = max(budget_bytes, 1) * 1.25
    limit = round(budget_bytes / scale * room)
    lines = []
    for method, word in METHODS.items():
        peak, verdict = takes[method]
        bar = at_least_seen(peak / scale, room)
        glyph, color = FIT_GLYPHS[verdict]
        lines.append(
            Content.assemble(
                (f"{word:<{NAME_CELLS}}", "$text-muted"),
                (bar[:limit], "$memory-weights"),
                ("┃", "bold $foreground"),
                (bar[limit + 1 :], "$error"),
                (f"{glyph} ", f"bold {color}"),
                (f"{in_gib(peak) + ' GiB':>{FIGURE_CELLS - 2}}", "$foreground"),
            )
        )
    return lines


def model_lines(model: FoundModel) -> list[tuple[str, str]]:
    """What is known of a model: word and text."""
    spec = model.spec
    experts = f"{spec.experts} experts, {spec.experts_per_token} at a time" if spec.experts else ""
    lines = [
        ("family", one_line(spec.family, 40)),
        ("params", count(spec.total_parameters)),
        ("shape", f"{spec.layers} layers × {spec.hidden_size}"),
        ("experts", experts),
        ("tokens", f"{spec.vocab_size:,} known, {spec.max_positions:,} long"),
        ("template", "brings a chat template" if model.has_chat_template else "none for chats"),
        ("weights", "on this machine" if model.weights else "not on this machine"),
        ("note", one_line(model.note, 160)),
    ]
    return [(word, text) for word, text in lines if text]


class TakesBox(Static):
    """Works out what the model takes whenever it or the device is another, while it is shown."""

    app: LoratuiApp

    def __init__(self) -> None:
        super().__init__(id="takes", classes="box")
        self._model: FoundModel | None = None
        self._takes: Takes = {}
        self._budget_bytes = 0
        self._for: tuple[object, ...] = ()

    def show(self, model: FoundModel | None) -> None:
        """Show another model."""
        self._model = model
        device = self.app.state.hardware.device()
        if not self.display or model is None or device is None:
            return
        now = (model.id, model.spec, device.name, device.count, device.memory_free_bytes >> 26)
        if now != self._for:
            self._for, self._takes = now, {}
            self._draw()
            self._look_up(model, device)

    def on_resize(self) -> None:
        self.show(self._model)
        self._draw()

    @work(thread=True, exclusive=True, group="takes", exit_on_error=False)
    def _look_up(self, model: FoundModel, device: Device) -> None:
        from loratui.core.memory import budget, method_bytes, method_fits

        verdicts = method_fits(model.spec, device)
        takes = {kind: (peak, verdicts[kind]) for kind, peak in method_bytes(model.spec, device).items()}
        self.app.call_from_thread(self._take, model, takes, budget(device).bytes, device.name)

    def _take(self, model: FoundModel, takes: Takes, budget_bytes: int, device: str) -> None:
        if model is self._model:
            self._takes, self._budget_bytes = takes, budget_bytes
            self.border_subtitle = Content(one_line(f"of {in_gib(budget_bytes)} GiB on {device}", 60))
            self._draw()

    def _draw(self) -> None:
        model, width = self._model, self.content_size.width
        if model is None or not width:
            return
        self.border_title = Content(one_line(model.id, 60))
        bars = takes_lines(self._takes, self._budget_bytes, width) if self._takes else [Content("…")] * len(METHODS)
        facts = [Content.assemble((f"{word:<10}", "$text-muted"), text) for word, text in model_lines(model)]
        supposed = Content(SUPPOSED).stylize("$text-muted")
        self.update(Content("\n").join([*bars, supposed, Content(""), *facts]))
