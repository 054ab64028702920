"""The memory of the chosen device, part by part: what the plan would take, where the limit is, and what is free."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from textual.content import Content
from textual.widgets import Static

from loratui.format import in_gib, one_line, size

if TYPE_CHECKING:
    from loratui.core.proposal import Proposal
    from loratui.tui.app import LoratuiApp

FILLS = {
    "weights": "█",
    "adapter": "▓",
    "gradients": "▒",
    "optimizer": "░",
    "activations": "▚",
    "logits": "▞",
    "overhead": "▤",
    "free": "·",
    "reserve": "╱",
    "others": "×",
}
"""The fill of each part: told apart without colour, too."""


class MemoryView(NamedTuple):
    """What the bar draws, in bytes."""

    device: str
    parts: tuple[tuple[str, int], ...]
    total: int
    budget: int
    """What this process may take."""
    reserve: int
    """What is kept free."""
    taken: int
    """What others hold now."""
    upper: int = 0
    """The upper end of what the plan may take."""
    band: float | None = None
    """Share of the total by which the truth may differ; None where nothing was measured here."""
    filled: int = 0
    """What rows as long as the maximum length would take; 0 where their lengths are known, or reach it."""
    length: int = 0
    """That length, in tokens."""
    planned: bool = False
    """Whether the device is not here, so that nobody holds anything of it."""

    @property
    def headroom(self) -> int:
        """Budget less what the plan takes; negative where it does not fit."""
        return self.budget - self.total


def memory_view(proposal: Proposal) -> MemoryView:
    """The memory of a proposal as the bar draws it."""
    device = proposal.device
    filled = proposal.at_max_length
    parts = tuple((name, value) for name, value in proposal.memory.parts.items() if value > 0)
    return MemoryView(
        device=device.name,
        parts=parts,
        total=proposal.memory.total_bytes,
        budget=proposal.budget.bytes,
        reserve=proposal.budget.reserve_bytes,
        taken=proposal.budget.total_bytes - proposal.budget.free_bytes,
        upper=proposal.memory.upper_bytes,
        band=proposal.memory.band,
        filled=filled.total_bytes if filled is not None else 0,
        length=proposal.plan.training.max_length,
        planned=device.simulated,
    )


def verdict(view: MemoryView) -> tuple[str, str]:
    """Whether the plan fits, in words with a glyph, and the theme colour for it."""
    words = room_words(view.total, view.upper, view.budget)
    if view.headroom < 0:
        return f"✗ {words}", "$error"
    if view.upper > view.budget:
        return f"▲ {words}", "$warning"
    if view.filled > view.budget:
        return f"▲ {view.length:,} tokens do not fit", "$warning"
    return f"✓ {words}", "$success"


def room_words(total: int, upper: int, budget: int) -> str:
    """How much room there is, by what the verdict goes by: `fits: at least 3.20 GiB left` is what the upper end of the
    estimate leaves.

    total, upper: bytes that a plan takes, and may take at most; budget: bytes that it may take.
    """
    if total > budget:
        return f"too big by {size(total - budget)}"
    if upper > budget:
        return f"tight: up to {size(upper - budget)} short"
    return f"fits: {'at least ' if upper > total else ''}{size(budget - upper)} left"


def taken_words(view: MemoryView) -> str:
    """What the plan would take in GiB, and how sure that is; one figure where both ends read the same."""
    least, most = in_gib(view.total), in_gib(view.upper)
    if view.band is not None:
        return f"{least} ±{round(view.band * 100)} %"
    return f"{least} to {most}" if view.upper > view.total and most != least else least


LIMIT = "┃"
"""Marks in the bar what the plan may take, and stands before that figure."""
PARTS = ("weights", "adapter", "gradients", "optimizer", "activations", "logits", "overhead")
"""In the order in which they stand, there or not: each always in its own place."""
SHORT = {"gradients": "grad.", "optimizer": "optim.", "activations": "activ."}
"""Where the whole names do not fit: the same, cut."""
OUTSIDE = {"reserve": "kept free", "others": "others'"}
"""What is no part of the plan, and its name; drawn only where the legend has room for it."""
NOBODYS = "unusable"
"""What nobody has of a card that is planned for: the driver never gives it."""
TOGETHER = {
    "weights": ("weights",),
    "adapter": ("adapter", "gradients", "optimizer"),
    "activations": ("activations", "logits"),
    "overhead": ("overhead",),
}
"""What stands together where there is hardly room, under the glyph of its first part."""
TOGETHER_NAMES = {"adapter": "trained", "activations": "activ.+logits"}
"""`trained` is a sum that no single part has the name of; BAR_HELP says of which."""
NO_DATA = "no data yet"
"""Says of a figure that it is a guess, from rows that are only supposed."""
BAR_HELP = (
    "The memory bar is what a training would take of the device, up to the limit (┃), part by part: weights, adapter, "
    "gradients (grad.), what the optimizer keeps (optim.), activations (activ.), logits, overhead. In terminals below "
    'some 120 columns "trained" is adapter, gradients and optimizer together; below 80 the largest parts stand alone. '
    f'"{NO_DATA}" says that it is a guess, from 1,000 rows that are only supposed: the dataset moves it. "±" '
    "stands where runs here were measured, which moves the estimate, too; the limit follows what is "
    "free. The line above the bar says when either moved."
)
"""For F1 of each screen with the bar."""
SMALL = 4 * 2**30
"""Bytes of a plan below which its parts are told in MiB."""
VALUE = 5
"""Columns of a figure."""
LEAST_BAR = 8
"""Columns below which a bar says nothing: figures make room for it first, the verdict never."""


def cells(view: MemoryView, width: int, *, outside: bool = True) -> list[tuple[str, int]]:
    """How many of `width` cells each part takes, in order: the plan's parts, `free`, and with `outside` what is no
    part of the plan: `reserve`, `others`.

    Boundaries are rounded as sums, so that nothing adds up to more than the width. Where the plan is too big, the scale
    grows until all of it is seen.
    """
    free = max(0, view.headroom)
    spans = [*view.parts, ("free", free)]
    if outside:
        spans += [("reserve", view.reserve), ("others", view.taken)]
    whole = max(1, sum(value for _, value in spans))
    drawn: list[tuple[str, int]] = []
    position, sum_bytes = 0, 0
    for name, value in spans:
        sum_bytes += value
        end = round(sum_bytes / whole * width)
        if end > position:
            drawn.append((name, end - position))
            position = end
    return drawn


def bar(view: MemoryView, width: int, *, outside: bool = True) -> Content:
    """The bar, with a mark where the plan may take no more."""
    drawn = cells(view, width, outside=outside)
    whole = max(view.total, view.budget) + (view.reserve + view.taken if outside else 0)
    content = Content.assemble(*((FILLS.get(name, "█") * n, f"$memory-{name}") for name, n in drawn))
    place = min(len(content) - 1, max(0, round(view.budget / max(1, whole) * width) - (view.headroom >= 0)))
    mark = Content(LIMIT).stylize("bold $error" if view.headroom < 0 else "bold $foreground")
    return Content.assemble(content[:place], mark, content[place + 1 :])


def legend(view: MemoryView, width: int) -> tuple[Content, bool]:
    """Each part in its own place with its figure, as fully as the width lets; and whether what is no part of the plan
    is told, too. What is shown depends on the width alone; the unit, that of all figures, on the plan.
    """
    small = view.total < SMALL
    unit = Content("MiB" if small else "GiB").stylize("$text-muted")
    for names, told in (({}, True), (SHORT, True), ({}, False), (SHORT, False)):
        pieces = [_piece(name, names.get(name, name), _of(view, (name,)), small) for name in PARTS]
        if told:
            for name, value in (("reserve", view.reserve), ("others", view.taken)):
                words = NOBODYS if name == "others" and view.planned else OUTSIDE[name]
                pieces.append(_piece(name, words, value, small))
        line = Content.assemble(Content("  ").join(pieces), unit)
        if len(line) <= width:
            return line, told
    kept = {
        name: _piece(name, TOGETHER_NAMES.get(name, name), _of(view, parts), small) for name, parts in TOGETHER.items()
    }
    while True:
        line = Content.assemble(Content("  ").join(kept.values()), unit)
        if len(line) <= width or len(kept) == 1:
            return line, False
        del kept[min(kept, key=lambda name: _of(view, TOGETHER[name]))]


def _of(view: MemoryView, parts: tuple[str, ...]) -> int:
    return sum(value for name, value in view.parts if name in parts)


def _piece(name: str, words: str, value: int, small: bool) -> Content:
    """small: in MiB instead of GiB."""
    least, unit = ("<1", 2.0**20) if small else ("<0.01", 0.01 * 2**30)
    figure = "–" if not value else least if value < unit / 2 else str(round(value / 2**20)) if small else in_gib(value)
    return Content.assemble(
        (FILLS[name], f"$memory-{name}"), (f" {words} ", "$text-muted"), (f"{figure:<{VALUE}}", "$foreground")
    )


def filled_words(view: MemoryView) -> str:
    """What rows of the maximum length would need, where the lengths are guesses and such rows would not fit."""
    if view.filled <= view.budget:
        return ""
    return (
        f"Rows of {view.length:,} tokens, which the maximum length allows, need {size(view.filled)}: "
        f"{size(view.filled - view.budget)} too much. Checking the data tells whether there are any."
    )


class HeadroomBar(Static):
    """Two lines: the bar with its verdict, and the parts with their sizes."""

    app: LoratuiApp

    def __init__(self) -> None:
        super().__init__(id="headroom-bar")
        self._stops: list[Callable[[], None]] = []
        self._shown = Content("")
        self._shown_width: int | None = None
        """For which width it was made just now, and is still to be painted."""

    def on_mount(self) -> None:
        for signal in (self.app.state.plan.changed, self.app.state.check.changed):
            self._stops.append(signal.subscribe(self._heard))

    def on_unmount(self) -> None:
        for stop in self._stops:
            stop()

    def _heard(self) -> None:
        if self.screen.is_current:
            self.call_after_refresh(self._renew)  # the field that was changed is painted first

    def _renew(self) -> None:
        content = self._content()
        if content != self._shown:
            self._shown, self._shown_width = content, self.content_size.width
            self.refresh()

    def render(self) -> Content:
        if self._shown_width != self.content_size.width:
            self._shown = self._content()
        self._shown_width = None
        return self._shown

    def _content(self) -> Content:
        proposal, width = self.app.state.plan.proposal, self.content_size.width
        if proposal is None or self.app.state.dataset.problem:
            return Content.assemble(
                ("·" * max(10, width - 36), "$memory-free"),
                ("  memory", "$text-muted"),
                "\n",
                (self._waiting(), "$text-muted"),
            )
        view = memory_view(proposal)
        words, color = verdict(view)
        about = "about " if self.app.state.check.doubt or proposal.data.supposed else ""
        whole = f"{about}{taken_words(view)} of {LIMIT}{in_gib(view.budget)} GiB"
        least = f"{in_gib(view.total)} of {LIMIT}{in_gib(view.budget)}"
        rest = width - len(words) - 4
        guessed = [f"{NO_DATA}: {one}" for one in (whole, f"{least} GiB", least)] if proposal.data.supposed else []
        numbers = next((one for one in (*guessed, whole, least) if rest - len(one) >= LEAST_BAR), "")
        room = max(LEAST_BAR, rest - len(numbers))
        parts, outside = legend(view, width)
        first = Content.assemble(
            bar(view, room, outside=outside), "  ", (numbers, "$foreground"), "  ", (words, f"bold {color}")
        )
        return Content.assemble(first, "\n", parts)

    def _another(self, number: int, step: str) -> str:
        return "Choose another." if self.screen.name == step else f"Step {number} chooses another."

    def _waiting(self) -> str:
        state = self.app.state
        if not state.draft.model:
            return "Choose a model to see what training it takes."
        if state.model.problem:
            return f"Not known without the model. {self._another(2, 'model')}"
        if state.dataset.problem:
            return f"Not known: the dataset cannot be read. {self._another(3, 'dataset')}"
        if state.plan.problem:
            return one_line(state.plan.problem)
        return "Looking at the machine and the model …"
