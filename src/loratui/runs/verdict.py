"""Whether the result of a finished run is worth nothing: what its worker found, and of older workers' runs, which
judged no end, what their losses show.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from loratui.core.diagnosis import WORSE_THAN_BASE, Finding, Fix, diagnose
from loratui.core.diagnosis.divergence import ruined
from loratui.core.diagnosis.instability import ruined_words
from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.runs.course import read_course
from loratui.runs.directory import Run
from loratui.runs.events import Finding as Told
from loratui.runs.events import Finished, decode
from loratui.runs.failure import SPOILT
from loratui.runs.history import StepFigures, read_figures
from loratui.runs.lines import CHUNK_BYTES, STEP_START, LineTail, from_the_end
from loratui.runs.status import Status

SHORT_BYTES = 256 << 10
"""A history of at most so much is judged whole, as the monitor judges it: about a thousand steps."""
LAST_LINES = 200
"""Of a longer one so many lines are read from its end, and one piece from its beginning."""


class Ruin(NamedTuple):
    """What makes a result worth nothing: a finding's kind, and a sentence."""

    kind: str
    message: str

    @property
    def word(self) -> str:
        """What became of it: diverged or spoilt."""
        return "diverged" if self.kind in ("diverged", "diverging") else "spoilt"


def spoilt_end(run: Run, plan: Plan) -> tuple[Finding, StepFigures | None] | None:
    """Why a run that made its last step is spoilt all the same, and that step; None where it is not. Reads all of its
    events.
    """
    course, known = read_course(run), run.proposed()
    for finding in diagnose(course.curves(finished=True, proposed=known.get("values"), bf16=known.get("bf16")), plan):
        if finding.kind in SPOILT and finding.severity == "error":
            return finding, course.last()
    return None


def worse_than_base(run: Run, status: Status) -> Finding | None:
    """That a finished run's result is worse than its base on held-out rows; None where nothing says so. Reads all of
    its events.
    """
    if status.state != "finished":
        return None
    known = run.proposed()
    curves = read_course(run).curves(finished=True, proposed=known.get("values"), bf16=known.get("bf16"))
    try:
        return next((one for one in diagnose(curves, run.plan()) if one.kind == WORSE_THAN_BASE), None)
    except LoratuiError:
        return None  # its list says why its plan cannot be read


def as_fields(fix: Fix) -> dict[str, Any]:
    """A fix as the events carry it."""
    more = ({"restart": True} if fix.restart else {}) | ({} if fix.sure else {"sure": False})
    return {"change": dict(fix.changes), "advice": fix.advice} | more


def ruin_of(run: Run, status: Status) -> Ruin | None:
    """Why a finished run's result is worth nothing; None where nothing says so, and for a run that is not finished.
    However long its history is, a small part of it is read, and again only after it has changed.
    """
    if status.state != "finished":
        return None
    try:
        found = run.events_path.stat()
    except OSError:
        return None
    return _ruin_of(run.path, found.st_size, found.st_mtime_ns)


@lru_cache(maxsize=1024)
def _ruin_of(path: Path, size: int, changed: int) -> Ruin | None:
    del changed  # part of the key alone
    run = Run(path)
    last: list[float] = []
    try:
        for _, line in islice(from_the_end(run.events_path), LAST_LINES):
            if line.startswith(STEP_START):
                step = read_figures(line)
                last += [step.loss] if step is not None and step.loss is not None else []
                continue
            event = decode(line) if line else None
            if isinstance(event, Told) and event.finding in SPOILT and event.severity == "error" and not last:
                return Ruin(event.finding, event.message)
            if isinstance(event, Finished) and event.judged and not last:
                return None
        if size <= SHORT_BYTES:
            spoilt = spoilt_end(run, run.plan())
            return Ruin(spoilt[0].kind, spoilt[0].message) if spoilt else None
        return _ends_above(_first_loss(run.events_path), last[::-1])
    except (OSError, LoratuiError):
        return None  # its list says why it cannot be read


def _first_loss(path: Path) -> float:
    """That of the run's first step; NaN where the beginning of its events does not show it."""
    for line in LineTail(path).read(CHUNK_BYTES):
        step = read_figures(line) if line.startswith(STEP_START) else None
        if step is not None:
            return step.loss if step.step == 1 and step.loss is not None else math.nan
    return math.nan


def _ends_above(start: float, last: list[float]) -> Ruin | None:
    if last and not math.isfinite(last[-1]):
        return Ruin("not-finite", "The loss is no number any more at the end: the weights are spoilt.")
    if not ruined(start, last):
        return None
    return Ruin("diverging", ruined_words(start, last))
