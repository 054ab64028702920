"""Home: what was trained on this machine, and the ways on. Painted before anything heavy is imported."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.widgets import OptionList, Static

from loratui.core.errors import LoratuiError
from loratui.format import one_line
from loratui.tui.frame.step import StepScreen
from loratui.tui.home.arrivals import Arrivals
from loratui.tui.home.doors import Door, Doors, Way, ways_on
from loratui.tui.home.experiments import ExperimentLines
from loratui.tui.home.more import RunMore, curve_of
from loratui.tui.home.run_list import Rows, RunList
from loratui.tui.keys import bindings
from loratui.tui.training.allowed import run_bindings
from loratui.tui.training.chart import Chart
from loratui.tui.wizard.draft import DEMO, Draft, step_to_open

if TYPE_CHECKING:
    from loratui.runs.listing import RunSummary
    from loratui.tui.experiment.work import Listed
    from loratui.tui.home.reading import Look, Looker
    from loratui.tui.training.follow import Followed
    from loratui.tui.training.run_actions import RunActions

REFRESH_SECONDS = 2.0
SETTLE_SECONDS = 0.1
"""How long the cursor rests on a run before its history is read: a held arrow key passes over many."""
WORDMARK = ("█   █▀█ █▀█ ▄▀█ ▀█▀ █ █ █", "█▄▄ █▄█ █▀▄ █▀█  █  █▄█ █")
FEW = 6
"""Runs up to which a low screen has room for more of the one under the cursor."""
LEAST_HEIGHT = 20
"""Lines of a terminal under which the runs need all of them."""
TALL = 30


class HomeScreen(StepScreen):
    """The ways on above, the runs below, newest first: looked at again every two seconds, repainted where something
    changed.
    """

    CSS_PATH = "home.tcss"
    STEP = "runs"
    HEADING = "loratui"
    EXPLANATION = "Everything that was trained here, and the ways on."
    MEMORY = False
    HELP_TEXT = (
        "Above are the ways on: the draft as you left it, a new one (the draft is kept aside), the demo. ↑ from the "
        "first run leads to them; there ← → and enter take one, and ↓ goes back to the runs.\n\n"
        "Runs live in directories of their own and go on without this program. A run that is lost, stopped or failed "
        "can be resumed from its last whole checkpoint; a finished one answers in the playground, and can be trained "
        "for more epochs or anew. Held-out is the least loss on rows that were not trained on: the lower, the better, "
        "among runs of the same rows. Beside it stands what is not the same in all; = shows what +3 leaves out.\n\n"
        "An experiment (V) is values of a plan tried against each other; each of its trials is a run of the list."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("runs"),
        *run_bindings(),
        Binding("escape", "leave", "Back", tooltip="Back to the step that was open"),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._looker: Looker | None = None
        self._reading = False
        self._followed: dict[str, Followed] = {}
        """What is known of each run that the cursor was on."""
        self._studying = False
        self._made_actions: RunActions | None = None
        self._where = self._door = ""
        self._awaited = False
        """Whether somebody went to the runs before they were read."""
        self._arrivals = Arrivals()
        self._marked: RunSummary | None = None
        """The first of two runs to be compared."""

    @property
    def actions(self) -> RunActions:
        """What one may do with the run under the cursor."""
        if self._made_actions is None:
            from loratui.tui.training.run_actions import RunActions

            self._made_actions = RunActions(self, lambda: self.followed, self._tick, back="runs", named=True)
        return self._made_actions

    def heading(self) -> Content:
        """The program's name, large where there is room; beside it what the way on under the focus does."""
        if self.app.size.height < TALL:
            return super().heading()
        words = ((self.EXPLANATION, "$text-muted"), (self._door, "$foreground"))
        return Content("\n").join(
            Content.assemble((mark, "bold $accent"), "   ", text) for mark, text in zip(WORDMARK, words, strict=True)
        )

    def body(self) -> ComposeResult:
        yield Doors(self._ways())
        yield ExperimentLines()
        with Horizontal(id="both"):
            with Vertical(id="list-side"):
                yield RunList()
                yield RunMore()
            with Vertical(id="beside"):
                yield Static(id="detail")
                yield Chart(id="run-curve")
        yield Static(id="where")

    def on_mount(self) -> None:
        for signal in self.app.state.choices.signals:
            self.hear(signal, self._show_ways)
        self.set_interval(REFRESH_SECONDS, self._tick)

    def shown(self) -> None:
        self._show_ways()
        self.call_after_refresh(self._tick)  # painted before anything is imported for the reading
        if self.app.begins_at_home or (self.listed.looked and not self.listed.lines):
            self.app.begins_at_home = False
            self.query_one(Doors).take_focus()
        elif not self.covered or self.focused is None:
            self.listed.rows.focus()

    def on_resize(self) -> None:
        self._show_heading()
        self.call_after_refresh(self._show_run)

    def _show_heading(self) -> None:
        self.query_one("#heading", Static).update(self.heading())

    # The ways on

    def _ways(self) -> list[Way]:
        return ways_on(self.app.state.draft, self.app.state.file.others())

    def _show_ways(self) -> None:
        self.query_one(Doors).show(self._ways())

    @on(Door.Focused)
    def _at_door(self, event: Door.Focused) -> None:
        self._door = event.way.says
        self._show_heading()
        self._show_run()

    @on(Door.Chosen)
    def _through_door(self, event: Door.Chosen) -> None:
        match event.way.key:
            case "go_on":
                self.action_next()
            case "new":
                self.app.begin_draft(Draft())
            case "demo":
                self.app.begin_draft(DEMO)
            case _:
                self._choose_kept()

    @on(Door.Downwards)
    def _to_the_runs(self) -> None:
        if self.listed.lines:
            self.listed.rows.focus()
        self._awaited = not self.listed.looked

    @on(Rows.Left)
    def _to_the_doors(self) -> None:
        self.query_one(Doors).take_focus()

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        if isinstance(event.widget, Door) and not isinstance(self.focused, Door):
            self._door = ""
            self._show_heading()
            self.call_after_refresh(self._show_run)

    @work
    async def _choose_kept(self) -> None:
        from loratui.tui.home.kept import KeptScreen

        other = await self.app.push_screen_wait(KeptScreen(self.app.state.file.others()))
        if other is not None:
            self.app.take_up(other, where_left=True)

    def action_next(self) -> None:
        """Go on with the draft, where it was left."""
        self.action_leave()

    # Reading

    def _tick(self) -> None:
        if self.is_current and not self._reading:
            self._reading = True
            self._read()

    @work(group="runs", exit_on_error=False)
    async def _read(self) -> None:
        more = True
        try:
            while more and self.is_current:
                look, tried = await asyncio.to_thread(self._look_at_runs)
                self.query_one(ExperimentLines).show(tried)
                more = look.more
                self._renew_followed(look)
                self.listed.show(look, self._marked.name if self._marked is not None else "")
                if came := self._arrivals.words(look, self.chosen.name if self.chosen is not None else ""):
                    self.say(came, "done")
                if look.lines and self._awaited:
                    self._to_the_runs()
                if not look.lines and not isinstance(self.focused, Door):
                    self.query_one(Doors).take_focus()
                self._show_run()
                self._study()
        except LoratuiError as error:
            self.say(error.sentence, "error")
        finally:
            self._reading = False

    def _look_at_runs(self) -> tuple[Look, list[Listed]]:
        from loratui.tui.experiment.work import listed
        from loratui.tui.home import lines  # noqa: F401  heavy, and needed once there is something to paint
        from loratui.tui.home.reading import Looker
        from loratui.tui.training import run_actions  # noqa: F401

        self._looker = self._looker or Looker()
        return self._looker.look(), listed()

    @property
    def listed(self) -> RunList:
        """The list of runs."""
        return self.query_one(RunList)

    @property
    def chosen(self) -> RunSummary | None:
        """The run under the cursor."""
        line = self.listed.chosen if self.is_mounted else None
        return line.summary if line is not None else None

    @property
    def followed(self) -> Followed | None:
        """The run under the cursor with all that is known of it so far, as the training screen knows it."""
        summary = self.chosen
        if summary is None:
            return None
        if summary.name not in self._followed:
            from loratui.tui.training.follow import Followed

            self._followed[summary.name] = Followed(
                summary.run, status=summary.status, plan=summary.plan, problem=summary.problem, looked=True
            )
        return self._followed[summary.name]

    def _renew_followed(self, look: Look) -> None:
        summaries = {line.summary.name: line.summary for line in look.lines}
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
        self._show_run()

    # Painting

    @on(OptionList.OptionHighlighted)
    def _moved(self) -> None:
        if self.chosen is not None and self._arrivals.passed(self._said.plain, self.chosen.name):
            self.say("")
        self._show_run()
        self._study()

    @property
    def _on_list(self) -> bool:
        """Whether keys are for the run under the cursor."""
        return not isinstance(self.focused, Door)

    def _show_run(self) -> None:
        """The run under the cursor in more words: in one line, or in a box of its own where there is room."""
        line = self.listed.chosen
        self.set_class(0 < len(self.listed.lines) <= FEW and self.size.height >= LEAST_HEIGHT, "-few")
        self.set_class(not self.listed.lines, "-no-runs")
        box, beside, chart = self.query_one("#detail", Static), self.query_one("#beside"), self.query_one(Chart)
        if line is None:
            self._tell_where(self._door)
            box.update(Content(""))
            beside.border_title = None
        else:
            from loratui.tui.home.lines import detail, other_of, where

            other = other_of(line, self.listed.lines, self._marked)
            self._tell_where(self._door or ("" if beside.display else where(line, other, self.size.width - 6)))
            beside.border_title = Content(one_line(line.summary.name, 60))
            width, height = box.content_size.width, box.content_size.height
            if chart.display:
                height = max(8, beside.content_size.height // 2)
                beside.border_subtitle = Content("loss, smoothed · ◆ held-out")
            else:
                beside.border_subtitle = None
            if width and height:
                box.update(detail(line, other, width, height))
            self._show_curve()
        if self.listed.looked:
            own = [self.check_action(name, ()) for name in ("open", "compare", "experiments")]
            self.actions.renew_keys(*own, self._on_list)

    def _show_curve(self) -> None:
        chart, followed = self.query_one("#run-curve", Chart), self.followed
        self.query_one(RunMore).show(followed)
        if chart.display and followed is not None:
            chart.show(curve_of(followed))

    def _tell_where(self, words: str) -> None:
        if words != self._where:
            self._where = words
            self.query_one("#where", Static).update(Content(one_line(words, 300)))

    # What one may do

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "back":
            return False
        if action == "compare":
            return self.is_mounted and self._on_list and len(self.listed.lines) > 1
        if action == "experiments":
            return self.is_mounted and self.query_one(ExperimentLines).any
        if action == "open":
            return self.is_mounted and self._on_list and self.chosen is not None
        if action == "act":
            return (
                self.is_mounted
                and self._on_list
                and self.listed.looked
                and not self.actions.why_not(str(parameters[0]))
            )
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
        if self._on_list and self.listed.looked:
            self.actions.explain(event.key)

    def action_compare(self) -> None:
        """Mark the first run, or compare it with this one."""
        chosen, marked = self.chosen, self._marked
        if chosen is None:
            return
        if marked is None or marked.name == chosen.name:
            self._marked = chosen
            self.say(f"{chosen.name} is marked. Go to another run and press = again.")
            self._tick()
            return
        from loratui.tui.home.compare import CompareScreen

        self._marked = None
        self.say("")
        self._tick()
        self.app.push_screen(CompareScreen(marked.run, chosen.run))

    @work(group="experiments", exit_on_error=False)
    async def action_experiments(self) -> None:
        """Show an experiment; which one is asked where there are several."""
        from loratui.tui.experiment.choose import open_one

        await open_one(self.app)

    def action_leave(self) -> None:
        """Back to the step that was open."""
        self.app.open_step(step_to_open(self.app.state.draft))
