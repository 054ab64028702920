"""Two runs on one chart, and what differs in their plans."""

from __future__ import annotations

import asyncio
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from loratui.core.plan_text import label_of
from loratui.format import loss_text, one_line
from loratui.runs.directory import Run
from loratui.tui.home.differences import differences, used_rates
from loratui.tui.keys import bindings
from loratui.tui.training.chart import Chart, Line, Picture
from loratui.tui.training.curves import x_end
from loratui.tui.training.follow import Followed, follow
from loratui.tui.training.record import RunRecord


class CompareScreen(ModalScreen[None]):
    """The first run's loss in one colour, the second's in another; and both in turns where they lie on each other."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("compare"),
        Binding("escape,q,equals_sign", "leave", "Close", key_display="esc"),
    ]
    DEFAULT_CSS = """
    CompareScreen #panel { width: 96%; height: 92%; }
    CompareScreen #compared { height: 2fr; }
    CompareScreen #legend { height: auto; max-height: 5; }
    CompareScreen VerticalScroll { height: 1fr; min-height: 4; }
    """

    def __init__(self, first: Run, second: Run) -> None:
        super().__init__(classes="panel-over")
        self._runs = (first, second)
        self._followed: list[Followed] = []
        self._log = False

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content("two runs compared · loss, smoothed")
            panel.border_subtitle = Content("g log axis · ↑ ↓ scroll · esc closes")
            yield Chart("loss, smoothed", id="compared")
            yield Static(Content("Reading the runs …").stylize("$text-muted"), id="legend")
            with VerticalScroll():
                yield Static(id="differences")

    def on_mount(self) -> None:
        self.query_one(VerticalScroll).focus()
        self._read()

    @work(exclusive=True, exit_on_error=False)
    async def _read(self) -> None:
        self._followed = [await asyncio.to_thread(_whole, run) for run in self._runs]
        self._show()

    def _show(self) -> None:
        first, second = self._followed
        self.query_one("#compared", Chart).show(
            Picture(
                lines=(
                    Line(second.record.loss_smooth.xs, second.record.loss_smooth.points, "second"),
                    Line(first.record.loss_smooth.xs, first.record.loss_smooth.points, "smooth"),
                ),
                x_end=max(x_end(first.record), x_end(second.record)),
                log=self._log,
                from_zero=True,
                format=lambda value: f"{value:.3g}",
            )
        )
        legend = [_legend(one, color) for one, color in zip(self._followed, ("$accent", "$warning"), strict=True)]
        if words := same_words(first.record, second.record):
            legend.append(Content(words))
        self.query_one("#legend", Static).update(Content("\n").join(legend))
        self.query_one("#differences", Static).update(self._differences())

    def _differences(self) -> Content:
        first, second = self._followed
        if first.plan is None or second.plan is None:
            return Content(one_line(first.problem or second.problem, 300)).stylize("$error")
        keys = differences(first.plan, second.plan)
        rows = [*used_rates(first, second), *((label_of(key), one, other) for key, one, other in keys)]
        if not rows:
            return Content("Their plans are the same.").stylize("$text-muted")
        wide = max(len(key) for key, _, _ in rows) + 2
        return Content("\n").join(
            Content.assemble(
                (f"{key:<{wide}}", "$text-muted"),
                (one_line(one, 60), "$accent"),
                "  ",
                (one_line(other, 60), "$warning"),
            )
            for key, one, other in rows
        )

    def action_log_axis(self) -> None:
        """Logarithmic loss axis, and back."""
        self._log = not self._log
        if self._followed:
            self._show()

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)


def _whole(run: Run) -> Followed:
    followed = follow(str(run.path))
    while not followed.whole:
        followed.poll()
    return followed


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
        parts.append(f"best evaluation {loss_text(best.loss)} at step {best.step:,}")
    return Content.assemble(
        ("━━ ", color), (one_line(followed.run.name, 50), "bold"), (f"  {', '.join(parts)}", "$text-muted")
    )
