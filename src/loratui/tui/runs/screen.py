"""All runs of this machine: what they do, and the way back to them."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loratui.core.errors import LoratuiError
from loratui.format import one_line
from loratui.runs.listing import RunSummary, list_runs
from loratui.tui.frame.step import StepScreen
from loratui.tui.keys import bindings
from loratui.tui.training.allowed import run_bindings
from loratui.tui.training.follow import Followed
from loratui.tui.training.history import loss_glimpse, sparkline
from loratui.tui.training.run_actions import RunActions
from loratui.tui.training.run_state import LOOKS

REFRESH_SECONDS = 2.0
SETTLE_SECONDS = 0.1
"""How long the cursor rests on a run before its history is read: a held arrow key passes over many."""
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
        "resumed from its last whole checkpoint; a finished one answers in the playground, and can be trained for more "
        "epochs or anew."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("runs"),
        *run_bindings(),
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
        self._followed: dict[str, Followed] = {}
        """What is known of each run that the cursor was on."""
        self._studying = False
        self.actions = RunActions(self, lambda: self.followed, self._tick, back="runs", named=True)
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
        self._renew_followed()
        self._paint()
        self._study()

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

    # The run under the cursor, as the training screen knows it

    @property
    def followed(self) -> Followed | None:
        """The run under the cursor with all that is known of it so far."""
        summary = self.chosen if self.is_mounted else None
        if summary is None:
            return None
        if summary.name not in self._followed:
            self._followed[summary.name] = Followed(
                summary.run, status=summary.status, plan=summary.plan, problem=summary.problem, looked=True
            )
        return self._followed[summary.name]

    def _renew_followed(self) -> None:
        summaries = {line.summary.name: line.summary for line in self._lines}
        self._followed = {name: one for name, one in self._followed.items() if name in summaries}
        for name, followed in self._followed.items():
            summary = summaries[name]
            followed.status, followed.plan, followed.problem = summary.status, summary.plan, summary.problem

    def _study(self) -> None:
        if not self._studying and self.is_current and self.chosen is not None:
            self._studying = True
            self._read_chosen()

    @work(group="study", exit_on_error=False)
    async def _read_chosen(self) -> None:
        """Read what is new of the run under the cursor, and of the one that was asked something."""
        try:
            await asyncio.sleep(SETTLE_SECONDS)
            if (waiting := self.actions.waiting) is not None and waiting is not self.followed:
                await asyncio.to_thread(waiting.poll)
                self.actions.confirm(waiting)
            while (followed := self.followed) is not None:
                await asyncio.to_thread(followed.poll)
                self.actions.confirm(followed)
                if followed is self.followed and followed.whole:
                    break
        finally:
            self._studying = False
        self._show_keys()

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
        self.actions.renew_keys(self.check_action("open", ()), self.check_action("compare", ()))

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
        self._study()

    def _show_where(self) -> None:
        summary = self.chosen
        words = ""
        if summary is not None:
            plan = summary.plan
            made_of = f"{plan.model.id} · {plan.method.kind} · {plan.dataset.path}" if plan else summary.problem
            made_of = f"not made here · {made_of}" if summary.foreign else made_of
            mark = "✗" if summary.state in ("failed", "lost") else "▲"
            told = summary.words if summary.state in ("failed", "lost") or not summary.status.message else ""
            words = f"{made_of}{f'  {mark} {told}' if told and plan else ''}"
        if words != self._where:
            self._where = words
            self.query_one("#where", Static).update(Content(one_line(words, 300)))

    # What one may do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("next", "back"):
            return False
        if action == "compare":
            return len(self._lines) > 1
        if action == "open":
            return self.is_mounted and self.chosen is not None
        if action == "act":
            return not self.actions.why_not(str(parameters[0]))
        return super().check_action(action, parameters)

    @on(OptionList.OptionSelected)
    def action_open(self) -> None:
        """Show the run."""
        if self.chosen is not None:
            self.app.state.run.show(str(self.chosen.run.path))
            self.app.open_step("training")

    def action_act(self, name: str) -> None:
        """Do something with the run under the cursor."""
        self.actions.do(name)

    def on_key(self, event: events.Key) -> None:
        """Say why a key does nothing now."""
        self.actions.explain(event.key)

    def action_compare(self) -> None:
        """Mark the first run, or compare it with this one."""
        chosen, marked = self.chosen, self._marked
        if chosen is None:
            return
        if marked is None or marked.name == chosen.name:
            self._marked = chosen
            self.say(f"{chosen.name} is marked. Go to another run and press d again.")
            return
        from loratui.tui.runs.compare import CompareScreen

        self._marked = None
        self.say("")
        self.app.push_screen(CompareScreen(marked.run, chosen.run))

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
