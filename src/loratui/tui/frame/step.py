"""What every step of the wizard has in common: step bar, title with one line of explanation, body, memory, keys."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget
from textual.widgets import Static

from loratui.core.glossary import Term, terms_of
from loratui.format import one_line
from loratui.tui.common.key_bar import KeyBar
from loratui.tui.common.terms import term_line
from loratui.tui.frame.bars import StepBar
from loratui.tui.frame.change_line import ChangeLine
from loratui.tui.frame.headroom_bar import BAR_HELP, HeadroomBar
from loratui.tui.wizard.draft import STEPS
from loratui.tui.wizard.missing import Problem
from loratui.tui.wizard.signal import Signal
from loratui.tui.wizard.words import SHORT, words_of

if TYPE_CHECKING:
    from loratui.tui.app import LoratuiApp
    from loratui.tui.wizard.change import Change


TALL = 30
"""Lines of a terminal from which on a screen counts as tall (the breakpoint of the app)."""
TINY = 20
"""Lines of a terminal below which a step has no blank lines."""
DECIDING = STEPS[:5]
"""The steps on which a plan is made: going through them and back is free."""
READ_SECONDS = 2.0
"""How long a line must stand to have been read."""


def _sizes(app: LoratuiApp) -> list[str]:
    """The classes of the terminal's size. Textual gives them once a screen was laid out; with them from the beginning
    it is laid out and painted once.
    """
    points = (app.HORIZONTAL_BREAKPOINTS, app.size.width), (app.VERTICAL_BREAKPOINTS, app.size.height)
    found = [max(one for one in breakpoints if one[0] <= cells)[1] for breakpoints, cells in points]
    return [*found, "-tiny"] if app.size.height < TINY else found


class StepScreen(Screen[None]):
    """One step. A subclass gives STEP, TITLE, EXPLANATION and `body()`; the rest is here.

    `shown()` is called each time the screen comes to the front. In its `on_mount` it subscribes with `hear` to what it
    shows of the wizard's state, and is called back while it is in front.
    """

    app: LoratuiApp
    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
    """Who loses and who takes the focus paint themselves; the rest of the screen stays."""

    STEP: ClassVar[str] = ""
    HEADING: ClassVar[str] = ""
    """The step's name, large."""
    EXPLANATION: ClassVar[str] = ""
    """One line of what is decided here."""
    HELP_TEXT: ClassVar[str] = ""
    """Paragraphs for F1."""
    MEMORY: ClassVar[bool] = True
    """Whether the headroom bar is shown."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "ctrl+n,ctrl+pagedown",
            "next",
            "Next",
            key_display="^n",
            id="step.next",
            tooltip="Go to the next step",
            priority=True,
        ),
        Binding(
            "ctrl+p,ctrl+pageup",
            "back",
            "Back",
            key_display="^p",
            id="step.back",
            tooltip="Go to the step before",
            priority=True,
        ),
        *(
            Binding(
                f"f{number + 1},alt+{number},{number}",
                f"open_step('{step}')",
                step.capitalize(),
                show=False,
                id=f"step.{step}",
                tooltip=f"Go to step {number}, {step}",
            )
            for number, step in enumerate(STEPS, start=1)
        ),
    ]

    def __init__(self) -> None:
        super().__init__(name=self.STEP, classes="step")
        keys = self._bindings.key_to_bindings
        back = "; where nothing is, go to the step before, and from the first one home" if self.STEP in DECIDING else ""
        leave = Binding("escape", "leave_step", show=False, tooltip=f"Leave what is open{back}")
        keys["escape"] = [*keys.get("escape", []), leave]  # after the screen's own: what is open is left first
        with contextlib.suppress(RuntimeError):  # Textual's of no app: somebody only reads the keys
            self.add_class(*_sizes(self.app), update=False)
        self._stops: list[Callable[[], None]] = []
        self._said = Content("")
        self._said_since = 0.0
        self._explained: tuple[Term, ...] = ()
        """The words that are explained while nothing else is said, new to this person."""
        self.covered = False
        """Whether a panel has lain over it since it came to the front, and no other step."""
        self._known_change: Change | None = None
        """What had changed when the screen came to the front: it was told where it happened."""

    def compose(self) -> ComposeResult:
        yield StepBar(self.STEP)
        yield Static(self.heading(), id="heading")
        with Vertical(id="body"):
            yield from self.body()
        yield Static(id="notice")
        if self.MEMORY:
            yield ChangeLine()
            yield HeadroomBar()
        yield KeyBar()

    def body(self) -> ComposeResult:
        """The widgets of this step."""
        raise NotImplementedError

    def heading(self) -> Content:
        """The title line: the step's name and what is decided here."""
        return Content.assemble((self.HEADING, "bold $foreground"), "  ", (self.EXPLANATION, "$text-muted"))

    @property
    def more_help(self) -> str:
        """What F1 says of the frame."""
        return BAR_HELP if self.MEMORY else ""

    def problems(self) -> list[Problem]:
        """What stands between this step and the next, the first to mend first."""
        return self.app.state.problems(self.STEP)

    def shown(self) -> None:
        """This screen came to the front."""

    def hear(self, signal: Signal, callback: Callable[[], object]) -> None:
        """Have `callback` called after each change that `signal` tells of, while this screen is in front."""

        def heard() -> None:
            if self.is_current and self.is_mounted:
                callback()

        self._stops.append(signal.subscribe(heard))

    def once_painted(self, then: Callable[[], object]) -> None:
        """Have `then` called once what a key changed is painted: nobody waits for what follows from it."""
        self.call_after_refresh(then)

    # The machinery

    def on_mount(self) -> None:
        state = self.app.state
        for signal in (state.plan.changed, state.choices.step_opened, state.choices.run_chosen):
            self.hear(signal, self.query_one(StepBar).renew)
        self.hear(state.plan.changed, self._change_heard)

    def on_unmount(self) -> None:
        self._was_read()
        for stop in self._stops:
            stop()

    def _pop_result_callback(self) -> None:
        # Textual calls it when a screen is left, and that of 8.2 fails for the first one: nobody waits for its result.
        with contextlib.suppress(IndexError):
            super()._pop_result_callback()

    def on_screen_suspend(self) -> None:
        self.covered = self in self.app.screen_stack
        self._was_read()

    def on_screen_resume(self) -> None:
        self._explained = self._unseen(words_of(self.STEP))[: self._new_words]
        self._known_change = self.app.state.plan.change
        self.say("")
        self.query_one(StepBar).renew()
        for bar in self.query(HeadroomBar):
            bar.refresh()
        self._share_the_room()
        self.shown()

    def on_resize(self) -> None:
        self.set_class(self.app.size.height < TINY, "-tiny")
        self._share_the_room()

    def _change_heard(self) -> None:
        if any(line.display for line in self.query(ChangeLine)):
            self.once_painted(self._share_the_room)
        else:
            self._share_the_room()

    def _share_the_room(self) -> None:
        """What is said, or explained, and what changed stand below each other; where the screen is low, an explanation
        makes room for what changed here, and what changed elsewhere for an explanation.
        """
        change = self.app.state.plan.change
        low, said = self.app.size.height < TALL, self._said != self._explain()
        both = not low or said or change is None
        here = change is not None and change is not self._known_change
        for line in self.query(ChangeLine):
            line.show(change if both or here or not self._explained else None)
            notice = self.query_one("#notice")
            if notice.display != (both or not line.display):
                self._was_read()
                notice.display = both or not line.display

    def say(self, sentence: object, severity: str = "") -> None:
        """One line under the body: an error beside what it is about, a hint, or nothing. Foreign text is welcome."""
        notice = self.query_one("#notice", Static)
        glyph = {"error": "✗ ", "warning": "▲ ", "done": "✓ "}.get(severity, "")
        color = {"error": "$error", "warning": "$warning", "done": "$success"}.get(severity, "$text-muted")
        content = Content(glyph + one_line(sentence, 400)).stylize(color) if sentence else self._explain()
        if content != self._said:
            self._was_read()
            self._said, self._said_since = content, time.monotonic()
            notice.update(content)
            self._share_the_room()

    @property
    def _new_words(self) -> int:
        """How many are explained at a time: a line each."""
        return 3 if self.app.size.height >= TALL else SHORT.get(self.STEP, 1)

    def meet(self, key: str) -> None:
        """The cursor came to a plan key: a word that is new here is explained, unless something else is said."""
        terms = self._unseen(terms_of(key))
        if terms and self._said == self._explain():
            self._was_read()
            self._explained = terms[: self._new_words]
            self.say("")

    def _unseen(self, terms: Sequence[Term]) -> tuple[Term, ...]:
        """Those that this person has not met, and that stand here now."""
        proposal = self.app.state.plan.proposal
        values = proposal.plan.get if proposal is not None else None
        return self.app.state.words.unseen(term for term in terms if term.stands(values))

    def _was_read(self) -> None:
        """The explained words are no longer new, where they stood long enough to be read."""
        notice = self.query("#notice")
        seen = self._said == self._explain() and all(one.display for one in notice)
        if self._explained and seen and time.monotonic() - self._said_since >= READ_SECONDS:
            self.app.state.words.take(self._explained)

    def _explain(self) -> Content:
        """New words, each in one line."""
        return Content("\n").join(term_line(term, "$text-muted") for term in self._explained)

    def action_next(self) -> None:
        """Go on, or say what is missing and go there."""
        blocking = [problem for problem in self.problems() if problem.blocking]
        if blocking:
            self.say(blocking[0].sentence, "error")
            self.go_to(blocking[0])
            return
        place = STEPS.index(self.STEP)
        if place + 1 < len(STEPS):
            self.app.open_step(STEPS[place + 1])

    def action_back(self) -> None:
        """Go back; nothing is checked and nothing is lost."""
        place = STEPS.index(self.STEP)
        if place:
            self.app.open_step(STEPS[place - 1])

    def action_leave_step(self) -> None:
        """Nothing is open that could be left: go back, and from the first step home; where something may be at work,
        only say so.
        """
        if self.STEP not in DECIDING:
            self.say("Nothing is open here that esc would leave; ^p goes to the step before.")
        elif STEPS.index(self.STEP):
            self.action_back()
        else:
            self.app.action_runs()

    def action_open_step(self, step: str) -> None:
        """Go to any step."""
        self.app.open_step(step)

    async def do(self, action: str) -> None:
        """Do something of this screen; where that is not possible now, it is said."""
        if not await self.app.run_action(action, self):
            self.say("That is not possible here now.", "warning")

    @work
    async def action_fit(self) -> None:
        """Show what would make the plan fit, and take what is chosen."""
        from loratui.core.errors import LoratuiError
        from loratui.tui.common.fit import FitScreen

        proposal = self.app.state.plan.proposal
        if proposal is None or proposal.fits:
            self.say("There is no plan yet." if proposal is None else "It fits already.")
            return
        if not proposal.alternatives:
            self.say("Nothing that could be changed needs less memory here: take a smaller model, or more memory.")
            return
        change = await self.app.push_screen_wait(FitScreen(proposal))
        if change is not None:
            try:
                self.app.state.choices.set_values(change)
            except LoratuiError as error:
                self.say(error.sentence, "error")

    def go_to(self, problem: Problem) -> None:
        """Put the focus where a problem can be mended."""
        if problem.focus.startswith("#"):
            for widget in self.query(problem.focus):
                widget.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action == "fit":
            return (proposal := self.app.state.plan.proposal) is not None and not proposal.fits
        ends = {"back": STEPS[0], "next": STEPS[-1]}
        return ends.get(action) != self.STEP

    def may_quit(self) -> bool:
        """Whether the program may end now; a screen that asks first returns False and ends it later."""
        return True
