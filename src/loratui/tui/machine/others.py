"""Cards of the catalogue beside those that are here: what each would hold, and whether the chosen model fits it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from textual.content import Content

from loratui.format import in_gib, one_line
from loratui.tui.common.filter_list import FIT_GLYPHS, columns
from loratui.tui.machine.fits import METHODS

if TYPE_CHECKING:
    from loratui.core.architecture import ModelSpec
    from loratui.machine.catalogue import CatalogueGpu

TWO_COLUMNS = 110
"""Width from which on two cards share a line."""
WITH_SPEED = 60
"""Width of a card's line that has room for the speed of its memory."""
NAMES = ("full", "LoRA", "QLoRA")


class Other(NamedTuple):
    """A card of the catalogue, and the verdict on the model for each method; none where no model is known."""

    gpu: CatalogueGpu
    verdicts: Mapping[Any, str]


def newest_first() -> list[CatalogueGpu]:
    """Every GPU of the catalogue: real cards before nameless ones, newer generations and larger cards first."""
    from loratui.machine.catalogue import all_gpus

    return sorted(all_gpus(), key=lambda gpu: (gpu.exact, gpu.compute_capability, gpu.marketed_gb), reverse=True)


def find_others(spec: ModelSpec | None) -> list[Other]:
    """The real cards of the catalogue, the newest first, with what fits. Slow work for a thread."""
    from loratui.core.memory.fit import method_fits

    cards = [gpu for gpu in newest_first() if gpu.exact]
    return [Other(gpu, method_fits(spec, gpu.device()) if spec is not None else {}) for gpu in cards]


def other_lines(others: Sequence[Other], width: int, height: int) -> Content:
    """The smallest card on which each method fits; below, the cards, as far as there is room."""
    judged = any(other.verdicts for other in others)
    lines = [_smallest(others, number, width) for number in range(len(METHODS))] + [Content("")] if judged else []
    lines = lines[: max(0, height - 4)]  # the cards themselves before what is said of them
    many = 2 if width >= TWO_COLUMNS else 1
    room = (width - 3 * (many - 1)) // many
    marks = [(name, 5) for name in NAMES] if judged else []
    speed = [("GB/s", 6)] if room >= WITH_SPEED else []
    head = columns(room, "", ("GiB", 5), *speed, *marks).stylize("$text-muted")
    rows = max(0, height - len(lines) - 1)
    cells = [_line(other, room) for other in others[: rows * many]]
    beside = [cells[at * rows : (at + 1) * rows] for at in range(many)]
    lines.append(Content("   ").join([head] * sum(1 for column in beside if column)))
    for number in range(len(beside[0])):
        lines.append(Content("   ").join(column[number] for column in beside if number < len(column)))
    return Content("\n").join(lines[:height])


def _smallest(others: Sequence[Other], number: int, width: int) -> Content:
    """The least memory on which a method fits, and the cards that have it."""
    able = [other.gpu for other in others if other.verdicts.get(METHODS[number]) == "fits"]
    words = ("full fine-tuning", "LoRA", "QLoRA")[number]
    told = "no single card of the catalogue"
    if able:
        least = min(gpu.marketed_gb for gpu in able)
        told = f"from {least} GB: {', '.join(gpu.name for gpu in able if gpu.marketed_gb == least)}"
    return Content.assemble((f"{words:<18}", "$text-muted"), (one_line(told, max(20, width - 18)), "$foreground"))


def _line(other: Other, width: int) -> Content:
    gpu = other.gpu
    cells = [FIT_GLYPHS.get(other.verdicts.get(method, ""), ("…", "$text-muted")) for method in METHODS]
    marks = [(Content.assemble((glyph, f"bold {color}"), "  "), 5) for glyph, color in cells] if other.verdicts else []
    speed = [(f"{gpu.bandwidth_gb_per_second:,.0f}", 6)] if width >= WITH_SPEED else []
    return columns(width, one_line(gpu.name, 60), (in_gib(gpu.memory_total_bytes), 5), *speed, *marks)
