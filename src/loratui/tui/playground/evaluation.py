"""What an evaluation found: figures with intervals, who is better, and the failed rows one by one."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Protocol

from textual import on
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loratui.core.errors import InputError, RunError, WorkerError
from loratui.core.generation import GenerationSettings
from loratui.evaluation.report import Document, brief_verdict_lines, figure_lines, part_lines, right_line
from loratui.format import duration, harmless, one_line
from loratui.paths import home_short
from loratui.tui.common.dialogs import AskLineScreen
from loratui.tui.common.text import hanging, in_column
from loratui.tui.playground.held_out import LONGEST, difference
from loratui.tui.playground.session import Session
from loratui.workers.protocol import Answered, Failed

SCORED_ROWS = 50
"""How many rows are proposed to be scored."""
TICK_SECONDS = 1.0
"""How often it is told for how long an evaluation goes on."""
WIDEST = 96
"""Columns of a panel at most, as the style sheet has it."""
AROUND = 7
"""Columns of the panel that are border, padding and scrollbar."""
KEPT_FREE = 2
"""Columns that sentences keep off the scrollbar."""
NAME_CELLS = 21
"""Columns of a measure's name, with the space after it, before what is said of it."""


def read_document(path: str) -> Document:
    """An evaluation's document. RunError where it cannot be read. Reads a file: for a thread."""
    try:
        found: Document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"the evaluation cannot be read: {error}.", where=path) from None
    return found


async def how_many(app: App[Any], rows: int) -> int:
    """How many of these held-out rows are to be asked, as a person says; 0 for none. InputError for no number."""
    question, most = f"How many of {rows:,} held-out rows?", str(min(SCORED_ROWS, rows))
    asked = await app.push_screen_wait(AskLineScreen(question, "a number", most))
    if asked and not asked.isdecimal():
        raise InputError(f"“{asked}” is no number of rows: nothing is asked.")
    return min(int(asked or 0), rows)


class Tell(Protocol):
    """Says how far an evaluation is. again: nothing is new but the time, so that another notice may stay."""

    def __call__(self, sentence: str, *, again: bool = False) -> None: ...


class _Progress:
    """How many rows a side has answered, and for how long the evaluation goes on, told anew with each second."""

    def __init__(self, tell: Tell, side: str, of: int) -> None:
        self._tell, self._side, self._of, self._rows = tell, side, of, 0
        self._began = time.monotonic()
        self._say()

    def answered(self, event: Answered) -> None:
        """A side has answered some more rows."""
        self._side, self._rows, self._of = event.side, event.rows, event.of
        self._say()

    async def count(self) -> None:
        """Tell the time that passes, until it is cancelled."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            self._say(again=True)

    def _say(self, *, again: bool = False) -> None:
        passed = time.monotonic() - self._began
        so_long = f", {duration(passed)}" if passed >= TICK_SECONDS else ""
        rows = f"{self._side}: {self._rows:,} of {self._of:,} rows answered{so_long}"
        self._tell(f"{rows} … esc stops; answered rows are kept.", again=again)


async def evaluate(
    session: Session, sides: Sequence[str], rows: int, settings: GenerationSettings, tell: Tell
) -> Document | None:
    """What these sides make of rows that the run held out; None where it was stopped. Raises LoratuiError."""
    progress = _Progress(tell, sides[0], rows)
    clock = asyncio.create_task(progress.count())
    try:
        async for event in session.evaluate(sides, rows, settings):
            if isinstance(event, Answered):
                progress.answered(event)
            elif isinstance(event, Failed):
                raise WorkerError(event.message, hint=event.hint)
            elif not event.path:
                clock.cancel()
                tell("Stopped. What was answered is kept: ^g goes on.")
            else:
                return await asyncio.to_thread(read_document, event.path)
    finally:
        clock.cancel()
    return None


class EvaluationScreen(ModalScreen[None]):
    """Every side's figures, and how the judged one stands to each other one."""

    HEADING = "Score"

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "failed", "Failed rows", priority=True),
        Binding("escape,q", "leave", "Close", key_display="esc"),
    ]
    DEFAULT_CSS = """
    EvaluationScreen #panel { width: 90%; max-height: 90%; }
    EvaluationScreen VerticalScroll { height: auto; max-height: 100%; }
    """

    def __init__(self, document: Document) -> None:
        super().__init__(name="score", classes="panel-over")
        self._document = document

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content(f"{self._document['rows']:,} held-out rows")
            with VerticalScroll():
                yield Static(id="figures")

    def on_mount(self) -> None:
        scroll = self.query_one(VerticalScroll)
        scroll.focus()
        self.watch(scroll, "show_vertical_scrollbar", self._tell_keys)

    def _tell_keys(self, scrolls: bool) -> None:
        """What works here stands in the border; that there is more below, too."""
        failed = len(self._document["failed"])
        keys = [f"enter: the {failed:,} without a right answer"] if failed else []
        keys += ["↑ ↓ pgdn scroll"] if scrolls else []
        self.query_one("#panel").border_subtitle = Content(" · ".join(keys or ["esc closes"]))

    def on_resize(self) -> None:
        width = max(40, min(WIDEST, self.size.width * 9 // 10) - AROUND)
        right = right_line(self._document)
        changed = str(self._document.get("base_changed", ""))  # documents of before have none
        lines = [*hanging(f"▲ {changed}", width - KEPT_FREE), ""] if changed else []
        lines += hanging(right, width - KEPT_FREE) + [""] * bool(right)
        lines += [line for told in brief_verdict_lines(self._document) for line in _columned(told, width - KEPT_FREE)]
        if not self._document["failed"] and not right:
            lines += [f"Every row has a right answer by {self._document['judged']}.", ""]
        lines += figure_lines(self._document, width=width) + part_lines(self._document, width=width)
        lines.append(f"Answers and figures are kept in {home_short(self._document['folder'])}.")
        self.query_one("#figures", Static).update(Content("\n".join(harmless(line) for line in lines).rstrip()))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return bool(self._document["failed"]) if action == "failed" else super().check_action(action, parameters)

    def action_failed(self) -> None:
        """Page through the rows without a right answer."""
        self.app.push_screen(FailedRowsScreen(self._document))

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)


def _columned(line: str, width: int) -> list[str]:
    """A measure and what is said of it in a column of its own; any other line as it is, cut at blanks."""
    name, colon, told = line.partition(": ")
    if not colon or not name.startswith("  ") or len(name) >= NAME_CELLS:
        return hanging(line, width)
    if NAME_CELLS + len(told) > width and ", 95 %" in told:  # its range stays whole
        far, _, between = told.partition(", ")
        return [*in_column(name, f"{far},", width, NAME_CELLS), *in_column("", between, width, NAME_CELLS)]
    return in_column(name, told, width, NAME_CELLS)


class FailedRowsScreen(ModalScreen[None]):
    """Rows that the judged side did not answer right, with where its answer differs."""

    CSS_PATH = "panels.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "Close", key_display="esc")]
    DEFAULT_CSS = """
    FailedRowsScreen #panel { width: 90%; height: 90%; }
    FailedRowsScreen OptionList { height: 1fr; max-height: 40%; text-wrap: nowrap; text-overflow: ellipsis; }
    FailedRowsScreen VerticalScroll { height: 1fr; border-top: solid $primary-muted; }
    """

    def __init__(self, document: Document) -> None:
        super().__init__(classes="panel-over")
        self._failed = document["failed"]
        self._title = f"{len(self._failed):,} rows without a right answer by {document['judged']}"

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content(harmless(self._title))
            panel.border_subtitle = Content("[-only expected-] {+only given+} · ↑ ↓ others")
            options = [
                Option(Content(f"row {one['row']}  {one['why']}  {one_line(one['asked'], 200)}"))
                for one in self._failed
            ]
            yield OptionList(*options, id="failed-rows")
            with VerticalScroll(can_focus=False):
                yield Static(id="row")

    @on(OptionList.OptionHighlighted)
    def _shown(self, event: OptionList.OptionHighlighted) -> None:
        one = self._failed[event.option_index]
        beside = difference(one["expected"], one["answer"]) if one["expected"] else harmless(one["answer"], LONGEST)
        self.query_one("#row", Static).update(
            Content.assemble(
                ("asked\n", "bold $text-muted"),
                f"{harmless(one['asked'], LONGEST)}\n\n",
                ("expected and given\n" if one["expected"] else "given\n", "bold $text-muted"),
                beside,
            )
        )
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def action_leave(self) -> None:
        """Close."""
        self.dismiss(None)
