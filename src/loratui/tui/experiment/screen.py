"""An experiment as it stands: its trials, how far each lies from the best, and what is done with one of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loratui.core.errors import LoratuiError
from loratui.format import one_line
from loratui.paths import runs_home
from loratui.runs.directory import Run
from loratui.tui.common.dialogs import ConfirmScreen
from loratui.tui.common.text import wrap
from loratui.tui.experiment import work as slow
from loratui.tui.experiment.adopt import adopt
from loratui.tui.experiment.lines import laid_out
from loratui.tui.keys import bindings

if TYPE_CHECKING:
    from loratui.tui.app import LoratuiApp

LOOK_SECONDS = 2.0
NEXT = {
    "over": "A makes the trial under the cursor the plan · m trains it to its full length · enter shows its run",
    "goes on": "It goes on without this program. enter shows a trial's run · s stops all of it",
    "waits for you": "It waits for you: r lets it go on",
}
STOPPING = "Its run saves a checkpoint and stops, what waits leaves the queue. r lets it go on at any time."


class ExperimentScreen(ModalScreen[None]):
    """Looked at again every two seconds; painted where something changed."""

    CSS_PATH = "experiment.tcss"
    app: LoratuiApp

    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("experiment"),
        Binding("escape,q", "leave", "Close", key_display="esc"),
        Binding("pagedown", "page(1)", "More", show=False, priority=True, tooltip="The next lines below the table"),
        Binding("pageup", "page(-1)", "Before", show=False, priority=True, tooltip="The lines before"),
    ]

    def __init__(self, name: str, at: int = 0) -> None:
        """at: number of the trial that the cursor is on; 0: the best one."""
        super().__init__(classes="panel-over")
        self.experiment, self._at = name, at
        self.look: slow.Look | None = None
        self._busy = self._doing = False
        self._put = 0
        """The trial that the cursor was put on; it follows the best one until a person moves it."""

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content(f"experiment {one_line(self.experiment, 60)}")
            yield Static(id="trial-columns")
            yield OptionList(markup=False, id="trials")
            with VerticalScroll(id="beside-best", can_focus=False):
                yield Static(Content("Reading the experiment …").stylize("$text-muted"), id="chart-and-words")
            yield Static(id="experiment-said")

    def on_mount(self) -> None:
        self.query_one(OptionList).focus()
        self.set_interval(LOOK_SECONDS, self._tick)
        self._tick()

    def on_resize(self) -> None:
        self.call_after_refresh(self._paint)

    # Looking

    def _tick(self) -> None:
        if not self._busy:
            self._busy = True
            self._read()

    @work(group="look", exit_on_error=False)
    async def _read(self) -> None:
        try:
            look = await asyncio.to_thread(slow.look_at, self.experiment)
        except LoratuiError as error:
            self._say(error.sentence, "$error")
            return
        finally:
            self._busy = False
        if look != self.look:
            other = self.look is None or look.state != self.look.state
            self.look = look
            self._paint()
            if other and not self._doing:
                self._say("")

    # Painting

    def _say(self, sentence: str, color: str = "$text-muted") -> None:
        """What came of a key; without one, what can be done now."""
        if not sentence and self.look is not None:
            sentence = NEXT.get(self.look.state, "")
        self.query_one("#experiment-said", Static).update(Content(one_line(sentence, 400)).stylize(color))

    def _paint(self) -> None:
        look = self.look
        if look is None or not self.is_mounted:
            return
        self.query_one("#panel").border_title = Content(f"experiment {one_line(look.name, 60)}: {look.state}")
        listed = self.query_one(OptionList)
        width = max(40, self.query_one("#panel").content_size.width - 4)
        right = frozenset({0, look.rows[0].index("step", 1)})
        head, *rows = laid_out(look.rows, width, loose=2, right=right)
        self.query_one("#trial-columns", Static).update(head[0])
        at = self.trial_at(listed.highlighted) or self._at
        if at in (0, self._put):
            at = self._put = look.best or look.numbers[0]
        listed.clear_options()
        for number, lines in zip(look.numbers, rows, strict=True):
            first = lines[0].stylize("bold $success") if number == look.best else lines[0]
            listed.add_option(Option(Content("\n").join([first, *lines[1:]]), id=str(number)))
        listed.highlighted = look.numbers.index(at) if at in look.numbers else 0
        told = [Content(piece) for line in look.verdict for piece in wrap(line, width)]  # before what may be scrolled
        told += [*([Content("")] if told and look.chart else []), *map(Content, look.chart)]
        self.query_one("#chart-and-words", Static).update(Content("\n").join(told))
        self.refresh_bindings()

    def action_page(self, direction: int) -> None:
        """Scroll chart and words."""
        box = self.query_one("#beside-best")
        box.scroll_relative(y=direction * max(1, box.size.height - 1), animate=False)

    # Doing

    @property
    def trial(self) -> int:
        """Number of the trial under the cursor; 0 before the first look."""
        return self.trial_at(self.query_one(OptionList).highlighted)

    def trial_at(self, place: int | None) -> int:
        """Number of the trial on this line; 0 where there is none."""
        listed = self.query_one(OptionList)
        return int(listed.get_option_at_index(place).id or 0) if place is not None and listed.option_count else 0

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        look = self.look
        if action in ("open", "adopt", "more") and self.is_mounted:
            return look is not None and not self._doing
        if action == "stop":
            return look is not None and look.open and not look.over
        if action == "go_on":
            return look is not None and not look.open and not look.over
        return super().check_action(action, parameters)

    @on(OptionList.OptionSelected)
    def action_open(self) -> None:
        """Show the trial's run; of several seeds the one that came last."""
        if self.look is None:
            return
        found = [runs_home() / name for name in self.look.runs[self.trial]]
        made = [path for path in found if Run(path).plan_path.is_file()]
        if made:
            self._show(made[-1])
        else:
            self._say(f"Trial {self.trial} has no run yet: it waits for its turn.", "$warning")

    def _show(self, path: Path) -> None:
        name, at = self.experiment, self.trial
        self.app.show_other_run(str(path), lambda: ExperimentScreen(name, at))

    def action_stop(self) -> None:
        """Let nothing of it go on."""
        self._stop()

    @work(group="do", exit_on_error=False)
    async def _stop(self) -> None:
        title = f"Stop {one_line(self.experiment, 60)}?"
        if await self.app.push_screen_wait(ConfirmScreen(title, STOPPING, "stop it", "let it go on")):
            await self._do(self._halted())

    async def _halted(self) -> str:
        self._say("Stopping …")
        names = await asyncio.to_thread(slow.stopped, self.experiment)
        return f"{', '.join(names)}: stopped." if names else "Nothing of it was at work."

    def action_go_on(self) -> None:
        """Let it go on."""
        self._go_on()

    @work(group="do", exit_on_error=False)
    async def _go_on(self) -> None:
        async def gone_on() -> str:
            await asyncio.to_thread(slow.resumed, self.experiment)
            return "It goes on."

        await self._do(gone_on())

    def action_more(self) -> None:
        """Train the trial to its plan's full length."""
        self._to_the_end(self.trial)

    @work(group="do", exit_on_error=False)
    async def _to_the_end(self, number: int) -> None:
        from loratui.tui.training import resume

        async def trained() -> str:
            run = await asyncio.to_thread(slow.run_of, self.experiment, number)
            words = "It goes on from where it stopped, as the run that was never a trial."
            title = f"Train trial {number} to its full length?"
            if not await self.app.push_screen_wait(ConfirmScreen(title, words, "train it")):
                return ""
            told = await resume.resume(self.app, run)
            if told:
                self._show(run.path)
            return told

        await self._do(trained())

    def action_adopt(self) -> None:
        """Make the trial's values the plan's."""
        self._adopt(self.trial)

    @work(group="do", exit_on_error=False)
    async def _adopt(self, number: int) -> None:
        async def adopted() -> str:
            experiment, trial, plan = await asyncio.to_thread(slow.trial_of, self.experiment, number)
            return await adopt(self.app, experiment.name, trial, plan)

        await self._do(adopted())

    async def _do(self, what: object) -> None:
        self._doing = True
        self.refresh_bindings()
        try:
            told = await what  # type: ignore[misc]
        except LoratuiError as error:
            told, color = error.sentence, "$error"
        else:
            color = "$text-muted"
        finally:
            self._doing = False
        if self.is_mounted and self.is_attached:
            self._say(told, color)
            self.refresh_bindings()
            self._tick()

    def action_leave(self) -> None:
        """Close; the experiment goes on."""
        self.dismiss(None)
