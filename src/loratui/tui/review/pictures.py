"""Two pictures of a plan: what takes the memory, and how the time goes by."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from textual.content import Content
from textual.widget import Widget

from loratui.format import in_gib, number_text, one_line, size
from loratui.tui.common.meter import at_least_seen
from loratui.tui.common.rate_curve import rate_curve
from loratui.tui.frame.headroom_bar import FILLS, memory_view, verdict
from loratui.tui.review.cards import time_span

if TYPE_CHECKING:
    from loratui.core.proposal import Proposal
    from loratui.tui.app import LoratuiApp

SIZE_CELLS = 13
NAME_CELLS = 14
MARK_CELLS = 21
REST = "the rest"
REST_FILL = "+"
"""No part's own fill: these are several."""


NOTHING_YET = "not known yet: it follows from model, dataset and machine"


class PictureBox(Widget):
    """A picture of the proposal, as large as there is room for it."""

    app: LoratuiApp

    def __init__(self, title: str, draw: Callable[[Proposal, int, int], Content], *, id: str) -> None:
        super().__init__(id=id, classes="box")
        self.border_title = Content(title)
        self._draw = draw

    def render(self) -> Content:
        proposal, room = self.app.state.plan.proposal, self.content_size
        if proposal is None or not room.height:
            return Content(NOTHING_YET).stylize("$text-muted")
        return self._draw(proposal, room.width, room.height)


def memory_picture(proposal: Proposal, width: int, height: int) -> Content:
    """A bar for each part, the parts always in their order, and one for all of them against the limit.

    Where there are fewer lines than parts, the smallest are one bar.
    """
    view = memory_view(proposal)
    parts = list(view.parts)
    while len(parts) > max(1, height - 1):
        rest = next((one for one in parts if one[0] == REST), (REST, 0))
        smallest = min((one for one in parts if one[0] != REST), key=lambda one: one[1])
        parts = [*(one for one in parts if one not in (rest, smallest)), (REST, rest[1] + smallest[1])]
    if [name for name, _ in parts] == [REST]:  # that is all of them together
        parts = []
    room = max(4, width - NAME_CELLS - SIZE_CELLS - 1)
    scale = max(view.budget, view.upper, view.total, 1)
    lines = [
        Content.assemble(
            (f"{FILLS.get(name, REST_FILL)} {name:<{NAME_CELLS - 2}}", "$text-muted"),
            (at_least_seen(value / scale, room), f"$memory-{name}" if name in FILLS else "$text-muted"),
            (f" {size(value):>{SIZE_CELLS}}", "$foreground"),
        )
        for name, value in parts
    ]
    words, color = verdict(view)
    limit = min(room - 1, round(view.budget / scale * room))
    total = at_least_seen(view.total / scale, room)
    numbers = f" {in_gib(view.total)}/{in_gib(view.budget)} GiB"
    lines.append(
        Content.assemble(
            (f"{words[0]} {'together':<{NAME_CELLS - 2}}", color),
            (total[:limit], color),
            ("┃", "bold $foreground"),
            (total[limit + 1 :], "$error"),
            (f"{numbers:>{SIZE_CELLS + 1}}", "bold $foreground"),
        )
    )
    return Content("\n").join(lines[-height:])


def time_picture(proposal: Proposal, width: int, height: int) -> Content:
    """How long it takes and what that rests on; below, from the first step to the last, the learning rate, and where
    it is evaluated and saved.
    """
    time, schedule, plan = proposal.time, proposal.schedule, proposal.plan
    span = time_span(proposal) or "not known for this device"
    counted = [f"{time.counted}; {time.basis}", time.basis] if time is not None else []
    told = next((f"  {words}" for words in counted if len(words) + 2 <= width - len(span)), "")
    head = Content.assemble((span, "bold"), (one_line(told, max(1, width - len(span))), "$text-muted"))
    room = max(10, width - MARK_CELLS)
    held = proposal.data.eval_examples
    every = plan.evaluation.every_steps if held else 0
    evaluated = _marks(every, schedule.total_steps, room, "◆")
    saved = _marks(plan.saving.every_steps or schedule.total_steps, schedule.total_steps, room, "■")
    if height < 4:
        both = "".join(one if one == "◆" else other for one, other in zip(evaluated, saved, strict=True))
        label = "◆ tested ■ saved" if "■" in both else "◆ tested and saved" if "◆" in both else ""
        return Content("\n").join([head, _line(both, label, "$accent")][:height])
    from loratui.core.schedule import curve

    lines = [head]
    peak = f"rate {number_text(plan.training.learning_rate)}"
    curve_height = height - 4
    for number, line in enumerate(
        rate_curve(curve(plan, schedule, 120), room, curve_height) if curve_height > 0 else []
    ):
        lines.append(_line(line, peak if number == 0 else "", "$accent"))
    lines.append(_line(evaluated, f"◆ tested, {held:,} rows" if every else "  never tested", "$success"))
    lines.append(_line(saved, "■ saved", "$secondary"))
    end = f"{schedule.total_steps:,} steps"
    lines.append(Content.assemble((f"0{end:>{room - 1}}", "$text-muted")))
    return Content("\n").join(lines[:height])


def _line(text: str, label: str, color: str) -> Content:
    return Content.assemble((text, color), (f" {label}", "$text-muted"))


def _marks(every: int, total: int, width: int, mark: str) -> str:
    """A line of `width` cells from step 0 to `total` with a mark at every so many steps and at the last one; more
    marks than cells run into each other.
    """
    cells = ["─"] * width
    for number in range(1, min(total // every, 4 * width) + 1 if every > 0 else 0):
        step = number * every if total // every <= 4 * width else number * total / (4 * width)
        cells[min(width - 1, round(step / total * (width - 1)))] = mark
    if every > 0 and total > 0:
        cells[-1] = mark
    return "".join(cells)
