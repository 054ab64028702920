"""Doing what one may with a run, for every screen that shows one; told as done only once it has really happened."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from loratui.core.errors import LoratuiError
from loratui.format import loss_text, one_line
from loratui.runs import control
from loratui.runs.directory import Run
from loratui.tui.common.dialogs import ConfirmScreen
from loratui.tui.frame.step import StepScreen
from loratui.tui.training import resume
from loratui.tui.training.allowed import ACTIONS, BY_KEY, BY_NAME
from loratui.tui.training.fixes import FixScreen, apply
from loratui.tui.training.follow import Followed
from loratui.tui.training.mending import applicable
from loratui.tui.training.run_state import in_force
from loratui.tui.training.stopping import stopping

TRAINING = ("running", "evaluating", "saving")


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked of a run's worker and has not happened yet."""

    followed: Followed
    what: str
    """stop, save, evaluate, fix or go on."""
    checkpoints: int
    evaluations: int
    """How many there were when it was asked."""
    started: float
    """When the worker of then began, as its status says."""


class RunActions:
    """The actions on the run that a screen shows.

    chosen: that run, None where there is none. back: the screen's name, to come back to. look: look at the run's files
    now. named: sentences begin with the run's name, where the screen shows several.
    """

    def __init__(
        self,
        screen: StepScreen,
        chosen: Callable[[], Followed | None],
        look: Callable[[], None],
        *,
        back: str,
        named: bool = False,
    ) -> None:
        self._screen, self._chosen, self._look, self._back, self._named = screen, chosen, look, back, named
        self._asked: Asked | None = None
        self._changing: set[Path] = set()
        """Folders of the runs that are being changed; no second change begins meanwhile."""
        self._keys: tuple[bool | None, ...] = ()

    # What is possible

    def why_not(self, name: str) -> str:
        """Why this action cannot be done now, in one sentence; empty where it can."""
        followed, action = self._chosen(), BY_NAME[name]
        if followed is not None and action.changes and followed.run.path in self._changing:
            return f"{action.label}: the run is being changed already."
        return action.why_not(followed)

    def explain(self, key: str) -> None:
        """Say why the action of a pressed key cannot be done, where it cannot."""
        if key in BY_KEY and (sentence := self.why_not(BY_KEY[key].name)):
            self._screen.say(sentence, "warning")

    def renew_keys(self, *others: bool | None) -> None:
        """Write the keys again where they are others; `others`: whether the screen's own ones can be used."""
        keys = (*(not self.why_not(action.name) for action in ACTIONS), *others)
        if keys != self._keys:
            self._keys = keys
            self._screen.refresh_bindings()

    # What was asked

    @property
    def waiting(self) -> Followed | None:
        """The run of which something was asked that has not happened yet."""
        return self._asked.followed if self._asked is not None else None

    def confirm(self, followed: Followed) -> None:
        """Tell what was asked of this run once it has happened."""
        asked, record = self._asked, followed.record
        if asked is None or asked.followed is not followed:
            return
        if asked.what == "save" and record.saves > asked.checkpoints:
            self._done(followed, f"Saved: checkpoint of step {record.checkpoints[-1].step}.")
        elif asked.what == "evaluate" and record.evaluations > asked.evaluations:
            last = record.evals[-1]
            loss = f"loss {loss_text(last.loss)}" if last.loss is not None else "no loss"
            self._done(followed, f"Evaluated at step {last.step}: {loss}.")
        elif asked.what == "evaluate" and record.findings and record.findings[-1].finding == "nothing-to-evaluate":
            self._asked = None
            self._tell(followed, record.findings[-1].message, "warning")
        elif asked.what == "stop" and followed.status.over:
            self._asked = None
            self._screen.say("")
        elif asked.what == "go on" and followed.status.started != asked.started and followed.status.state != "starting":
            self._asked = None  # the screen shows what the new worker does, or how it ended
            self._screen.say("")
        elif asked.what == "fix" and followed.status.state in TRAINING and record.made_since_fix:
            self._done(followed, in_force(record, followed.plan))

    def _done(self, followed: Followed, sentence: str) -> None:
        self._asked = None
        self._tell(followed, sentence, "done")

    def _tell(self, followed: Followed, sentence: str, severity: str = "") -> None:
        name = f"{one_line(followed.run.name, 80)}: " if self._named else ""
        self._screen.say(name + sentence, severity)

    # Doing

    def do(self, name: str) -> None:
        """Begin an action on the chosen run, or say why it cannot be done."""
        followed = self._chosen()
        if followed is None or self.why_not(name):
            self._screen.say(self.why_not(name), "warning")
            return
        match name:
            case "stop":
                self._begin(self._stop(followed))
            case "save":
                self._control(followed, "save", control.save_now, "A checkpoint will be saved after this step …")
            case "evaluate":
                self._control(followed, "evaluate", control.evaluate_now, "It will be evaluated after this step …")
            case "fix":
                self._begin(self._change(followed, self._fix))
            case "resume":
                self._begin(self._change(followed, partial(self._go_on, resume.resume)))
            case "more":
                self._begin(self._change(followed, partial(self._go_on, resume.train_longer)))
            case "anew":
                self._begin(self._change(followed, partial(self._go_on, resume.train_anew)))
            case "prefer":
                self._begin(self._prefer(followed))
            case _:
                self._open(followed, name)

    def _begin(self, work: Awaitable[None]) -> None:
        self._screen.run_worker(work, group="ask", exit_on_error=False)

    async def _stop(self, followed: Followed) -> None:
        title = f"Stop {one_line(followed.run.name, 80)}?"
        asked = await asyncio.to_thread(stopping, followed)
        if await self._screen.app.push_screen_wait(ConfirmScreen(title, asked.sentence, asked.yes, "let it run")):
            self._control(followed, "stop", partial(control.stop_run, by="wizard"), asked.begun)

    def _control(self, followed: Followed, what: str, signal: Callable[[Run], None], sentence: str) -> None:
        try:
            signal(followed.run)
        except LoratuiError as error:
            self._screen.say(error.sentence, "error")
            return
        self._ask(followed, what)
        self._tell(followed, sentence)
        self._look()

    def _ask(self, followed: Followed, what: str) -> None:
        record = followed.record
        self._screen.app.state.run.meet(str(followed.run.path))
        self._asked = Asked(followed, what, record.saves, record.evaluations, followed.status.started)

    async def _change(self, followed: Followed, way: Callable[[Followed], Awaitable[None]]) -> None:
        self._changing.add(followed.run.path)
        try:
            await way(followed)
        except LoratuiError as error:
            self._screen.say(error.sentence, "error")
        finally:
            self._changing.discard(followed.run.path)
            self._screen.refresh_bindings()  # the keys that waited for it can be used again

    async def _prefer(self, followed: Followed) -> None:
        """The wizard filled in to learn preferences on the run's result."""
        from loratui.tui.take_away.train_further import fill_in

        try:
            await fill_in(self._screen.app, followed.run, preferences=True)
        except LoratuiError as error:
            self._screen.say(error.sentence, "error")

    async def _go_on(self, way: resume.Way, followed: Followed) -> None:
        """What would differ is shown first."""
        told = await way(self._screen.app, followed.run)
        if told:
            followed.plan = None  # it may be another now
            self._ask(followed, "go on")
            self._screen.say(told)
            self._look()

    async def _fix(self, followed: Followed) -> None:
        """Choose a fix, apply it and go on."""
        plan, status = followed.plan, followed.status
        assert plan is not None
        possible = await asyncio.to_thread(applicable, followed)
        if not possible:
            self._tell(followed, "What was found can only change a run that is not finished.", "warning")
            return
        panel = FixScreen(plan, [fix for fix, _ in possible], [way for _, way in possible], not status.over)
        fix = await self._screen.app.push_screen_wait(panel)
        if fix is None:
            return
        first = "" if followed.status.over else ": the worker finishes its step and saves first"
        self._tell(followed, f"Applying it{first} …")
        await asyncio.to_thread(apply, followed.run, fix)
        followed.plan = None  # it is another now
        self._ask(followed, "fix")
        self._tell(followed, "A worker begins with the mended plan …")
        self._look()

    def _open(self, followed: Followed, name: str) -> None:
        """Another screen on the run."""
        app, run = self._screen.app, followed.run
        if name == "ask":
            app.state.run.ask(str(run.path))
            app.open_step("playground")
        elif name == "take_away":
            from loratui.tui.take_away.screen import TakeAwayScreen

            app.switch_screen(TakeAwayScreen(str(run.path), self._back))
        elif name == "log":
            from loratui.tui.training.log import LogScreen

            app.push_screen(LogScreen(run.log_path))
        else:
            from loratui.tui.training.samples import SamplesScreen

            app.push_screen(SamplesScreen(run))
