"""Two runs on one chart: which is better on its held-out rows, and what differs in their plans. Both are followed."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len
from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from loratui.core.glossary import Term
from loratui.core.plan_text import label_of
from loratui.format import loss_text, one_line
from loratui.runs.compared import Side, differing_words, held_out_words
from loratui.runs.directory import Run
from loratui.tui.common.terms import term_line
from loratui.tui.frame.step import READ_SECONDS
from loratui.tui.home.differences import differences, used_rates
from loratui.tui.keys import bindings
from loratui.tui.training.chart import Chart, Line, Picture
from loratui.tui.training.curves import first_steps, lies_on_floor, x_end
from loratui.tui.training.follow import Followed, follow
from loratui.tui.training.record import RunRecord
from loratui.tui.training.run_state import state_words
from loratui.tui.wizard.words import words_of

if TYPE_CHECKING:
    from loratui.tui.app import LoratuiApp

REFRESH_SECONDS = 2.0
"""As the list of runs."""
VALUE_CELLS = 60
TITLE = "two runs compared · loss, smoothed"


class CompareScreen(ModalScreen[None]):
    """The first run's loss in one colour, the second's in another; and both in turns where they lie on each other."""

    CSS_PATH = "home.tcss"
    app: LoratuiApp
    HEADING = "Two runs compared"
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("compare"),
        Binding("escape,q,equals_sign", "leave", "Close", key_display="esc"),
    ]
    DEFAULT_CSS = """
    CompareScreen #verdict { height: auto; margin: 0 0 1 0; }
    CompareScreen #compared { height: 1fr; min-height: 4; }
    CompareScreen #legend { text-wrap: nowrap; text-overflow: ellipsis; }
    CompareScreen VerticalScroll { height: auto; max-height: 40%; }
    CompareScreen.-short #verdict { margin: 0; }
    CompareScreen.-short VerticalScroll { max-height: 5; }
    """

    def __init__(self, first: Run, second: Run) -> None:
        super().__init__(name="compare", classes="panel-over")
        self._followed = tuple(follow(str(run.path)) for run in (first, second))
        self._read_once = self._reading = False
        self._explained: tuple[Term, ...] = ()
        """The word of the verdict that is explained below it, new to this person."""
        self._verdict = ""
        self._since = 0.0
        self._log: bool | None = None
        self._zoomed: bool | None = None
        """As a person chose them; None: as the curves need it."""

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content(TITLE)
            panel.border_subtitle = Content("esc closes")
            yield Static(Content("Reading the runs …").stylize("$text-muted"), id="verdict")
            yield Chart("loss, smoothed", id="compared")
            yield Static(id="legend")
            with VerticalScroll():
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
                if not self.is_running:
                    return  # it was closed meanwhile
                if not self._read_once:
                    new = self.app.state.words.unseen(words_of("compare"))
                    self._explained = tuple(term for term in new if term.word in verdict)[:1]
                    self._since = time.monotonic()
                self._read_once = True
                self._verdict = verdict
                self._show()
        finally:
            self._reading = False

    def _show(self) -> None:
        told = [Content(self._verdict), *(term_line(term, "$text-muted") for term in self._explained)]
        if self.zoomed:
            keys = [str(one.key_display) for one in bindings("compare") if one.action == "zoom(-1)"]
            told.append(
                Content(
                    f"The chart shows the first {self._end:,.0f} of {self._whole:,.0f} steps: {keys[0]} shows the end."
                )
            )
        self.query_one("#verdict", Static).update(Content("\n").join(told))
        first, second = self._followed
        self.query_one("#compared", Chart).show(
            Picture(
                lines=(
                    Line(second.record.loss_smooth.xs, second.record.loss_smooth.points, "second"),
                    Line(first.record.loss_smooth.xs, first.record.loss_smooth.points, "smooth"),
                ),
                x_end=self._end,
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
        steps = f" · steps 0 to {self._end:,.0f} of {self._whole:,.0f}, in both" if self.zoomed else ""
        self.query_one("#panel").border_title = Content(f"{TITLE}{steps}").markup
        self.refresh_bindings()
        self.call_after_refresh(self._offer)

    def on_resize(self) -> None:
        if self._read_once:
            self.call_after_refresh(self._offer)

    def _offer(self) -> None:
        """The keys that do something now: nothing scrolls where all is shown."""
        scroll = next(iter(self.query(VerticalScroll)), None)
        if scroll is None:
            return  # it was closed meanwhile
        keys = [f"{key} {label.lower()}" for key, label in self._switches()]
        words = [*keys, *(["↑ ↓ pgdn scroll"] if scroll.max_scroll_y else []), "esc closes"]
        self.query_one("#panel").border_subtitle = Content(" · ".join(words)).markup

    def _switches(self) -> list[tuple[str, str]]:
        """The letters that change the picture now, with what they do."""
        shown = [one.binding for one in self.active_bindings.values() if one.node is self]
        return [(str(one.key_display), one.description) for one in shown if one.action.startswith(("log_axis", "zoom"))]

    @property
    def _ends(self) -> list[float]:
        """The last step of each curve."""
        return [one.record.loss_smooth.xs[-1] if one.record.loss_smooth.xs else 0.0 for one in self._followed]

    @property
    def _whole(self) -> float:
        """The last step of the longer run."""
        return max(x_end(one.record) for one in self._followed)

    @property
    def _end(self) -> float:
        """Where the chart's axis ends."""
        return min(self._ends) if self.zoomed else self._whole

    @property
    def zoomed(self) -> bool:
        """Whether only the steps are shown that both have: as chosen, else where the shorter one is over and could not
        be read beside the whole of the other.
        """
        if self._zoomed is not None:
            return self._zoomed
        shorter = self._followed[self._ends.index(min(self._ends))]
        return shorter.status.over and first_steps(self._ends, self._whole) is not None

    @property
    def log_axis(self) -> bool:
        """Whether the losses stand on a logarithmic axis: as chosen, else where one of them lies on the floor."""
        if self._log is not None:
            return self._log
        curves = (one.record.loss_smooth for one in self._followed)
        seen = [[point.last for x, point in zip(one.xs, one.points, strict=True) if x <= self._end] for one in curves]
        return any(lies_on_floor(one) for one in seen)

    def _differences(self) -> Content:
        first, second = self._followed
        if first.plan is None or second.plan is None:
            return Content(one_line(first.problem or second.problem, 300)).stylize("$error")
        keys = differences(first.plan, second.plan)
        rows = [
            *_held_out(first, second),
            *used_rates(first, second),
            *((label_of(key), one, other) for key, one, other in keys),
        ]
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

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "log_axis":
            return self._read_once and self.log_axis != parameters[0]
        if action == "zoom":
            can = 1 < min(self._ends) < self._whole
            return self._read_once and can and self.zoomed == (parameters[0] == -1)
        return super().check_action(action, parameters)

    def action_log_axis(self, log: bool) -> None:
        """Logarithmic loss axis, and back."""
        self._log = log
        self._show()

    def action_zoom(self, by: int) -> None:
        """Only the steps that both have (1), or all of them (-1)."""
        self._zoomed = by > 0
        self._show()

    def action_leave(self) -> None:
        """Close; what was explained long enough to be read is no longer new."""
        if self._explained and time.monotonic() - self._since >= READ_SECONDS:
            self.app.state.words.take(self._explained)
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
    """Whose colour it is, and how far that run is."""
    step = followed.record.step.step if followed.record.step else 0
    return Content.assemble(
        ("━━ ", color),
        (one_line(followed.run.name, 50), "bold"),
        "  ",
        state_words(followed.status.state),
        (f"  step {step:,}" if step else "  no step yet", "$text-muted"),
    )


def _held_out(first: Followed, second: Followed) -> list[tuple[str, str, str]]:
    """The newest losses and the best held-out ones, side by side."""
    losses, bests = [], []
    for record in (first.record, second.record):
        best = record.best_eval
        told = record.last_loss is not None
        losses.append(f"{loss_text(record.last_loss)}, {loss_text(record.smoothed_loss)}" if told else "none yet")
        measured = best is not None and best.loss is not None
        bests.append(f"{loss_text(best.loss)} at step {best.step:,}" if best is not None and measured else "none yet")
    return [("Best held-out", bests[0], bests[1]), ("Loss, smoothed", losses[0], losses[1])]
