"""What would mend a run, chosen in a panel, with what each change needs and costs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loratui.core.plan import Plan
from loratui.format import one_line
from loratui.runs.continuation import Continuation
from loratui.runs.control import stop_run, wait_ended
from loratui.runs.directory import Run
from loratui.runs.resume import change_and_resume
from loratui.tui.training.mending import LESS_SURE, Fix, start_words, words

STOP_SECONDS = 600.0
"""How long a running worker may take to finish its step and save before a fix is given up."""


def apply(run: Run, fix: Fix) -> int:
    """Stop the worker where one is there, put the change into the plan and go on where it allows; the new worker's
    process id.

    Slow: for a thread. Raises RunError or PlanError in one sentence; nothing has changed then.
    """
    if not run.status().over:
        stop_run(run, "fix")
        wait_ended(run, STOP_SECONDS)
    return change_and_resume(
        run, fix.change, restart=fix.restart, reason=fix.reason, at_step=fix.at_step, sound=fix.sound
    )


class FixScreen(ModalScreen[Fix | None]):
    """Returns the chosen fix, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "Leave it", key_display="esc")]
    DEFAULT_CSS = """
    FixScreen #panel { width: 92%; max-height: 90%; }
    FixScreen OptionList { height: auto; max-height: 14; }
    FixScreen #fix-note { height: auto; max-height: 7; margin: 1 0 0 0; }
    """

    def __init__(self, plan: Plan, fixes: Sequence[Fix], ways: Sequence[Continuation | None], running: bool) -> None:
        super().__init__(classes="panel-over")
        self._plan, self._fixes, self._ways, self._at_work = plan, list(fixes), list(ways), running

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content("what would mend it")
            panel.border_subtitle = Content("enter applies it · esc leaves the run as it is")
            yield OptionList(
                *(Option(self._line(fix, way)) for fix, way in zip(self._fixes, self._ways, strict=True)), markup=False
            )
            yield Static(id="fix-note")

    def _line(self, fix: Fix, way: Continuation | None) -> Content:
        return Content.assemble(
            (f"{start_words(way, self._at_work):<22}  ", "$text-muted"), one_line(words(self._plan, fix.change), 160)
        )

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        options.highlighted = 0
        options.focus()

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        fix, way = self._fixes[event.option_index], self._ways[event.option_index]
        stops = "The worker is asked to stop and save first. " if self._at_work else ""
        told = (
            way.words
            if way is not None and not (self._at_work and way.start == "checkpoint" and not way.spoilt)
            else ""
        )
        self.query_one("#fix-note", Static).update(
            Content.assemble(
                (LESS_SURE if not fix.sure and fix.reason else "", "$text-muted"),
                (one_line(fix.note, 400), "$foreground"),
                "\n",
                (f"{told} " if told else "", "$foreground"),
                (f"{stops}The plan as it is stays beside the new one.", "$text-muted"),
            )
        )

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._fixes[event.option_index])

    def action_leave(self) -> None:
        """Close; nothing changes."""
        self.dismiss(None)
