"""A run, live: how far it is, what the loss does, what was found, and what one may do about it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from loratui.format import one_line
from loratui.tui.common.still_text import StillText
from loratui.tui.frame.step import StepScreen
from loratui.tui.keys import bindings
from loratui.tui.training.allowed import run_bindings
from loratui.tui.training.call import Call
from loratui.tui.training.chart import Chart
from loratui.tui.training.curves import (
    Window,
    lies_on_floor,
    loss_legend,
    loss_picture,
    loss_title,
    predicted_bytes,
    reading,
    small_picture,
    x_end,
)
from loratui.tui.training.figures import fitting_figures
from loratui.tui.training.follow import Followed, follow
from loratui.tui.training.gauges import gauge_lines, gauges
from loratui.tui.training.history_lines import history_lines
from loratui.tui.training.news import fitted, news, rows_for_news, rows_of
from loratui.tui.training.run_actions import RunActions
from loratui.tui.training.run_state import headline, progress_bar
from loratui.tui.training.stages import start_lines

if TYPE_CHECKING:
    from loratui.core.hardware import Machine

POLL_SECONDS = 1.0
NO_STEP = "no step was made"
ENDED_EXPLANATION = "What became of the run, and the ways on from here."


class TrainingScreen(StepScreen):
    """Follows a run by its files; painted at most once a second, and only when something is new."""

    STEP = "training"
    HEADING = "Training"
    EXPLANATION = "The run goes on by itself, whatever happens to this screen."
    MEMORY = False
    HELP_TEXT = (
        "The run lives in a process of its own: closing this program, the terminal or the connection changes nothing "
        "for it. Come back with loratui, or look on with loratui attach.\n\n"
        "The chart shows each step's loss faint and its smoothed course strong; diamonds are evaluations on held-out "
        "rows, marks on the axis are checkpoints. Healthy: both fall, and the diamonds stay near the line. Diamonds "
        "that "
        "rise while the line falls mean that the rows are being learnt by heart.\n\n"
        'Two times: "steps in" counts the training itself, from its first step to its last with the evaluations and '
        'checkpoints between them; "in all" counts loading and writing the result too, but no pause. Exact match is '
        "that of a few of the held-out rows (100% of 8 rows), the held-out loss that of all. Peak memory is what was "
        'measured, predicted what was foretold of it; "82% of it": the peak is 82% of the predicted.'
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *run_bindings(),
        Binding("left", "cursor(-1)", "Read", show=False, tooltip="Read the curves at an earlier step"),
        Binding("right", "cursor(1)", "Read", show=False, tooltip="Read the curves at a later step"),
        Binding("shift+left,ctrl+left", "cursor(-10)", "Read", show=False, tooltip="Ten columns earlier"),
        Binding("shift+right,ctrl+right", "cursor(10)", "Read", show=False, tooltip="Ten columns later"),
        Binding(
            "escape", "leave_step", "Return", key_display="esc", tooltip="The whole run again, then where you came from"
        ),
        *bindings("training"),
    ]
    DEFAULT_CSS = """
    TrainingScreen #empty { height: 1fr; content-align: center middle; color: $text-muted; }
    TrainingScreen #run { height: 1fr; }
    TrainingScreen #headline, TrainingScreen #progress { height: 1; }
    TrainingScreen #main { height: 1fr; }
    TrainingScreen #loss { padding: 0 1 0 0; }
    TrainingScreen #stages { width: 1fr; height: 1fr; display: none; }
    TrainingScreen #facts { width: 34; height: 1fr; }
    TrainingScreen #small { height: 7; display: none; }
    TrainingScreen #news { height: 3; }
    TrainingScreen.-tall #small { display: block; layout: horizontal; }
    TrainingScreen #run.-starting #small { display: none; }
    TrainingScreen.-short #headline, TrainingScreen.-short #news { padding: 0 1; }
    TrainingScreen.-tall #progress { margin: 0 0 1 0; }
    TrainingScreen.-very-wide #facts { width: 52; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.followed: Followed | None = None
        self.actions = RunActions(self, lambda: self.followed, self._tick, back="training")
        self.predicted: int | None = None
        self._predicting = False
        self._log_axis: bool | None = None
        """As a person chose it; None: as the curve needs it."""
        self.window = Window()
        self._reading = False
        self._call = Call(self)
        self._painted: dict[str, str] = {}
        self._repainting = False

    def body(self) -> ComposeResult:
        yield Static(id="empty")
        with Vertical(id="run"):
            yield StillText(id="headline")
            yield StillText(id="progress")
            with Horizontal(id="main"):
                yield Chart("loss", id="loss", classes="box")
                yield StillText(id="stages", classes="box")
                yield StillText(id="facts", classes="box")
            with Horizontal(id="small"):
                yield Chart("learning rate", id="rate", classes="box")
                yield Chart("gradient norm", id="gradient", classes="box")
                yield Chart("tokens/s", id="speed", classes="box")
            yield Static(id="news")

    def heading(self) -> Content:
        """What is true of this run: one that is over does not go on."""
        ended = self.followed is not None and self.followed.status.over
        words = self.app.state.apart or (ENDED_EXPLANATION if ended else self.EXPLANATION)
        return Content.assemble((self.HEADING, "bold $foreground"), "  ", (words, "$text-muted"))

    def on_mount(self) -> None:
        self.query_one("#run").display = False
        self.set_interval(POLL_SECONDS, self._tick)

    # Which run

    def shown(self) -> None:
        if self.app.sampler is not None:
            self.app.sampler.resume()
        self._choose()

    def _choose(self) -> None:
        path = self.app.state.run.path
        if path and (self.followed is None or str(self.followed.run.path) != path):
            self.open_run(path)
        elif self.followed is None:
            self._show_empty()
        else:
            self._tick()

    def open_run(self, path: str) -> None:
        """Show another run, whole."""
        self.followed = follow(path)
        self.predicted, self._predicting = None, False
        self.window = Window()
        self._painted.clear()
        self._reading = False
        self.actions.renew_keys()
        self._tick()

    def _show_empty(self) -> None:
        self.query_one("#run").display = False
        empty = self.query_one("#empty", Static)
        empty.display = True
        self._put(
            "empty",
            Content.assemble(
                ("No run yet.\n\n", "$foreground"),
                ("5", "bold $footer-key-foreground"),
                " reviews the plan and starts one   ",
                ("^r", "bold $footer-key-foreground"),
                " shows earlier runs",
            ),
        )
        self.refresh_bindings()

    # Reading: in a thread, so that a slow disk never holds the keyboard up

    def _tick(self) -> None:
        if self.followed is not None and self.is_current and not self._reading:
            self._reading = True
            self._read(self.followed)

    @work(group="follow", exit_on_error=False)
    async def _read(self, followed: Followed) -> None:
        try:
            news = await asyncio.to_thread(followed.poll)
            while not followed.whole and followed is self.followed:
                news = await asyncio.to_thread(followed.poll) or news
        finally:
            self._reading = False
        await self._call.look(followed)
        if followed is self.followed and (news or not self._painted):
            self._paint(followed)
        elif followed is self.followed and not followed.status.over:
            self._paint_live(followed)
        if not self._predicting and followed.plan is not None and followed.record.data is not None:
            self._predicting = True
            self._predict(followed)

    @work(group="predict", exit_on_error=False)
    async def _predict(self, followed: Followed) -> None:
        assert followed.plan is not None
        found = await asyncio.to_thread(predicted_bytes, followed.plan, followed.record)
        if followed is self.followed:
            self.predicted = found
            self._paint(followed)

    # Painting

    def on_resize(self) -> None:
        if self.followed is not None and self._painted:
            self._painted.clear()
            self.call_after_refresh(self._paint, self.followed)

    @on(StillText.Resized)
    def _room_changed(self) -> None:
        """Figures are cut to the room that they have, and the news take theirs from it: once it is shared out, they are
        painted for it, whatever came first.
        """
        if self.followed is not None and self._painted and not self._repainting:
            self._repainting = True
            self.call_later(self._repaint, self.followed)

    def _repaint(self, followed: Followed) -> None:
        self._repainting = False
        if followed is self.followed:
            self._paint(followed)

    def _paint(self, followed: Followed) -> None:
        record, status = followed.record, followed.status
        if status.over and self.app.sampler is not None:
            self.app.sampler.pause()
        self.query_one("#empty").display = False
        run = self.query_one("#run")
        run.display = True
        self._put("heading", self.heading())
        self._put("headline", headline(followed))
        self._put("progress", progress_bar(record, status, max(20, self.query_one("#progress").size.width)))
        self._put("facts", self._facts(followed))
        chart = self.query_one("#loss", Chart)
        title = loss_title(one_line(followed.run.name, 80), self.log_axis, chart.outer_size.width)
        if chart.border_title != title:
            chart.border_title = Content(title).markup
        legend = loss_legend(record, self.log_axis, chosen=self._log_axis is not None, width=chart.size.width)
        if chart.border_subtitle != legend:
            chart.border_subtitle = Content(legend).markup
        starting = record.step is None and followed.looked and not followed.status.over
        stages = self.query_one("#stages")
        if stages.display != starting:
            stages.display, chart.display = starting, not starting
            run.set_class(starting, "-starting")
        if starting:
            self._put("stages", start_lines(followed, *stages.content_size))
        span = self.window.span(x_end(record), self._newest)
        nothing = NO_STEP if status.over and record.step is None else ""
        loss = loss_picture(record, log=self.log_axis, cursor=self.window.cursor, span=span)
        chart.show(replace(loss, nothing=nothing))
        if self.query_one("#small").display:
            for name, curve in (
                ("rate", record.learning_rate),
                ("gradient", record.grad_norm),
                ("speed", record.speed),
            ):
                small = small_picture(record, curve, self.window.cursor, span)
                self.query_one(f"#{name}", Chart).show(replace(small, nothing=nothing))
        self._put_news(followed)
        self.actions.confirm(followed)
        self.actions.renew_keys()

    def _put_news(self, followed: Followed) -> None:
        """What is told of the run, in as many rows as its sentences take and the curves can spare."""
        least, most, wished = rows_for_news(self.size.height, wide=self.has_class("-very-wide"))
        state = self.app.state
        drafted = state.draft.run == str(followed.run.path) and state.done("training")
        lines = news(followed, self.size.width, wished, most, drafted=drafted)
        rows = min(max(least, rows_of(lines, self.size.width)), most)
        widget = self.query_one("#news")
        if widget.styles.height is None or widget.styles.height.value != rows:
            widget.styles.height = rows
        self._put("news", fitted(lines, self.size.width, rows))

    def _paint_live(self, followed: Followed) -> None:
        """What moves without the run's own word: its device, and the time that a stage of the start takes."""
        self._put("facts", self._facts(followed))
        stages = self.query_one("#stages")
        if stages.display:
            self._put("stages", start_lines(followed, *stages.content_size))

    def _put(self, name: str, content: Content) -> None:
        """Update a text only when it is another: what does not change is not written again."""
        if self._painted.get(name) != content.markup:
            self._painted[name] = content.markup
            widget = self.query_one(f"#{name}")
            if isinstance(widget, StillText):
                widget.show(content)
            elif isinstance(widget, Static):
                widget.update(content, layout=False)

    def _facts(self, followed: Followed) -> Content:
        widget = self.query_one("#facts")
        width = max(20, widget.content_size.width or 30)
        found = gauges(followed, self._machine)
        record, height = followed.record, widget.content_size.height
        least = len(fitting_figures(record, self.predicted, width, 0))  # the bars give way before a figure does
        lines = gauge_lines(found[: max(0, height - least)] if height else found, width)
        figures = fitting_figures(record, self.predicted, width, max(0, height - len(lines)) if height else 99)
        if lines and height > len(lines) + len(figures):
            lines.append(Content(""))
        lines += figures
        height = height or len(lines)
        lines += history_lines(record, width, height - len(lines))
        return Content("\n").join(lines[:height])

    @property
    def _machine(self) -> Machine | None:
        """The machine as it was last sampled."""
        return self.app.sampler.newest if self.app.sampler is not None else None

    def on_screen_suspend(self) -> None:
        if self.app.sampler is not None:
            self.app.sampler.pause()

    # What one may do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "act":
            return not self.actions.why_not(str(parameters[0]))
        if action in ("log_axis", "cursor", "zoom"):
            return self.followed is not None
        return super().check_action(action, parameters)

    def action_act(self, name: str) -> None:
        """Do something with the run."""
        self.actions.do(name)

    def on_key(self, event: events.Key) -> None:
        """Say why a key does nothing now."""
        self.actions.explain(event.key)

    # Reading the curves

    @property
    def _newest(self) -> float:
        step = self.followed.record.step if self.followed is not None else None
        return float(step.step) if step is not None else 0.0

    def action_cursor(self, by: int) -> None:
        """Read the curves at another step."""
        if self.followed is not None and self._newest:
            self._look(
                self.window.moved(
                    by, max(1, self.query_one("#loss").size.width - 8), x_end(self.followed.record), self._newest
                )
            )

    def action_zoom(self, by: int) -> None:
        """Fewer steps, or more."""
        if self.followed is not None:
            self._look(self.window.zoomed(by, x_end(self.followed.record)))

    def action_leave_step(self) -> None:
        """The whole run again; where it is shown, back to the screen from which this one was opened."""
        if self.window == Window():
            self.app.leave_training()
        else:
            self._look(Window())

    def action_log_axis(self) -> None:
        """Logarithmic loss axis, and back."""
        self._log_axis = not self.log_axis
        self.paint_now()

    @property
    def log_axis(self) -> bool:
        """Whether the loss stands on a logarithmic axis: as chosen, else where the curve lies on the floor."""
        if self._log_axis is not None or self.followed is None:
            return bool(self._log_axis)
        return lies_on_floor([point.last for point in self.followed.record.loss_smooth.points])

    def _look(self, window: Window) -> None:
        if window != self.window:
            self.window = window
            self.paint_now()
            if self.followed is not None:
                self.say(reading(self.followed.record, window.cursor) if window.cursor is not None else "")

    def paint_now(self) -> None:
        """Paint what is known."""
        if self.followed is not None:
            self._paint(self.followed)
