"""What can be made of a run and taken away: each thing with what it does, where it goes and its command; made by a
process of its own.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from loratui.core.errors import LoratuiError
from loratui.format import one_line
from loratui.hub.push import check_visibility, destination, pack
from loratui.runs.base_files import stands_on
from loratui.runs.directory import Run
from loratui.runs.model_card import result_folder
from loratui.tui.common.still_text import StillText
from loratui.tui.frame.step import StepScreen
from loratui.tui.keys import bindings
from loratui.tui.take_away.about import about
from loratui.tui.take_away.outcome import outcome, passing, what_is_sent
from loratui.tui.take_away.outputs import GLYPHS, Output, outputs_of
from loratui.workers.command import CommandProcess

TICK_SECONDS = 1.0
"""How often it is told for how long something is being made."""
AIRY_ROWS = 30
"""Rows of the screen from which the groups stand apart."""


class TakeAwayScreen(StepScreen):
    """Opened from the list of runs, or from a run that ended; one output is made at a time.

    It takes the other screen's place instead of lying over it: a screen below goes on painting.
    """

    CSS_PATH = "take_away.tcss"
    STEP = "take-away"
    HEADING = "Take away"
    MEMORY = False
    HELP_TEXT = (
        "A run's result lies in its own folder, and can be used as it is. From here it becomes one merged model, a "
        "file for "
        "llama.cpp or Ollama, a repository on the hub, a server on this machine; and its plan becomes a file for "
        "another tool.\n\n"
        "Nothing is sent anywhere before you were asked. What needs another program says which, and has its exact "
        "commands. "
        "Each output is made by the command that stands beside it: it can be copied with y and run anywhere else."
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        *bindings("take away"),
        Binding("escape", "leave", "Back", tooltip="Back to the run"),
        Binding("pagedown", "page(1)", "More", show=False, priority=True, tooltip="The next lines of what is told"),
        Binding("pageup", "page(-1)", "Before", show=False, priority=True, tooltip="The lines before"),
    ]

    def __init__(self, run: str, back: str) -> None:
        """run: its folder. back: the screen to go back to."""
        super().__init__()
        self._back = back
        self.run_folder = Run(Path(run))
        self.outputs: list[Output] = []
        self._making = ""
        """Key of what is being made."""
        self._process: CommandProcess | None = None
        self._told: dict[str, Content] = {}
        """What came of each thing that was made here."""
        self._progress, self._began, self._telling = "", 0.0, False
        """The last line of what is being made, since when it is (monotonic seconds), and whether that line stands."""
        self._usual_seconds: float | None = None
        """What it took the last time on this machine, where that is known."""
        self._looking = False
        self._drawn: list[str] = []
        """The list as it stands: what is the same is not painted again."""
        self._first = 0
        """First line shown of what is told about the thing under the cursor."""
        self._at = ""
        """Key of the thing that the cursor was on."""

    def body(self) -> ComposeResult:
        with Container(id="both"):
            yield OptionList(markup=False, id="outputs")
            yield StillText(id="about", classes="box")

    def heading(self) -> Content:
        return Content.assemble(
            (self.HEADING, "bold $foreground"), "  ", (one_line(self.run_folder.name, 60), "$text-muted")
        )

    def shown(self) -> None:
        self.query_one("#outputs").focus()
        self._look()

    @on(StillText.Resized)
    def _room_changed(self) -> None:
        """Once the new room is shared out, also below a panel, where nothing waits for that."""
        self._paint()

    # Looking

    def _look(self) -> None:
        if not self._looking:
            self._looking = True
            self._look_up()

    @work(group="look", exit_on_error=False)
    async def _look_up(self) -> None:
        try:
            self.outputs = await asyncio.to_thread(outputs_of, self.run_folder)
        except LoratuiError as error:
            self.say(error.sentence, "error")
            return
        finally:
            self._looking = False
        self._paint()

    # Painting

    def _paint(self) -> None:
        if not self.is_mounted or not self.outputs:
            return
        options = self.query_one("#outputs", OptionList)
        kept, width = self._key_at(options.highlighted), max(30, options.scrollable_content_region.width - 1)
        lines: list[Option] = []
        group = ""
        for output in self.outputs:
            if output.group != group:
                if group and self.size.height >= AIRY_ROWS:
                    lines.append(Option(Content(""), disabled=True))
                group = output.group
                lines.append(Option(Content(group.upper()).stylize("$text-muted"), disabled=True))
            lines.append(Option(self._row(output, width), id=output.key))
        drawn = [line.prompt.markup for line in lines if isinstance(line.prompt, Content)]
        if drawn != self._drawn:
            self._drawn = drawn
            options.clear_options()
            options.add_options(lines)
            keys = [line.id for line in lines]
            there = next((output.key for output in self.outputs if output.state in ("there", "old")), "")
            options.highlighted = next((keys.index(key) for key in (kept, there) if key in keys), 1)
        self._show_about()
        self.refresh_bindings()

    def _row(self, output: Output, width: int) -> Content:
        if output.key == self._making:
            glyph, color, words = "●", "$accent", "under way"
        else:
            (glyph, color), words = GLYPHS[output.state], output.words
        room = width - 2 - len(words)
        name = one_line(output.name, room - 1)
        return Content.assemble(
            (f"{glyph} ", color), (name, "$foreground"), " " * max(1, room - len(name)), (words, "$text-muted")
        )

    def _key_at(self, place: int | None) -> str:
        options = self.query_one("#outputs", OptionList)
        return (
            str(options.get_option_at_index(place).id or "")
            if place is not None and place < options.option_count
            else ""
        )

    @property
    def chosen(self) -> Output | None:
        """The thing under the cursor."""
        key = self._key_at(self.query_one("#outputs", OptionList).highlighted)
        return next((output for output in self.outputs if output.key == key), None)

    @on(OptionList.OptionHighlighted)
    def _moved(self) -> None:
        key = self.chosen.key if self.chosen is not None else ""
        if self._at and key != self._at and not self._telling:
            self.say("")  # it was said of another thing
        self._at = key
        self._first = 0
        self._show_about()
        self.refresh_bindings()

    def _show_about(self) -> None:
        output = self.chosen
        if output is None:
            return
        width = max(40, self.query_one("#about").content_size.width)
        told = self._told.get(output.key)
        self._show_lines(output, about(output, told, width, narrow=self.has_class("-narrow")))

    def _show_lines(self, output: Output, lines: list[Content]) -> None:
        """As many lines as the box holds, from the first one on; its size never changes, so that only changed cells are
        painted.
        """
        box = self.query_one("#about", StillText)
        height = max(1, box.content_size.height)
        self._first = max(0, min(self._first, len(lines) - height))
        shown = lines[self._first : self._first + height]
        box.show(Content("\n").join([*shown, *[Content("")] * (height - len(shown))]))
        more = "pgdn shows more" if self._first + height < len(lines) else "pgup goes back" if self._first else ""
        keys = " · ".join(part for part in (more, "↑ ↓ others") if part)
        for attribute, text in (("border_title", output.name), ("border_subtitle", keys)):
            if getattr(box, attribute) != (markup := Content(text).markup):
                setattr(box, attribute, markup)

    def action_page(self, direction: int) -> None:
        """Show the next lines of what is told, or those before."""
        self._first += direction * max(1, self.query_one("#about").content_size.height - 2)
        self._show_about()

    # Making

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        if action in ("next", "back"):
            return False
        if action in ("make", "make_again", "copy") and self.is_mounted:
            output = self.chosen
            if output is None or not output.command:
                return False
            if action == "copy":
                return True
            there = output.state == "there"
            fits = there and bool(output.again) if action == "make_again" else not there
            return fits and not output.problem and not self._making
        if action == "cancel":
            return bool(self._making)
        return super().check_action(action, parameters) if action != "leave" else True

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.action_make()

    def action_make(self) -> None:
        """Make what is under the cursor, or say why not."""
        output = self.chosen
        if output is None:
            return
        if self._making:
            self.say("One thing at a time: s stops what is being made.", "warning")
        elif output.problem:
            self._first = 0  # the box says why, from its first lines on
            self._show_about()
            self.say(f"{output.name} cannot be made yet; ▲ in its box says why.", "warning")
        elif not output.command or (output.state == "there" and not output.again):
            self.say(f"It is there: {output.place}", "done")
        elif output.key == "further":
            self._further()
        elif output.asks:
            self._send(output)
        else:
            self._make(output, output.command)

    def action_make_again(self) -> None:
        """Make what is there anew, once that was agreed to."""
        self.action_make()

    @work(group="make", exit_on_error=False)
    async def _make(self, output: Output, command: tuple[str, ...]) -> None:
        if output.again and not await self._may_replace(output):
            return
        await self._run(output, (*command, *output.quiet))

    async def _may_replace(self, output: Output) -> bool:
        """Whether what is there may go; a merged folder is gone then."""
        import shutil

        from loratui.tui.common.dialogs import ConfirmScreen

        stands = await asyncio.to_thread(stands_on, self.run_folder.merged_path) if output.key == "merge" else ""
        words = f"{output.again}\n▲ {stands}" if stands else output.again
        question = ConfirmScreen(f"{output.name}: make it again?", words, "make it again", "keep it")
        if not await self.app.push_screen_wait(question):
            return False
        if output.key == "merge":
            await asyncio.to_thread(partial(shutil.rmtree, self.run_folder.merged_path, ignore_errors=True))
        return True

    async def _run(self, output: Output, command: tuple[str, ...]) -> None:
        """Run the command to its end, tell how it goes, and what came of it."""
        process = self._process = CommandProcess(command)
        self._making = output.key
        self._usual_seconds = output.took_seconds
        self._tell_progress(f"{output.name}: starting …", began=time.monotonic())
        self._paint()
        clock = self.set_interval(TICK_SECONDS, self._tell_progress, pause=output.makes is None)  # not of a server
        try:
            async for line in process.lines():
                self._tell_progress(f"{output.name}: {line}")
            self._told[output.key] = outcome(output, process)
        except LoratuiError as error:
            self._told[output.key] = Content(f"✗ {one_line(error.sentence, 600)}").stylize("$error")
        finally:
            clock.stop()
            self._making, self._process = "", None
            if self.is_mounted:
                self.say("")
                self._look()

    def say(self, sentence: object, severity: str = "") -> None:
        """As every step does; the progress of what is made waits for its next line then."""
        self._telling = False
        super().say(sentence, severity)

    def _tell_progress(self, line: str = "", *, began: float = 0.0) -> None:
        """The last line of what is being made, and for how long that has gone on. line: a new one. began: a new start,
        by the monotonic clock.
        """
        if not line and not self._telling:
            return
        self._progress, self._began = line or self._progress, began or self._began
        passed = time.monotonic() - self._began
        super().say(
            f"{passing(passed, self._usual_seconds)}  {self._progress}" if passed >= TICK_SECONDS else self._progress
        )
        self._telling = True

    @work(group="make", exit_on_error=False)
    async def _further(self) -> None:
        """Fill the wizard in to train the result further."""
        from loratui.tui.take_away.train_further import fill_in

        await fill_in(self.app, self.run_folder)

    @work(group="make", exit_on_error=False)
    async def _send(self, output: Output) -> None:
        """Ask for the repository, find out who may write there, ask again with everything said, and send."""
        from loratui.tui.common.dialogs import AskLineScreen, ConfirmScreen

        name = await self.app.push_screen_wait(
            AskLineScreen("Repository on the hub", "name, or owner/name", self.run_folder.name)
        )
        if not name:
            return
        self.say("Asking the hub …")
        try:
            parcel = await asyncio.to_thread(pack, result_folder(self.run_folder))
            to = await asyncio.to_thread(destination, name)
            check_visibility(to, private=True)
        except LoratuiError as error:
            self.say(error.sentence, "error")
            return
        self.say("")
        if await self.app.push_screen_wait(
            ConfirmScreen("Send this to the hub?", what_is_sent(parcel, to), "send it", "send nothing")
        ):
            await self._run(output, (*output.command, to.repository, "--yes", *output.quiet))

    def action_cancel(self) -> None:
        """Stop what is being made; what takes its time over it is ended."""
        if self._process is not None:
            self.say("Stopping …")
            self._process.stop()

    def action_copy(self) -> None:
        """Copy the command."""
        output = self.chosen
        if output is not None and output.line:
            self.app.copy_to_clipboard(output.line)
            self.say("The command was given to the terminal's clipboard.", "done")

    def action_leave(self) -> None:
        """Back, unless something is under way."""
        if not self._still_making():
            self.app.open_step(self._back)

    def action_open_step(self, step: str) -> None:
        """Go to any step, unless something is under way."""
        if not self._still_making():
            super().action_open_step(step)

    def may_quit(self) -> bool:
        """Nothing is left half-made by accident."""
        return not self._still_making()

    def _still_making(self) -> bool:
        if self._making:
            self.say("Something is being made here; s stops it.", "warning")
        return bool(self._making)

    def on_unmount(self) -> None:
        if self._process is not None:
            self._process.stop()
