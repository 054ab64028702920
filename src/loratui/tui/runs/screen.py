"""All runs of this machine: what they do, and the way back to them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loratui.core.errors import LoratuiError
from loratui.format import one_line
from loratui.runs.directory import Run
from loratui.runs.listing import RunSummary, list_runs
from loratui.tui.frame.step import StepScreen
from loratui.tui.training.history import loss_glimpse, sparkline
from loratui.tui.training.run_state import LOOKS

if TYPE_CHECKING:
    from loratui.tui.app import LoratuiApp

REFRESH_SECONDS = 2.0
GLIMPSE_POINTS = 16
AGE_CELLS = 10


@dataclass(frozen=True)
class Line:
    """What the list shows of one run."""

    summary: RunSummary
    losses: tuple[float, ...]


class RunsScreen(StepScreen):
    """The list, newest first; looked at again every two seconds, repainted where something changed."""

    STEP = "runs"
    HEADING = "Runs"
    EXPLANATION = "Everything that was trained here, newest first."
    MEMORY = False
    HELP_TEXT = (
        "Runs live in directories of their own and go on without this program. A run that is lost, stopped or failed "
        "can be "
        "resumed from its last whole checkpoint; a finished one answers in the playground."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("o", "open", "Open", tooltip="Show the run", key_display="⏎"),
        Binding("s", "stop", "Stop", tooltip="Finish the step, save a checkpoint, and stop"),
        Binding("u", "resume", "Resume", tooltip="Go on from the last checkpoint"),
        Binding("a", "ask", "Ask it", tooltip="Ask it something in the playground"),
        Binding(
            "c",
            "compare",
            "Compare",
            tooltip="Mark this run; on another one, show both on one chart and what differs in their plans",
        ),
        Binding("t", "take_away", "Take away", tooltip="Merge, export, push or serve what it made"),
        Binding("m", "more", "More epochs", tooltip="Train it for more epochs, from its last checkpoint"),
        Binding("escape", "leave", "Back", tooltip="Back to the step that was open"),
    ]
    DEFAULT_CSS = """
    RunsScreen #columns { height: 1; padding: 0 2; color: $text-muted; }
    RunsScreen #runs { height: 1fr; }
    RunsScreen #where { height: 1; color: $text-muted; padding: 0 2; }
    RunsScreen #no-runs { height: 1fr; content-align: center middle; color: $text-muted; }
    """

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Line] = []
        self._shown: list[str] = []
        self._glimpses: dict[str, tuple[tuple[int, int], tuple[float, ...]]] = {}
        self._reading = False
        self._keys: tuple[bool | None, ...] = ()
        self._where = ""
        self._marked: RunSummary | None = None
        """The first of two runs to be compared."""

    def body(self) -> ComposeResult:
        yield Static(id="columns")
        yield OptionList(id="runs", compact=False)
        yield Static(id="no-runs")
        yield Static(id="where")

    def on_mount(self) -> None:
        self.query_one("#no-runs").display = False
        self.set_interval(REFRESH_SECONDS, self._tick)

    def shown(self) -> None:
        self._tick()
        self.query_one("#runs").focus()

    def on_resize(self) -> None:
        if self._lines:
            self._shown = []
            self.call_after_refresh(self._paint)

    # Reading

    def _tick(self) -> None:
        if self.is_current and not self._reading:
            self._reading = True
            self._read()

    @work(group="runs", exit_on_error=False)
    async def _read(self) -> None:
        try:
            lines = await asyncio.to_thread(self._look)
        except LoratuiError as error:
            self.say(error.sentence, "error")
            return
        finally:
            self._reading = False
        self._lines = lines
        self._paint()

    def _look(self) -> list[Line]:
        return [Line(summary, self._losses(summary)) for summary in list_runs()]

    def _losses(self, summary: RunSummary) -> tuple[float, ...]:
        try:
            found = summary.run.events_path.stat()
        except OSError:
            return ()
        mark = (found.st_size, found.st_mtime_ns)
        known = self._glimpses.get(summary.name)
        if known is None or known[0] != mark:
            known = (mark, tuple(loss_glimpse(summary.run.events_path, GLIMPSE_POINTS)))
            self._glimpses[summary.name] = known
        return known[1]

    # Painting

    def _paint(self) -> None:
        listed = self.query_one("#runs", OptionList)
        empty = self.query_one("#no-runs", Static)
        listed.display, empty.display = bool(self._lines), not self._lines
        if not self._lines:
            empty.update(
                Content.assemble(
                    ("No runs yet on this machine.\n\n", "$foreground"),
                    ("5", "bold $footer-key-foreground"),
                    " reviews the plan and starts one",
                )
            )
            self.query_one("#columns", Static).update("")
        else:
            self._paint_lines(listed)
        self._show_where()
        self._show_keys()

    def _show_keys(self) -> None:
        """The keys for the run under the cursor, written again only where they are others."""
        keys = tuple(
            self.check_action(action, ())
            for action in ("open", "stop", "resume", "ask", "compare", "take_away", "more")
        )
        if keys != self._keys:
            self._keys = keys
            self.refresh_bindings()

    def _paint_lines(self, listed: OptionList) -> None:
        width = max(60, (listed.scrollable_content_region.width or self.size.width - 8) - 2)
        self.query_one("#columns", Static).update(Content(heading(width)))
        names = [line.summary.name for line in self._lines]
        contents = [row(line, width) for line in self._lines]
        if names != [option.id for option in listed.options]:
            kept = self._lines_name(listed.highlighted)
            listed.clear_options()
            listed.add_options([Option(content, id=name) for content, name in zip(contents, names, strict=True)])
            listed.highlighted = names.index(kept) if kept in names else 0
        else:
            for name, content, before in zip(names, contents, self._shown or [""] * len(names), strict=True):
                if content.markup != before:
                    listed.replace_option_prompt(name, content)
        self._shown = [content.markup for content in contents]

    def _lines_name(self, place: int | None) -> str:
        listed = self.query_one("#runs", OptionList)
        return str(listed.get_option_at_index(place).id) if place is not None and place < listed.option_count else ""

    @property
    def chosen(self) -> RunSummary | None:
        """The run under the cursor."""
        name = self._lines_name(self.query_one("#runs", OptionList).highlighted)
        return next((line.summary for line in self._lines if line.summary.name == name), None)

    @on(OptionList.OptionHighlighted)
    def _moved(self) -> None:
        self._show_where()
        self._show_keys()

    def _show_where(self) -> None:
        summary = self.chosen
        words = ""
        if summary is not None:
            plan = summary.plan
            made_of = f"{plan.model.id} · {plan.method.kind} · {plan.dataset.path}" if plan else summary.problem
            message = summary.status.message
            words = f"{made_of}{'  ✗ ' + message if message and summary.state in ('failed', 'lost') else ''}"
        if words != self._where:
            self._where = words
            self.query_one("#where", Static).update(Content(one_line(words, 300)))

    # What one may do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("next", "back"):
            return False
        if action == "compare":
            return len(self._lines) > 1
        if action in ("open", "stop", "resume", "more", "ask", "take_away"):
            summary = self.chosen if self.is_mounted else None
            if summary is None:
                return False
            if action == "stop":
                return not summary.status.over
            if action == "resume":
                return summary.state in ("stopped", "failed", "lost")
            if action == "more":
                from loratui.tui.training.resume import can_be_extended

                return can_be_extended(summary.state, summary.plan)
            if action == "ask":
                return summary.state == "finished" or bool(summary.run.checkpoints())
            if action == "take_away":
                return summary.plan is not None
        return super().check_action(action, parameters)

    @on(OptionList.OptionSelected)
    def action_open(self) -> None:
        """Show the run."""
        if self.chosen is not None:
            self.app.state.run.show(str(self.chosen.run.path))
            self.app.open_step("training")

    @work(group="ask", exit_on_error=False)
    async def action_stop(self) -> None:
        """Ask first, then ask the worker."""
        summary = self.chosen
        if summary is None:
            return
        from loratui.tui.common.dialogs import ConfirmScreen

        sentence = (
            "The worker finishes the step in hand, saves a checkpoint and stops. The run can be resumed from there at "
            "any time."
        )
        if await self.app.push_screen_wait(
            ConfirmScreen(f"Stop {summary.name}?", sentence, "stop and save", "let it run")
        ):
            from loratui.runs.control import stop_run

            self._control(partial(stop_run, summary.run), f"{summary.name} stops after this step …")

    @work(group="ask", exit_on_error=False)
    async def action_resume(self) -> None:
        """Go on from the last checkpoint; what would differ is shown first."""
        from loratui.tui.training.resume import resume

        await self._go_on(resume)

    @work(group="ask", exit_on_error=False)
    async def action_more(self) -> None:
        """Train it for more epochs from its last checkpoint."""
        from loratui.tui.training.resume import train_longer

        await self._go_on(train_longer)

    async def _go_on(self, way: Callable[[LoratuiApp, Run], Awaitable[str]]) -> None:
        if self.chosen is None:
            return
        try:
            told = await way(self.app, self.chosen.run)
        except LoratuiError as error:
            self.say(error.sentence, "error")
            return
        if told:
            self.say(told)
            self._tick()

    def _control(self, action: partial[Any], sentence: str) -> None:
        try:
            action()
        except LoratuiError as error:
            self.say(error.sentence, "error")
            return
        self.say(sentence)
        self._tick()

    def action_ask(self) -> None:
        """Go to the playground with this run."""
        if self.chosen is not None:
            self.app.state.run.ask(str(self.chosen.run.path))
            self.app.open_step("playground")

    def action_compare(self) -> None:
        """Mark the first run, or compare it with this one."""
        chosen, marked = self.chosen, self._marked
        if chosen is None:
            return
        if marked is None or marked.name == chosen.name:
            self._marked = chosen
            self.say(f"{chosen.name} is marked. Go to another run and press c again.")
            return
        from loratui.tui.runs.compare import CompareScreen

        self._marked = None
        self.say("")
        self.app.push_screen(CompareScreen(marked.run, chosen.run))

    def action_take_away(self) -> None:
        """What can be made of it."""
        if self.chosen is not None:
            from loratui.tui.take_away.screen import TakeAwayScreen

            self.app.switch_screen(TakeAwayScreen(str(self.chosen.run.path), "runs"))

    def action_leave(self) -> None:
        """Back to the step that was open."""
        self.app.open_step(self.app.state.draft.step)


def _widths(width: int) -> tuple[int, int, int]:
    """Cells of name, progress bar and curve."""
    curve = GLIMPSE_POINTS if width >= 100 else 0
    bar = 16 if width >= 88 else 8
    name = max(16, width - 12 - bar - 6 - 9 - (curve + 2 if curve else 0) - AGE_CELLS)
    return name, bar, curve


def heading(width: int) -> str:
    """The columns' names over `row`."""
    name, bar, curve = _widths(width)
    middle = f"{'course':<{curve}}  " if curve else ""
    return f"{'state':<12}{'run':<{name}}{'progress':<{bar + 6}}{'loss':>7}  {middle}{'begun':>{AGE_CELLS}}"


def row(line: Line, width: int, now: float | None = None) -> Content:
    """One run in one line: state, name, progress, loss, its course, and when it was begun."""
    name, bar, curve = _widths(width)
    summary, status = line.summary, line.summary.status
    glyph, word, color = LOOKS.get(summary.state, ("?", summary.state, "$foreground"))
    share = min(1.0, status.step / status.total) if status.total else 0.0
    full = round(share * bar)
    loss = line.losses[-1] if line.losses else status.loss
    age = max(0.0, (time.time() if now is None else now) - summary.created) if summary.created else 0.0
    parts: list[tuple[str, str] | str] = [
        (f"{glyph} {word:<10}", color),
        (f"{one_line(summary.name, name - 2):<{name}}", "bold"),
        ("█" * full, color),
        ("·" * (bar - full), "$border-blurred"),
        (f" {share:4.0%} ", "$text-muted"),
        f"{loss:>7.3f}  " if loss is not None else f"{'–':>7}  ",
    ]
    if curve:
        parts += [(f"{sparkline(line.losses):<{curve}}", "$accent"), "  "]
    parts.append((f"{age_words(age):>{AGE_CELLS}}", "$text-muted"))
    return Content.assemble(*parts)


def age_words(seconds: float) -> str:
    """How long ago, in one unit: a list that stands still is not repainted."""
    if seconds < 60:
        return "just now"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length * (2 if unit == "d" else 1):
            return f"{int(seconds // length)} {unit} ago"
    return ""
