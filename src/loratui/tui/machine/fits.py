"""Which of the known models fit the chosen device, by which method: for terminals that have room beside the cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from textual import work
from textual.content import Content
from textual.widgets import Static

from loratui.format import count, one_line
from loratui.tui.common.filter_list import FIT_GLYPHS, columns

if TYPE_CHECKING:
    from loratui.core.hardware import Device
    from loratui.models.found import FoundModel
    from loratui.tui.app import LoratuiApp

METHODS = ("full", "lora", "qlora")
METHOD_CELLS = 18
"""Columns of a method's name."""
Fit = tuple[str, int, Mapping[Any, str]]
"""A model's name, its parameters, and the verdict for each method."""


def find_fits(models: Sequence[FoundModel], device: Device) -> list[Fit]:
    """One model of each family and size, the largest first, with what fits. Slow work for a thread."""
    from loratui.core.memory.fit import method_fits

    kinds: dict[tuple[str, int], FoundModel] = {}
    for model in models:
        kinds.setdefault((model.spec.family, model.spec.total_parameters), model)
    largest = sorted(kinds.values(), key=lambda model: -model.spec.total_parameters)
    return [(model.id, model.spec.total_parameters, method_fits(model.spec, device)) for model in largest]


def fit_lines(fits: Sequence[Fit], width: int, height: int) -> Content:
    """The largest that fits by each method; below, the sizes from the first that fits at all, as far as there is
    room.
    """
    lines = []
    for method, words in zip(METHODS, ("full fine-tuning", "LoRA", "QLoRA"), strict=True):
        best = next(((name, size) for name, size, verdicts in fits if verdicts.get(method) == "fits"), None)
        told = "none of the known models"
        if best is not None:
            upto = f"up to {count(best[1])}: "
            room = max(12, width - METHOD_CELLS - len(upto))
            told = upto + one_line(best[0] if len(best[0]) <= room else PurePath(best[0]).name, room)
        lines.append(Content.assemble((f"{words:<{METHOD_CELLS}}", "$text-muted"), (told, "$foreground")))
    able = [one for one in fits if any(one[2].get(method) in ("fits", "tight") for method in METHODS)]
    head = columns(width, "", ("params", 8), ("full", 5), ("LoRA", 5), ("QLoRA", 5)).stylize("$text-muted")
    lines += [Content(""), head]
    for name, size, verdicts in able[: max(0, height - len(lines))]:
        cells = [FIT_GLYPHS.get(verdicts.get(method, ""), ("…", "$text-muted")) for method in METHODS]
        marks = [(Content.assemble((glyph, f"bold {color}"), "  "), 5) for glyph, color in cells]
        lines.append(columns(width, one_line(name, 60), (count(size), 8), *marks))
    return Content("\n").join(lines[:height])


FIT_LEGEND = Content.assemble(
    *(part for verdict in ("fits", "tight", "too big") for part in (FIT_GLYPHS[verdict], f" {verdict}  "))
).rstrip()
"""What the signs mean."""


class FitsBox(Static):
    """Looks up what fits whenever the device is another, while it is shown."""

    app: LoratuiApp

    def __init__(self) -> None:
        super().__init__(id="fits", classes="box")
        self.border_title = Content("what fits")
        self.border_subtitle = FIT_LEGEND
        self._for = ""
        self._fits: list[Fit] = []

    def renew(self) -> None:
        """Look up what fits the device that is chosen now, unless it is known."""
        device = self.app.state.hardware.device()
        if device is None or not self.display:
            return
        key = f"{device.name} {device.count} {device.memory_free_bytes >> 28}"
        if key != self._for:
            self._for = key
            self._look_up(device)

    def on_resize(self) -> None:
        self.renew()
        self._draw()

    @work(thread=True, exclusive=True, group="fits", exit_on_error=False)
    def _look_up(self, device: Device) -> None:
        from loratui.models.find import list_models

        self.app.call_from_thread(self._take, find_fits(list_models(), device), device)

    def _take(self, fits: list[Fit], device: Device) -> None:
        self._fits = fits
        many = f"{device.count} × " if device.count > 1 else ""
        self.border_title = Content(one_line(f"what fits on {many}{device.name}", 60))
        self._draw()

    def _draw(self) -> None:
        room = self.content_size
        if room.width and self._fits:
            self.update(fit_lines(self._fits, room.width, room.height))
