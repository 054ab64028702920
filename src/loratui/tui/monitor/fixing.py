"""What would mend a run, as the run itself and its curves say: chosen in a panel, with what each change needs and costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from loratui.core.errors import PlanError
from loratui.core.plan import Plan
from loratui.format import one_line, size
from loratui.runs.control import change_and_resume, stop_run, wait_ended
from loratui.runs.directory import Run
from loratui.tui.monitor.follow import Followed

STOP_SECONDS = 600.0
"""How long a running worker may take to finish its step and save before a fix is given up."""


@dataclass(frozen=True, slots=True)
class Fix:
    """A change of the plan. note: what it needs, costs or mends."""

    change: dict[str, Any]
    note: str


def fixes_of(followed: Followed) -> list[Fix]:
    """The fixes that can be applied now, the best first; keys that already have the value are no fix."""
    plan, record = followed.plan, followed.record
    if plan is None or followed.status.state == "finished":
        return []
    found: list[Fix] = []
    if record.oom is not None and followed.status.over:
        for one in record.oom.fixes:
            fits = "" if one.get("fits", True) else ", does not fit by the estimate"
            needs = f"{size(int(one['memory_total']))} by the estimate{fits}; " if one.get("memory_total") else ""
            found.append(Fix(dict(one.get("change", {})), f"{needs}{one.get('cost', '')}"))
    for told in reversed(record.findings):
        found.append(Fix(dict(told.fix), told.message))
    for seen in followed.findings:
        found += [Fix(dict(fix.changes), fix.advice) for fix in seen.fixes]
    kept: list[Fix] = []
    for fix in found:
        if fix.change and fix.change not in [one.change for one in kept] and _changes(plan, fix.change):
            kept.append(fix)
    return kept


def _changes(plan: Plan, change: Mapping[str, Any]) -> bool:
    try:
        return any(plan.get(key) != value for key, value in change.items())
    except PlanError:
        return False


def words(plan: Plan, change: Mapping[str, Any]) -> str:
    """`training.batch_size 8 → 4, training.accumulation 1 → 2`."""
    return ", ".join(f"{key} {plan.get(key)} → {value}" for key, value in change.items())


def apply(run: Run, change: Mapping[str, Any]) -> int:
    """Stop the worker where one is there, put the change into the plan and go on from the last checkpoint; its process id.

    Slow: for a thread. Raises RunError or PlanError in one sentence; nothing has changed then.
    """
    if not run.status().over:
        stop_run(run)
        wait_ended(run, STOP_SECONDS)
    return change_and_resume(run, change)


class FixScreen(ModalScreen[Fix | None]):
    """Returns the chosen fix, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q", "leave", "Leave it", key_display="esc")]
    DEFAULT_CSS = """
    FixScreen #panel { width: 92%; max-height: 90%; }
    FixScreen OptionList { height: auto; max-height: 14; }
    FixScreen #fix-note { height: auto; max-height: 5; margin: 1 0 0 0; }
    """

    def __init__(self, plan: Plan, fixes: Sequence[Fix], running: bool) -> None:
        super().__init__(classes="panel-over")
        self._plan, self._fixes, self._running = plan, list(fixes), running

    def compose(self) -> ComposeResult:
        with Vertical(id="panel") as panel:
            panel.border_title = Content("what would mend it")
            panel.border_subtitle = Content("enter applies it and goes on from the last checkpoint · esc leaves the run as it is")
            yield OptionList(*(Option(Content(one_line(words(self._plan, fix.change), 160))) for fix in self._fixes), markup=False)
            yield Static(id="fix-note")

    def on_mount(self) -> None:
        options = self.query_one(OptionList)
        options.highlighted = 0
        options.focus()

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        stops = "The worker is asked to stop and save first. " if self._running else ""
        self.query_one("#fix-note", Static).update(Content.assemble(
            (one_line(self._fixes[event.option_index].note, 400), "$foreground"), "\n", (f"{stops}The plan as it is stays beside the new one.", "$text-muted"),
        ))

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        self.dismiss(self._fixes[event.option_index])

    def action_leave(self) -> None:
        """Close; nothing changes."""
        self.dismiss(None)
