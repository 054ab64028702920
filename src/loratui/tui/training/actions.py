"""What one may do with the run on the screen; each thing is told as done only once it has really happened."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from textual import work

from loratui.core.errors import LoratuiError
from loratui.format import number_text
from loratui.runs.directory import Run
from loratui.tui.frame.step import StepScreen
from loratui.tui.training.fixes import FixScreen, apply, fixes_of, ways_of
from loratui.tui.training.follow import Followed
from loratui.tui.training.run_state import in_force

if TYPE_CHECKING:
    from loratui.tui.app import LoratuiApp


class RunActions(StepScreen):
    """The keys of a run."""

    def __init__(self) -> None:
        super().__init__()
        self.followed: Followed | None = None
        self._asked = ""
        """What was asked of the worker and has not happened yet: stop, save, evaluate or fix."""
        self._known: tuple[int, int] = (0, 0)
        """Checkpoints and evaluations that were there when it was asked."""
        self._mending = False

    @abstractmethod
    def _tick(self) -> None:
        """Look at the run's files now."""

    @abstractmethod
    def paint_now(self) -> None:
        """Paint what is known."""

    def forget(self) -> None:
        """Another run is shown."""
        self._asked, self._mending = "", False

    def confirm(self, followed: Followed) -> None:
        """Tell what was asked once it has happened."""
        record = followed.record
        checkpoints, evaluations = self._known
        if self._asked == "save" and len(record.checkpoints) > checkpoints:
            self._done(f"Saved: checkpoint of step {record.checkpoints[-1].step}.")
        elif self._asked == "evaluate" and len(record.evals) > evaluations:
            last = record.evals[-1]
            loss = f"loss {number_text(round(last.loss, 4))}" if last.loss is not None else "no loss"
            self._done(f"Evaluated at step {last.step}: {loss}.")
        elif self._asked == "evaluate" and record.findings and record.findings[-1].finding == "nothing-to-evaluate":
            self._asked = ""
            self.say(record.findings[-1].message, "warning")
        elif self._asked == "stop" and followed.status.over:
            self._asked = ""
            self.say("")
        elif (
            self._asked == "fix"
            and followed.status.state in ("running", "evaluating", "saving")
            and record.made_since_fix
        ):
            self._done(in_force(record, followed.plan))

    def _done(self, sentence: str) -> None:
        self._asked = ""
        self.say(sentence, "done")

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        followed = self.followed
        over = followed is None or followed.status.over
        match action:
            case "stop" | "save" | "evaluate":
                return not over
            case "fix":
                return followed is not None and not self._mending and bool(fixes_of(followed))
            case "samples":
                return followed is not None and bool(followed.record.samples)
            case "resume":
                return followed is not None and followed.status.state in ("stopped", "failed", "lost")
            case "more":
                from loratui.tui.training.resume import can_be_extended

                return (
                    followed is not None
                    and bool(followed.record.checkpoints)
                    and can_be_extended(followed.status.state, followed.plan)
                )
            case "ask":
                return followed is not None and (
                    followed.status.state == "finished" or bool(followed.record.checkpoints)
                )
            case "take_away":
                return over and followed is not None and followed.plan is not None
            case "log" | "log_axis" | "cursor" | "zoom" | "no_cursor":
                return followed is not None
            case _:
                return super().check_action(action, parameters)

    @work(group="ask", exit_on_error=False)
    async def action_stop(self) -> None:
        """Ask first, then ask the worker."""
        followed = self.followed
        if followed is None:
            return
        from loratui.tui.common.dialogs import ConfirmScreen

        sentence = (
            "The worker finishes the step in hand, saves a checkpoint and stops. The run can be resumed from there at "
            "any time."
        )
        if await self.app.push_screen_wait(
            ConfirmScreen(f"Stop {followed.run.name}?", sentence, "stop and save", "let it run")
        ):
            from loratui.runs.control import stop_run

            self._control("stop", partial(stop_run, followed.run), "Stopping after this step …")

    def action_save(self) -> None:
        """Ask for a checkpoint now."""
        if self.followed is not None:
            from loratui.runs.control import save_now

            self._control("save", partial(save_now, self.followed.run), "A checkpoint will be saved after this step …")

    def action_evaluate(self) -> None:
        """Ask for an evaluation now."""
        if self.followed is not None:
            from loratui.runs.control import evaluate_now

            self._control(
                "evaluate", partial(evaluate_now, self.followed.run), "It will be evaluated after this step …"
            )

    @work(group="ask", exit_on_error=False)
    async def action_fix(self) -> None:
        """Choose a fix, apply it and go on."""
        followed = self.followed
        if followed is None or followed.plan is None:
            return
        fixes = fixes_of(followed)
        try:
            ways = await asyncio.to_thread(ways_of, followed.run, fixes)
        except LoratuiError as error:
            self.say(error.sentence, "error")
            return
        fix = await self.app.push_screen_wait(FixScreen(followed.plan, fixes, ways, not followed.status.over))
        if fix is None:
            return
        self._mending = True
        self.say(
            "Applying it: the worker finishes its step and saves first …"
            if not followed.status.over
            else "Applying it …"
        )
        try:
            await asyncio.to_thread(apply, followed.run, fix)
        except LoratuiError as error:
            self.say(error.sentence, "error")
            return
        finally:
            self._mending = False
        followed.plan = None  # it is another now
        self._asked = "fix"
        self.say("A worker begins with the mended plan …")
        self._tick()

    def action_samples(self) -> None:
        """The pinned prompts' answers through the training."""
        if self.followed is not None:
            from loratui.tui.training.samples import SamplesScreen

            self.app.push_screen(SamplesScreen(self.followed.run))

    @work(group="ask", exit_on_error=False)
    async def action_resume(self) -> None:
        """Start a worker that goes on from the last checkpoint; what would differ is shown first."""
        from loratui.tui.training.resume import resume

        await self._go_on(resume)

    @work(group="ask", exit_on_error=False)
    async def action_more(self) -> None:
        """Train it for more epochs from its last checkpoint."""
        from loratui.tui.training.resume import train_longer

        await self._go_on(train_longer)

    async def _go_on(self, way: Callable[[LoratuiApp, Run], Awaitable[str]]) -> None:
        if self.followed is None:
            return
        try:
            told = await way(self.app, self.followed.run)
        except LoratuiError as error:
            self.say(error.sentence, "error")
            return
        if told:
            self.followed.plan = None  # it may be another now
            self.say(told)
            self._tick()

    def _control(self, asked: str, action: partial[Any], sentence: str) -> None:
        try:
            action()
        except LoratuiError as error:
            self.say(error.sentence, "error")
            return
        self._asked = asked
        if self.followed is not None:
            self._known = (len(self.followed.record.checkpoints), len(self.followed.record.evals))
        self.say(sentence)
        self._tick()

    def action_log(self) -> None:
        """What the worker printed."""
        if self.followed is not None:
            from loratui.tui.training.log import LogScreen

            self.app.push_screen(LogScreen(self.followed.run.log_path))

    def action_ask(self) -> None:
        """Go to the playground with this run."""
        if self.followed is not None:
            self.app.state.run.ask(str(self.followed.run.path))
            self.app.open_step("playground")

    def action_take_away(self) -> None:
        """What can be made of it."""
        if self.followed is not None:
            from loratui.tui.take_away.screen import TakeAwayScreen

            self.app.switch_screen(TakeAwayScreen(str(self.followed.run.path), "training"))

    def may_quit(self) -> bool:
        """Quitting loses nothing; where a run goes on, the terminal is told how to come back to it."""
        followed = self.followed
        if followed is None or followed.status.over:
            return True
        self.app.state.file.save()
        self.app.exit(message=f"{followed.run.name} goes on. Watch it with: loratui attach {followed.run.name}")
        return False
