"""A model by each method, as it would be proposed here: memory against the limit as bars, with what it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from loratui.format import count, duration, size
from loratui.tui.common.filter_list import FIT_GLYPHS
from loratui.tui.frame.headroom_bar import LIMIT, room_words
from loratui.tui.wizard.change import METHODS

if TYPE_CHECKING:
    from loratui.core.compare_methods import MethodFit

COLORS = {"fits": "$accent", "tight": "$warning", "too big": "$error"}


def method_lines(fits: Sequence[MethodFit], width: int) -> Content:
    """Each method with a bar on one common scale, the limit marked in it, and below it what it trains and takes."""
    scale = max([fit.room_bytes for fit in fits] + [fit.memory_bytes for fit in fits], default=1) or 1
    lines = []
    unlike = len({fit.time_basis for fit in fits if fit.seconds is not None}) > 1
    for fit in fits:
        glyph, color = FIT_GLYPHS[fit.verdict]
        room = room_words(fit.memory_bytes, fit.upper_bytes, fit.room_bytes)
        head = Content.assemble(
            (METHODS[fit.kind], "bold $foreground"), "  ", (size(fit.memory_bytes), "$foreground"), "  ",
            (f"{glyph} {room}", f"bold {color}"), ("   proposed" if fit.chosen else "", "$accent"),
        )  # fmt: skip
        lines += [head, _bar(fit, scale, width), _told(fit, basis=unlike), Content("")]
    limit = fits[0].room_bytes if fits else 0
    lines.append(Content(f"{LIMIT} what a training may take here: {size(limit)}").stylize("$text-muted"))
    return Content("\n").join(lines)


def _bar(fit: MethodFit, scale: int, width: int) -> Content:
    filled = max(1, round(fit.memory_bytes / scale * width))
    place = min(width - 1, max(0, round(fit.room_bytes / scale * width) - 1))
    content = Content.assemble(("█" * filled, COLORS[fit.verdict]), ("·" * (width - filled), "$memory-free"))
    return Content.assemble(content[:place], (LIMIT, "bold $foreground"), content[place + 1 :])


def _told(fit: MethodFit, *, basis: bool) -> Content:
    """What a method trains and takes. basis: with what its time rests on, where that is not the same for all."""
    training = fit.plan.training
    parts = [
        f"{count(fit.parameters_trained)} trained",
        f"batch {training.batch_size} × {training.accumulation}",
        f"checkpointing {'on' if training.checkpointing else 'off'}",
        f"result {size(fit.result_bytes)}",
    ]
    low, high = (duration(seconds) for seconds in fit.seconds) if fit.seconds is not None else ("", "")
    time = "time not known" if not low else f"about {low}" if low == high else f"{low} to {high}"
    return Content(f"{' · '.join(parts)}\n{time}").stylize("$text-muted")
