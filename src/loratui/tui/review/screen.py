"""The fifth step: the plan in four cards and two pictures, what will be written where, and the start."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from loratui.files import write_whole
from loratui.format import one_line
from loratui.paths import home_short
from loratui.tui.frame.step import StepScreen
from loratui.tui.keys import bindings
from loratui.tui.review.cards import CardView, cards
from loratui.tui.review.pictures import NOTHING_YET, PictureBox, memory_picture, time_picture
from loratui.tui.review.rows import Row, plan_rows, said_rows, written_row
from loratui.tui.review.turn import TurnScreen, crowd_words, turn_words
from loratui.tui.review.two_columns import in_columns
from loratui.tui.wizard.command import command_text
from loratui.tui.wizard.missing import Problem

if TYPE_CHECKING:
    from loratui.core.plan import Plan
    from loratui.core.proposal import Proposal
    from loratui.queue.room import Crowd

LOOK_SECONDS = 10.0
"""How often it is looked who trains here meanwhile."""

ROOM_FOR_WORDS = 44
"""Lines of a terminal from which on words are explained below warnings, cards and pictures, and the cards have air."""
ROOM_FOR_BUTTON = 48
"""Lines of a terminal from which on the button is three of them, also below the whole plan."""


class StartButton(Static, can_focus=True):
    """The one thing to press on this screen: it starts the training, or writes the plan where it is for another
    machine.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "press('start')", "Start", key_display="enter", tooltip="Start training"),
        Binding("enter,space", "press('write')", "Write the plan", key_display="enter", tooltip="Write the plan"),
    ]
    does: Literal["start", "write"] = "start"

    class Pressed(Message):
        """Enter, or a click."""

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return action != "press" or parameters == (self.does,)

    def action_press(self, what: str) -> None:
        """Start training, or write the plan."""
        self.post_message(self.Pressed())

    def on_click(self, event: events.Click) -> None:
        self.action_press(self.does)


class ReviewScreen(StepScreen):
    """The four questions with their answers, and the digits that lead back to them."""

    CSS_PATH = "review.tcss"
    STEP = "review"
    HEADING = "Review"
    EXPLANATION = "What will happen, and what it takes."
    HELP_TEXT = (
        "Each card is one question; the digit in its corner leads back to where it is decided. m shows every setting, "
        "what is written where, and the command that does the same.\n\n"
        "The training runs in a process of its own: it goes on when this window closes, the connection drops or the "
        "wizard is ended. Everything it needs and makes lies in the run's folder.\n\n"
        "Where another training is at work on this machine, a start asks whether to wait for it; Q lets this one wait "
        "in any case (loratui queue).\n\n"
        "The command does the same without the wizard. y copies it, w writes the plan as a file, f shows what "
        "would make a plan fit."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f9", "start", "Start training", key_display="F9", show=False, tooltip="Start training"),
        *bindings("review"),
        Binding("down,j", "scroll(1)", "Down", show=False, tooltip="Scroll the whole plan down"),
        Binding("up,k", "scroll(-1)", "Up", show=False, tooltip="Scroll the whole plan up"),
    ]

    def body(self) -> ComposeResult:
        yield Static(id="said")
        with Container(id="review-cards"):
            for number in (2, 3, 4, 1):
                yield CardView(number)
        with Horizontal(id="pictures"):
            yield PictureBox("memory", memory_picture, id="memory-picture")
            yield PictureBox("time", time_picture, id="time-picture")
        with VerticalScroll(id="review", classes="box", can_focus=False):
            yield Static(id="review-text")
        yield StartButton(id="start")

    def on_mount(self) -> None:
        self._starting = False
        self._started_plan: Plan | None = None
        self._pictured: Proposal | None = None
        self._looked = False
        self._crowd: Crowd | None = None
        """Who is at work where this plan would train, as of the last look."""
        self._written: tuple[Proposal, Row] | None = None
        """The plan that was written for another machine, and what is to be done with it."""
        self.query_one("#review").border_title = Content("everything")
        state = self.app.state
        for signal in (state.plan.changed, state.check.changed, state.choices.run_chosen):
            self.hear(signal, self._renew)
        self.set_interval(LOOK_SECONDS, self._look_around)
        self.set_focus(self.query_one(StartButton))

    def problems(self) -> list[Problem]:
        """Going on to the training screen needs a run of this plan: Start makes one."""
        run, proposal = self.app.state.draft.run, self.app.state.plan.proposal
        if run and proposal is not None and proposal.plan == self._started_plan:
            return []
        if self.planned:
            return [Problem(f"{self.planned} is not here: enter writes the plan, to be trained there.", "#start")]
        shown = f", 6 shows {one_line(Path(run).name, 40)}" if run else ""
        return [*self.hindrances(), Problem(f"This plan was not started yet: enter or F9 starts it{shown}.", "#start")]

    @property
    def _partition(self) -> str:
        """The partition that the run is handed to; empty where it is for this machine."""
        proposal = self.app.state.plan.proposal
        if self.planned or proposal is None or not proposal.plan.cluster.engine:
            return ""
        return one_line(f"partition {proposal.plan.cluster.partition or '(default)'}", 40)

    @property
    def planned(self) -> str:
        """The GPU that is only planned for; empty where the plan is for this machine."""
        return self.app.state.draft.gpu

    def hindrances(self) -> list[Problem]:
        """What stands between this plan and a start."""
        state = self.app.state
        found = state.ready()
        if not found and state.plan.proposal is None:
            found.append(Problem("There is no plan yet: model and machine are still being looked up."))
        return found

    @property
    def _new_words(self) -> int:
        """None where what is to be known before the start and the pictures need the room."""
        return 0 if self._crowded else super()._new_words

    @property
    def _crowded(self) -> bool:
        """Whether what is to be known before the start leaves the pictures too little room."""
        return self.app.size.height < ROOM_FOR_WORDS and bool(self._said_rows(self.hindrances()))

    def shown(self) -> None:
        self.set_focus(self.query_one(StartButton))
        self._looked, self._crowd = False, None  # who was at work before may be over: it is looked anew
        self._renew()

    @property
    def _may_wait(self) -> bool:
        """Whether this machine's own queue is where the plan could wait."""
        proposal = self.app.state.plan.proposal
        return not self.planned and proposal is not None and not proposal.plan.cluster.engine

    def _look_around(self) -> None:
        if self.is_current and self._may_wait and not self._starting:
            self._looked = True
            self._look_for_crowd()

    @work(exclusive=True, group="crowd", exit_on_error=False)
    async def _look_for_crowd(self) -> None:
        await self._crowd_now()

    async def _crowd_now(self) -> Crowd | None:
        """Who is at work where the plan would train, told on the screen where that has changed."""
        from loratui.tui.wizard.loading import look_for_crowd

        proposal = self.app.state.plan.proposal
        found = await asyncio.to_thread(look_for_crowd, proposal.plan) if proposal is not None else None
        if found != self._crowd:
            self._crowd = found
            self._show()
        return found

    def on_screen_suspend(self) -> None:
        self._show()  # a panel that asks before the start: nothing is starting behind it

    def _renew(self) -> None:
        self._show()
        self.refresh_bindings()
        if not self._looked:  # there was no plan when the screen came
            self._look_around()

    def on_resize(self) -> None:
        self.call_after_refresh(self._renew)

    def _show(self) -> None:
        state, proposal = self.app.state, self.app.state.plan.proposal
        hindrances = self.hindrances()
        self.set_class(self.app.size.height < ROOM_FOR_WORDS, "-close")
        self.set_class(self.app.size.height < ROOM_FOR_BUTTON, "-low")
        self._show_said(self._said_rows(hindrances))
        for card in cards(state):
            self.query_one(f"#card-{card.number}", CardView).show(card)
        if proposal is not self._pictured:  # to compare two would work out every reason of both
            self._pictured = proposal
            for box in self.query(PictureBox):
                box.refresh()
        if self.query_one("#review").display:
            text = self.query_one("#review-text", Static)
            width = max(20, text.content_size.width - 1)
            rows = plan_rows(state)
            text.update(in_columns(rows, width) if rows else Content(NOTHING_YET).stylize("$text-muted"))
        button = self.query_one(StartButton)
        button.does = "write" if self.planned else "start"
        button.set_class(bool(hindrances), "-blocked")
        button.update(self._start_words(hindrances))

    def _said_rows(self, hindrances: list[Problem]) -> list[Row]:
        """What was just written first, as long as the plan is that one."""
        own = self._written is not None and self._written[0] is self.app.state.plan.proposal
        written = [self._written[1]] if own and self._written is not None else []
        return [*written, *self._crowd_rows(), *said_rows(self.app.state, hindrances)]

    def _crowd_rows(self) -> list[Row]:
        proposal = self.app.state.plan.proposal
        if self._crowd is None or proposal is None or not self._may_wait:
            return []
        told = f"{crowd_words(self._crowd, proposal)} Q queues this one: {turn_words(self._crowd)}."
        return [Row("", told, glyph="▲", color="$warning")]

    def _show_said(self, rows: list[Row]) -> None:
        """What is to be known before the start, as much of it as leaves room for the rest."""
        widget = self.query_one("#said", Static)
        widget.display = bool(rows)
        width = max(20, self.size.width - 8)
        most = 6 if self.size.height >= 30 else 2
        lines: list[Content] = []
        for told, row in enumerate(rows):  # whole sentences, but the first is begun in any case
            more, rest = row.content(width).split("\n"), len(rows) - told - 1
            if len(lines) + len(more) > most - bool(rest):
                if not lines and most > 2:
                    lines = more[: most - 1]
                elif not lines:
                    lines = [row.content(len(row.text) + 80).truncate(width, ellipsis=True)]
                left = f"  … m shows all of it{f', and {rest} more' if rest else ''}"
                lines = [*lines[: most - 1], Content(left).stylize("$text-muted")]
                break
            lines += more
        widget.update(Content("\n").join(lines))

    def _start_words(self, hindrances: list[Problem]) -> Content:
        if self._starting and self.app.screen is self:  # below a panel a person is still asked
            return Content("starting …").stylize("$text-muted")
        words = "▸ Write the plan" if self.planned else "▸ Start training"
        if place := self._partition:
            words = f"▸ Submit to {place}"
        if hindrances:
            return Content.assemble((words, "$text-muted"), ("  not yet: see above", "$text-muted"))
        if self.planned:
            return Content.assemble((words, "bold"), (f"  to be trained on {one_line(self.planned, 40)}", ""))
        proposal = self.app.state.plan.proposal
        steps = f"  {proposal.schedule.total_steps:,} steps" if proposal else ""
        return Content.assemble((words, "bold"), (steps, ""))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "start":
            return not self.planned
        if action == "queue":
            return self._may_wait
        if action == "everything":
            return not self.query_one("#review").display
        if action == "scroll":
            return self.query_one("#review").display
        return super().check_action(action, parameters)

    # Actions

    def action_scroll(self, by: int) -> None:
        """Scroll the review."""
        self.query_one("#review").scroll_relative(y=by * 3, animate=False)

    def action_everything(self) -> None:
        """Show the whole plan, line by line."""
        from loratui.tui.review.everything import EverythingScreen

        self.app.push_screen(EverythingScreen(self._all_rows))

    def _all_rows(self) -> list[Row]:
        said, plan = self._said_rows(self.hindrances()), plan_rows(self.app.state)
        return [*said, *([Row("", "")] if said and plan else []), *plan]

    def action_copy(self) -> None:
        """Copy the command."""
        self.app.copy_to_clipboard(command_text(self.app.state.draft))
        self.say("Copied, if your terminal allows it (OSC 52); w writes the plan as a file.", "done")

    def action_write(self) -> None:
        """Write the plan as plan.toml in the current folder, or plan-2.toml and so on."""
        proposal = self.app.state.plan.proposal
        if proposal is None:
            self.say("There is no plan yet.", "error")
            return
        from loratui.core.plan_text import plan_to_toml

        number, path = 1, Path.cwd() / "plan.toml"
        while path.exists():
            number += 1
            path = Path.cwd() / f"plan-{number}.toml"
        try:
            write_whole(path, plan_to_toml(proposal.plan))
        except OSError as error:
            self.say(f"{path} could not be written: {error.strerror or error}.", "error")
        else:
            self._written = (proposal, written_row(proposal.plan, path, self.planned)) if self.planned else None
            there = "m says what is to be copied where, and what trains it."
            here = f"Train it with: loratui train {home_short(path)}"
            self.say(f"{path.name} is written. {there if self.planned else here}", "done")
            self._show()

    @on(StartButton.Pressed)
    def _pressed(self) -> None:
        if self.planned and not self.hindrances():
            self.action_write()
        else:
            self.action_start()

    def action_start(self) -> None:
        """Make the run and start its worker, then show it; where another training is at work, ask first."""
        self._begin(queued=False)

    def action_queue(self) -> None:
        """Make a run that waits for its turn on this machine."""
        self._begin(queued=True)

    def _begin(self, *, queued: bool) -> None:
        blocking = self.hindrances()
        if self._starting:
            return
        if blocking:
            self.say(blocking[0].sentence, "error")
            return
        proposal = self.app.state.plan.proposal
        assert proposal is not None
        self._starting = True
        self._show()
        self._start_run(proposal, queued)

    @work(exclusive=True, group="start", exit_on_error=False)
    async def _start_run(self, proposal: Proposal, queued: bool) -> None:
        from loratui.core.errors import LoratuiError
        from loratui.tui.common.trust import may_run_code
        from loratui.tui.wizard import loading

        path = problem = ""
        try:
            crowd = None if queued or not self._may_wait else await self._crowd_now()
            turn = await self.app.push_screen_wait(TurnScreen(crowd, proposal)) if crowd is not None else "start"
            if turn is None:
                self._starting = False
                self._show()
                return
            if not await may_run_code(self.app, proposal.plan):
                problem = "Not started: nobody agreed to run the code that the model brings."
            elif queued or turn == "queue":
                path = await asyncio.to_thread(loading.queue_run, proposal)
            else:
                path = await asyncio.to_thread(loading.start_run, proposal.plan)
        except LoratuiError as error:
            problem = error.sentence
        self._started(proposal.plan, path, problem)

    def _started(self, plan: Plan, path: str, problem: str) -> None:
        self._starting = False
        self._show()
        if problem:
            self.say(problem, "error")
            return
        self._started_plan = plan
        self.app.show_run(path)
