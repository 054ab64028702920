"""A run, live: how far it is, what the loss does, what was found, and what one may do about it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from typing import ClassVar

from textual import events, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import Static

from loratui.core.hardware import Gpu
from loratui.format import home_short, one_line
from loratui.runs.directory import step_of
from loratui.runs.events import Failed, Finished, Stopped
from loratui.tui.common.still_text import StillText
from loratui.tui.frame.step import StepScreen
from loratui.tui.keys import RUN, bindings
from loratui.tui.training.allowed import run_bindings
from loratui.tui.training.chart import Chart
from loratui.tui.training.curves import Window, loss_picture, reading, small_picture, x_end
from loratui.tui.training.follow import Followed, follow
from loratui.tui.training.run_actions import RunActions
from loratui.tui.training.run_state import (
    facts,
    finding_lines,
    finished_words,
    fix_line,
    gpu_facts,
    headline,
    progress_bar,
    spoilt,
)

POLL_SECONDS = 1.0


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
        "rise while the line falls mean that the rows are being learnt by heart."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *run_bindings(),
        Binding("left", "cursor(-1)", "Read", show=False, tooltip="Read the curves at an earlier step"),
        Binding("right", "cursor(1)", "Read", show=False, tooltip="Read the curves at a later step"),
        Binding("shift+left,ctrl+left", "cursor(-10)", "Read", show=False, tooltip="Ten columns earlier"),
        Binding("shift+right,ctrl+right", "cursor(10)", "Read", show=False, tooltip="Ten columns later"),
        Binding("escape", "no_cursor", "Whole", show=False, tooltip="No cursor, and the whole run"),
        *bindings("training"),
    ]
    DEFAULT_CSS = """
    TrainingScreen #empty { height: 1fr; content-align: center middle; color: $text-muted; }
    TrainingScreen #run { height: 1fr; }
    TrainingScreen #headline, TrainingScreen #progress { height: 1; }
    TrainingScreen #main { height: 1fr; }
    TrainingScreen #loss { padding: 0 1 0 0; }
    TrainingScreen #facts { width: 34; height: 1fr; }
    TrainingScreen #small { height: 7; display: none; }
    TrainingScreen #news { height: 3; }
    TrainingScreen.-tall #news { height: 4; }
    TrainingScreen.-tall #small { display: block; layout: horizontal; }
    TrainingScreen.-tall #progress { margin: 0 0 1 0; }
    TrainingScreen.-very-wide #facts { width: 40; }
    """

    def __init__(self) -> None:
        super().__init__()
        self.followed: Followed | None = None
        self.actions = RunActions(self, lambda: self.followed, self._tick, back="training")
        self.predicted: int | None = None
        self._predicting = False
        self._log_axis = False
        self.window = Window()
        self._reading = False
        self._painted: dict[str, str] = {}

    def body(self) -> ComposeResult:
        yield Static(id="empty")
        with Vertical(id="run"):
            yield StillText(id="headline")
            yield StillText(id="progress")
            with Horizontal(id="main"):
                yield Chart("loss", id="loss", classes="box")
                yield StillText(id="facts", classes="box")
            with Horizontal(id="small"):
                yield Chart("learning rate", id="rate", classes="box")
                yield Chart("gradient norm", id="gradient", classes="box")
                yield Chart("tokens/s", id="speed", classes="box")
            yield Static(id="news")

    def on_mount(self) -> None:
        self.query_one("#run").display = False
        self.set_interval(POLL_SECONDS, self._tick)

    # Which run

    def shown(self) -> None:
        if self.app.sampler is not None and self.app.sampler.newest is not None and self.app.sampler.newest.gpus:
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
        if followed is self.followed and (news or not self._painted):
            self._paint(followed)
        if not self._predicting and followed.plan is not None and followed.record.data is not None:
            self._predicting = True
            self._predict(followed)

    @work(group="predict", exit_on_error=False)
    async def _predict(self, followed: Followed) -> None:
        from loratui.tui.training.curves import predicted_bytes

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

    def _paint(self, followed: Followed) -> None:
        record, status = followed.record, followed.status
        self.query_one("#empty").display = False
        run = self.query_one("#run")
        if not run.display:
            run.display = True
            self.call_after_refresh(self._paint, followed)
        self._put("headline", headline(followed))
        self._put("progress", progress_bar(record, status, max(20, self.query_one("#progress").size.width)))
        self._put("facts", self._facts(followed))
        chart = self.query_one("#loss", Chart)
        title = f"{one_line(followed.run.name, 40)} · loss{' (log)' if self._log_axis else ''}"
        if chart.border_title != title:
            chart.border_title = Content(title).markup
        span = self.window.span(x_end(record), self._newest)
        chart.show(loss_picture(record, log=self._log_axis, cursor=self.window.cursor, span=span))
        if self.query_one("#small").display:
            self.query_one("#rate", Chart).show(small_picture(record, record.learning_rate, self.window.cursor, span))
            self.query_one("#gradient", Chart).show(small_picture(record, record.grad_norm, self.window.cursor, span))
            self.query_one("#speed", Chart).show(small_picture(record, record.speed, self.window.cursor, span))
        self._put("news", self._news(followed))
        self.actions.confirm(followed)
        self.actions.renew_keys()

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
        lines = []
        figures = facts(followed.record, self.predicted)
        place = next(index for index, (name, _, _) in enumerate(figures) if name == "peak memory")
        figures[place:place] = gpu_facts(self._gpus(followed))
        for name, value, note in figures:
            used = 14 + len(value)
            shown = note if used + 1 + len(note) <= width else ""
            lines.append(
                Content.assemble((f"{name:<14}", "$text-muted"), (value, "$foreground"), (f" {shown}", "$text-muted"))
            )
        height = widget.content_size.height or len(lines)
        return Content("\n").join(lines[:height])

    @property
    def _sampled(self) -> Sequence[Gpu]:
        sampler = self.app.sampler
        return sampler.newest.gpus if sampler is not None and sampler.newest is not None else ()

    def _gpus(self, followed: Followed) -> list[Gpu]:
        """The cards that the run trains on, as they are now; none where it is over, elsewhere or on the CPU."""
        plan = followed.plan
        if followed.status.over or plan is None or plan.hardware.cpu:
            return []
        if followed.status.host and followed.status.host != os.uname().nodename:
            return []
        gpus = [gpu for gpu in self._sampled if gpu.visible]
        return [gpu for gpu in gpus if gpu.index in plan.hardware.devices] if plan.hardware.devices else gpus[:1]

    def on_screen_suspend(self) -> None:
        if self.app.sampler is not None:
            self.app.sampler.pause()

    def _news(self, followed: Followed) -> Content:
        record, status = followed.record, followed.status
        lines: list[Content] = []
        ended = record.ended if status.over else None
        if followed.problem:
            lines.append(Content(f"✗ {one_line(followed.problem, 300)}").stylize("$error"))
        if isinstance(ended, Finished) and (bad := spoilt(followed)[1]):
            lines += [Content(f"✗ {one_line(bad, 300)}").stylize("$error"), *fix_line(followed)]
            key = ("f", "bold $footer-key-foreground")
            lines.append(Content.assemble("  Its result is worth nothing.  ", key, " shows what would mend it"))
            return self._fitted(lines)
        if isinstance(ended, Finished):
            lines.append(
                Content.assemble(
                    ("✓ ", "$success"),
                    (f"Finished: {finished_words(ended, record)}.  ", "$foreground"),
                    (RUN["ask"], "bold $footer-key-foreground"),
                    " asks it something",
                )
            )
        elif isinstance(ended, Stopped):
            saved = f", saved as {one_line(ended.checkpoint, 40)}" if ended.checkpoint else ""
            lines.append(
                Content.assemble(
                    ("■ ", "$warning"),
                    f"Stopped at step {ended.step}{saved}.  ",
                    (RUN["resume"], "bold $footer-key-foreground"),
                    " goes on from there",
                )
            )
        elif status.state in ("failed", "lost"):
            said = ended.message if isinstance(ended, Failed) else status.message
            lines.append(
                Content(f"✗ {one_line(said or 'The worker is gone and left no word.', 400)}").stylize("$error")
            )
            last = followed.run.last_checkpoint()  # those that were set aside as spoilt are none
            hint = (
                f"  {RUN['resume']} resumes from step {step_of(last)}" if last else f"  {RUN['resume']} starts it again"
            )
            lines.append(
                Content(
                    f"  {RUN['log']} shows the log ({one_line(home_short(followed.run.log_path), 90)}){hint}"
                ).stylize("$text-muted")
            )
        lines += finding_lines(followed)
        if record.samples and len(lines) < 2:
            sample = record.samples[-1]
            lines.append(
                Content.assemble(
                    (f"step {sample.step}  ", "$text-muted"),
                    (one_line(sample.prompt, 60), "$text-muted"),
                    " → ",
                    (one_line(sample.answer, 200), "$foreground"),
                )
            )
        return self._fitted(lines)

    def _fitted(self, lines: Sequence[Content]) -> Content:
        """Lines of at most two rows each."""
        return Content("\n").join(
            line.truncate(max(20, self.size.width - 4), ellipsis=True) if len(line) > 2 * self.size.width else line
            for line in lines
        )

    # What one may do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "act":
            return not self.actions.why_not(str(parameters[0]))
        if action in ("log_axis", "cursor", "zoom", "no_cursor"):
            return self.followed is not None
        return super().check_action(action, parameters)

    def action_act(self, name: str) -> None:
        """Do something with the run."""
        self.actions.do(name)

    def on_key(self, event: events.Key) -> None:
        """Say why a key does nothing now."""
        self.actions.explain(event.key)

    def may_quit(self) -> bool:
        """Quitting loses nothing; where a run goes on, the terminal is told how to come back to it."""
        followed = self.followed
        if followed is None or followed.status.over:
            return True
        self.app.state.file.save()
        self.app.exit(message=f"{followed.run.name} goes on. Watch it with: loratui attach {followed.run.name}")
        return False

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

    def action_no_cursor(self) -> None:
        """The whole run again."""
        self._look(Window())

    def action_log_axis(self) -> None:
        """Logarithmic loss axis, and back."""
        self._log_axis = not self._log_axis
        self.paint_now()

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
