"""The fifth step: the whole plan, what it takes, what will be written where, and the start."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widgets import Static

from loratui.format import home_short
from loratui.tui.frame.step import StepScreen
from loratui.tui.keys import bindings
from loratui.tui.review.rows import review_rows
from loratui.tui.wizard.command import command_text
from loratui.tui.wizard.missing import Problem

if TYPE_CHECKING:
    from loratui.core.proposal import Proposal


class StartButton(Static, can_focus=True):
    """The one thing to press on this screen."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,space", "press", "Start", key_display="enter", tooltip="Start training")
    ]

    class Pressed(Message):
        """Enter, or a click."""

    def action_press(self) -> None:
        """Start training."""
        self.post_message(self.Pressed())

    def on_click(self, event: events.Click) -> None:
        self.action_press()


class ReviewScreen(StepScreen):
    """Everything that was decided, with the key that leads back to it."""

    STEP = "review"
    HEADING = "Review"
    EXPLANATION = "Everything that was decided, and what it takes."
    HELP_TEXT = (
        "The training runs in a process of its own: it goes on when this window closes, the connection drops or the "
        "wizard "
        "is ended. Everything it needs and makes lies in the run's folder.\n\n"
        "The command does the same without the wizard. y copies it, w writes the plan as a file, f shows what "
        "would make a plan fit."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f9", "start", "Start training", key_display="F9", tooltip="Start training"),
        *bindings("review"),
        Binding("down,j", "scroll(1)", "Down", show=False, tooltip="Scroll down"),
        Binding("up,k", "scroll(-1)", "Up", show=False, tooltip="Scroll up"),
    ]

    def body(self) -> ComposeResult:
        with VerticalScroll(id="review"):
            yield Static(id="review-text")
        yield StartButton(id="start")

    def on_mount(self) -> None:
        self._starting = False
        state = self.app.state
        for signal in (state.plan.changed, state.check.changed, state.choices.run_chosen):
            self.hear(signal, self._renew)
        self.set_focus(self.query_one(StartButton))

    def problems(self) -> list[Problem]:
        """Going on to the training screen needs a run: Start makes one."""
        if self.app.state.draft.run:
            return []
        return [*self.hindrances(), Problem("No training was started yet: enter or F9 starts it.", "#start")]

    def hindrances(self) -> list[Problem]:
        """What stands between this plan and a start."""
        state = self.app.state
        found = state.ready()
        if state.draft.gpu:
            found.append(
                Problem(
                    f"This plan is for {state.draft.gpu}, which is not here: write it with w and train it there, or "
                    "choose a device "
                    "of this machine (F2)."
                )
            )
        if not found and state.plan.proposal is None:
            found.append(Problem("There is no plan yet: model and machine are still being looked up."))
        return found

    def shown(self) -> None:
        self.set_focus(self.query_one(StartButton))
        self._renew()

    def _renew(self) -> None:
        self._show()
        self.refresh_bindings()

    def on_resize(self) -> None:
        self.call_after_refresh(self._show)

    def _show(self) -> None:
        state = self.app.state
        text = self.query_one("#review-text", Static)
        width = (text.content_size.width or self.size.width - 6) - 1
        text.update(Content("\n").join(row.content(width) for row in review_rows(state, self.hindrances())))
        button = self.query_one(StartButton)
        button.set_class(bool(self.hindrances()), "-blocked")
        button.update(self._start_words())

    def _start_words(self) -> Content:
        if self._starting:
            return Content("starting …").stylize("$text-muted")
        if self.hindrances():
            return Content.assemble(("▸ Start training", "$text-muted"), ("  not yet: see above", "$text-muted"))
        proposal = self.app.state.plan.proposal
        steps = f"  {proposal.schedule.total_steps:,} steps" if proposal else ""
        return Content.assemble(("▸ Start training", "bold"), (steps, ""))

    # Actions

    def action_scroll(self, by: int) -> None:
        """Scroll the review."""
        self.query_one("#review").scroll_relative(y=by * 3, animate=False)

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
        from loratui.files import write_whole

        number, path = 1, Path.cwd() / "plan.toml"
        while path.exists():
            number += 1
            path = Path.cwd() / f"plan-{number}.toml"
        try:
            write_whole(path, plan_to_toml(proposal.plan))
        except OSError as error:
            self.say(f"{path} could not be written: {error.strerror or error}.", "error")
        else:
            self.say(f"Written: {home_short(path)}. Train it with: loratui train {home_short(path)}", "done")

    @on(StartButton.Pressed)
    def _pressed(self) -> None:
        self.action_start()

    def action_start(self) -> None:
        """Make the run and start its worker, then show it."""
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
        self._start_run(proposal)

    @work(exclusive=True, group="start", exit_on_error=False)
    async def _start_run(self, proposal: Proposal) -> None:
        from loratui.core.errors import LoratuiError
        from loratui.tui.common.trust import may_run_code
        from loratui.tui.wizard.loading import start_run

        path = problem = ""
        try:
            if await may_run_code(self.app, proposal.plan):
                path = await asyncio.to_thread(start_run, proposal.plan)
            else:
                problem = "Not started: nobody agreed to run the code that the model brings."
        except LoratuiError as error:
            problem = error.sentence
        self._started(path, problem)

    def _started(self, path: str, problem: str) -> None:
        self._starting = False
        self._show()
        if problem:
            self.say(problem, "error")
            return
        self.app.show_run(path)
