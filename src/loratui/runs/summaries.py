"""What was read of runs that are over, kept beside the list of runs: reading 500 plans anew takes longer than anybody
waits for a list.

A line counts for as long as every file that it was made from is the same by its place, size and time of change. It may
be removed at any time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import PydanticSerializationError

import loratui
from loratui.core.plan import Plan
from loratui.files import read_document, write_whole
from loratui.paths import state_home
from loratui.runs.directory import Run
from loratui.runs.origin import INSTALLATION, NAME
from loratui.runs.status import Status, read_status
from loratui.runs.summary import RunSummary
from loratui.runs.verdict import Ruin

Mark = tuple[int, int, int] | None
Marks = tuple[Mark, ...]


LIMIT_BYTES = 64 << 20
"""A line has some 4 KB."""


class Known(NamedTuple):
    """A run's line, and what it was made from. lasting: whether it stays as it is while that does."""

    marks: Marks
    summary: RunSummary
    lasting: bool


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True)

    marks: Marks
    status: Status
    plan: Plan | None
    created: float
    problem: str
    foreign: bool
    ruin: Ruin | None


class _Kept(BaseModel):
    program: tuple[str, Mark]
    """Version and place of the program that read them: another may read them otherwise."""
    home: Mark
    """Of what tells this home's own runs from others."""
    runs: dict[str, _Line]


def mark(path: Path) -> Mark:
    """What tells a file's present content from others, without reading it; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def marks_of(run: Run) -> Marks:
    """Of the files that a run's line in the list is made from."""
    return tuple(map(mark, (run.plan_path, run.status_path, run.events_path, run.path / NAME)))


def read_summaries() -> dict[Path, Known]:
    """What is kept; nothing where it cannot be read, or another program wrote it."""
    try:
        kept = _Kept.model_validate_json(read_document(_path(), limit_bytes=LIMIT_BYTES))
    except (OSError, ValidationError):
        return {}
    if (kept.program, kept.home) != (_program(), mark(state_home() / INSTALLATION)):
        return {}
    return {
        Path(path): Known(
            line.marks,
            RunSummary(Run(Path(path)), line.status, line.plan, line.created, line.problem, line.foreign, line.ruin),
            lasting=True,
        )
        for path, line in kept.runs.items()
    }


def keep_summaries(known: Mapping[Path, Known]) -> None:
    """Keep the lasting ones in place of what was kept. A home that cannot be written to keeps none, and a line with
    half a character in its words or its path is not kept: it is read anew each time.
    """
    lines = {
        str(path): _Line(
            marks=marks,
            status=one.status,
            plan=one.plan,
            created=one.created,
            problem=one.problem,
            foreign=one.foreign,
            ruin=one.ruin,
        )
        for path, (marks, one, lasting) in known.items()
        if lasting
    }
    lines = {path: line for path, line in lines.items() if _is_text(path, line)}
    kept = _Kept(program=_program(), home=mark(state_home() / INSTALLATION), runs=lines)
    with contextlib.suppress(OSError):
        write_whole(_path(), kept.model_dump_json() + "\n")


def may_be_kept(marks: Marks, one: RunSummary) -> bool:
    """Whether a run's line stays as it is while its files do: it is over by its worker's own word, for what the system
    or a scheduler says may change. One without events is as old as its oldest file, which may be any other.
    """
    events = marks[2]
    if not one.status.over or events is None or not events[1]:
        return False
    written = read_status(one.run.status_path)
    return written is not None and written.over and written == one.status


def _is_text(path: str, line: _Line) -> bool:
    """Whether UTF-8 can hold it."""
    try:
        path.encode()
        line.model_dump_json()
    except (UnicodeEncodeError, PydanticSerializationError):
        return False
    return True


def _path() -> Path:
    return state_home() / "runs-list.json"


def _program() -> tuple[str, Mark]:
    return loratui.__version__, mark(Path(loratui.__file__).parent)
