"""The start of a run, stage by stage: what is done, what goes on and how far it is, what comes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from textual.content import Content

from loratui.format import duration, one_line
from loratui.runs.events import Phase
from loratui.runs.status import Status
from loratui.tui.training.record import RunRecord, Stage

if TYPE_CHECKING:
    from loratui.tui.training.follow import Followed

STAGES = {
    "begin": "start the worker: PyTorch",
    "start": "start the processes",
    "rehearse": "rehearse two steps",
    "load_model": "load the model",
    "tokenise": "tokenise the rows",
    "prepare": "prepare the trainer",
    "train": "make the first step",
}
"""Every stage before the first step, in their order."""
TIME = 13
"""Columns of the time that a stage took."""
BEGIN = "begin"
"""The time before a worker's first word, which no event tells."""
LEAST_SETTINGS = 16
"""Rows from which on the settings are shown: fewer would leave most of them out."""
ALWAYS = ("load_model", "tokenise", "prepare", "train")
CLOCK_SECONDS = 2.0
"""How far a process's start, as the system tells it, may lie from the clock by which its events are dated."""


def phase_now(record: RunRecord, status: Status) -> Phase | None:
    """What the worker that runs now said last; None before its first word, whatever one before it said."""
    return record.phase if record.phase is not None and _of_this_start(record.phase.time, status) else None


def stages_now(record: RunRecord, status: Status) -> dict[str, Stage]:
    """The stages of the start that goes on now, in the order in which they began."""
    return {name: stage for name, stage in record.stages.items() if _of_this_start(stage.began, status)}


def _of_this_start(time: float, status: Status) -> bool:
    """Whether something that was told then was told by the worker that has the run now, or the one that watches over
    it. A run without a worker waits for one.
    """
    return bool(status.pid) and time >= (status.watcher_started or status.started) - CLOCK_SECONDS


def stage_lines(record: RunRecord, status: Status, now: float | None = None) -> list[Content]:
    """A line for each stage. now: Unix seconds; None: the clock's."""
    now = time.time() if now is None else now
    stages = stages_now(record, status)
    waits = status.state == "queued"  # nobody has started anything for it
    if status.created and not waits:
        first = next(iter(stages.values()), None)
        stages = {BEGIN: Stage(status.created, ended=first.began if first is not None else 0.0), **stages}
    begun = list(stages)
    shown = [name for name in STAGES if name in begun or name in ALWAYS or (waits and name == BEGIN)]
    current = begun[-1] if begun else ""
    lines = []
    for name in shown:
        stage = stages.get(name)
        if stage is None:
            lines.append(Content(f"○ {'':<{TIME}}{STAGES[name]}").stylize("$text-muted"))
            continue
        ends = stage.ended or (now if name == current and not status.over else stage.began)
        took = f"{duration(max(0.0, ends - stage.began)):<{TIME}}"
        if name != current:
            lines.append(Content.assemble(("✓ ", "$success"), (took, "$text-muted"), (STAGES[name], "$foreground")))
            continue
        far = f"  {stage.done / stage.of:.0%}" if stage.of else f"  {stage.done:,} rows" if stage.done else ""
        words = (STAGES[name], "bold $foreground")
        lines.append(Content.assemble(("● ", "bold $accent"), (took, "$accent"), words, (far, "$accent")))
        if stage.message:
            lines.append(Content(f"  {'':<{TIME}}{one_line(stage.message, 100)}").stylize("$text-muted"))
    return lines


def start_lines(followed: Followed, width: int, height: int) -> Content:
    """The stages, and below them what the run trains with, where there is room to read it."""
    from loratui.tui.wizard.settings import columns_of, setting_lines

    lines = stage_lines(followed.record, followed.status)
    room = height - len(lines) - 2
    if followed.plan is not None and room >= LEAST_SETTINGS and columns_of(width) > 1:
        lines += [Content(""), Content("what this run trains with").stylize("bold $text-muted")]
        lines.append(setting_lines(followed.plan, width, room))
    return Content("\n").join(lines)
