"""Two runs on one chart: which is better on its held-out rows, and what differs in their plans. Both are followed."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from rich.cells import cell_len
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from loratui.core.plan_text import label_of
from loratui.format import loss_text, one_line
from loratui.runs.compared import Side, differing_words, held_out_words
from loratui.runs.directory import Run
from loratui.tui.home.differences import differences, used_rates
from loratui.tui.keys import bindings
from loratui.tui.training.chart import Chart, Line, Picture
from loratui.tui.training.curves import lies_on_floor, x_end
from loratui.tui.training.follow import Followed, follow
from loratui.tui.training.record import RunRecord
from loratui.tui.training.run_state import state_words

REFRESH_SECONDS = 2.0
"""As the list of runs."""
VALUE_CELLS = 60


class CompareScreen(ModalScreen[None]):
    """The first run's loss in one colour, the second's in another; and both in turns where they lie on each other."""

    CSS_PATH = "home.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("compare"),
        Binding("escape,q,equals_sign", "leave", "Close", key_display="esc"),
    ]
    DEFAULT_CSS = """
    CompareScreen #verdict { height: auto; margin: 0 0 1 0; }
    CompareScreen #compared { height: 1fr; min-height: 4; }
    CompareScreen VerticalScroll { height: auto; max-height: 50%; }
    CompareScreen.-short #verdict { margin: 0; }
    """

    def __init__(self, first: Run, second: Run) -> None:
        super().__init__(classes="panel-over")
        self._followed = tuple(follow(str(run.path)) for run in (first, second))
        self._read_once = self._reading = False
        self._log: bool | None = None
        """As a person chose it; None: as the curves need it."""

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content("two runs compared · loss, smoothed")
            panel.border_subtitle = Content("esc closes")
            yield Static(Content("Reading the runs …").stylize("$text-muted"), id="verdict")
            yield Chart("loss, smoothed", id="compared")
            with VerticalScroll():
                yield Static(id="legend")
                yield Static(id="differences")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self.set_interval(REFRESH_SECONDS, self._tick)
        self._tick()

    def _tick(self) -> None:
        if self.is_current and not self._reading:
            self._reading = True
            self._read()

    @work(exit_on_error=False)
    async def _read(self) -> None:
        """What is new of both, and what follows from it."""
        try:
            news = [await asyncio.to_thread(_poll_whole, one) for one in self._followed]
            if any(news) or not self._read_once:
                verdict = await asyncio.to_thread(verdict_of, *self._followed)
                self._read_once = True
                self.query_one("#verdict", Static).update(Content(verdict))
                self._show()
        finally:
            self._reading = False

    def _show(self) -> None:
        first, second = self._followed
        self.query_one("#compared", Chart).show(
            Picture(
                lines=(
                    Line(second.record.loss_smooth.xs, second.record.loss_smooth.points, "second"),
                    Line(first.record.loss_smooth.xs, first.record.loss_smooth.points, "smooth"),
                ),
                x_end=max(x_end(first.record), x_end(second.record)),
                log=self.log_axis,
                from_zero=True,
                format=lambda value: f"{value:.3g}",
            )
        )
        legend = [_legend(one, color) for one, color in zip(self._followed, ("$accent", "$warning"), strict=True)]
        if words := same_words(first.record, second.record):
            legend.append(Content(words))
        self.query_one("#legend", Static).update(Content("\n").join(legend))
        self.query_one("#differences", Static).update(self._differences())
        self.call_after_refresh(self._offer)

    def on_resize(self) -> None:
        if self._read_once:
            self.call_after_refresh(self._offer)

    def _offer(self) -> None:
        """The keys that do something now: nothing scrolls where all is shown."""
        scroll = " · ↑ ↓ scroll" if self.query_one(VerticalScroll).max_scroll_y else ""
        axis = "linear axis" if self.log_axis else "log axis"
        self.query_one("#panel").border_subtitle = Content(f"g {axis}{scroll} · esc closes").markup

    @property
    def log_axis(self) -> bool:
        """Whether the losses stand on a logarithmic axis: as chosen, else where one of them lies on the floor."""
        if self._log is not None:
            return self._log
        return any(lies_on_floor([point.last for point in one.record.loss_smooth.points]) for one in self._followed)

    def _differences(self) -> Content:
        first, second = self._followed
        if first.plan is None or second.plan is None:
            return Content(one_line(first.problem or second.problem, 300)).stylize("$error")
        keys = differences(first.plan, second.plan)
        rows = [*used_rates(first, second), *((label_of(key), one, other) for key, one, other in keys)]
        cells = [(key, one_line(one, VALUE_CELLS), one_line(other, VALUE_CELLS)) for key, one, other in rows]
        if not cells:
            return Content("Their plans are the same.").stylize("$text-muted")
        wide, value = (max(cell_len(row[column]) for row in cells) + 2 for column in (0, 1))
        return Content("\n").join(
            Content.assemble(
                (f"{key}{' ' * (wide - cell_len(key))}", "$text-muted"),
                (one, "$accent"),
                " " * (value - cell_len(one)),
                (other, "$warning"),
            )
            for key, one, other in cells
        )

    def action_log_axis(self) -> None:
        """Logarithmic loss axis, and back."""
        self._log = not self.log_axis
        if self._read_once:
            self._show()

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)


def _poll_whole(followed: Followed) -> bool:
    """Read everything that is new; whether anything is."""
    news = followed.poll()
    while not followed.whole:
        news = followed.poll() or news
    return news


def verdict_of(first: Followed, second: Followed) -> str:
    """Which of them is better held out, as far as that can be said, and in what they differ. Reads files."""
    if first.plan is None or second.plan is None:
        return "Nothing can be said of which is better: a plan cannot be read."
    keys = [key for key, _, _ in differences(first.plan, second.plan)]
    one, other = (
        Side(each.run, plan, each.record.best_eval, one_line(each.run.name, 50), each.status.over)
        for each, plan in ((first, first.plan), (second, second.plan))
    )
    return f"{held_out_words(one, other, keys)} {differing_words(keys)}"


def same_words(first: RunRecord, second: RunRecord) -> str:
    """That two curves lie on each other, over how much of them; "" where they do not, or one has none."""
    one, other = (dict(zip(each.loss_smooth.xs, each.loss_smooth.points, strict=True)) for each in (first, second))
    both = one.keys() & other.keys()
    if not both or any(one[x].last != other[x].last for x in both):
        return ""
    return f"Equal up to step {max(both):,.0f}: there the two colours take turns."


def _legend(followed: Followed, color: str) -> Content:
    record = followed.record
    best = record.best_eval
    parts = [f"step {record.step.step:,}" if record.step else "no step yet"]
    if record.last_loss is not None:
        parts.append(f"loss {loss_text(record.last_loss)}, smoothed {loss_text(record.smoothed_loss)}")
    if best is not None and best.loss is not None:
        parts.append(f"best held-out {loss_text(best.loss)} at step {best.step:,}")
    return Content.assemble(
        ("━━ ", color),
        (one_line(followed.run.name, 50), "bold"),
        "  ",
        state_words(followed.status.state),
        (f"  {', '.join(parts)}", "$text-muted"),
    )
