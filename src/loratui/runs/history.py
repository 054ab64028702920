"""What a run's events tell of its past, however many they are: read in constant memory, from whichever end is nearer.

Where a worker took over at an earlier step, what an earlier one told of later steps counts no more: `Counted` passes it
over.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from pydantic_core import from_json

from loratui.runs.event_fields import LATEST, MOST
from loratui.runs.events import Event, Started, Step, decode
from loratui.runs.lines import STEP_START, LineTail, from_the_end

STARTED = b'"started"'


class StepFigures(NamedTuple):
    """The figures of a step that curves and watches look at."""

    step: int
    epoch: float = 0.0
    loss: float | None = None
    learning_rate: float | None = None
    grad_norm: float | None = None


def figures_of(step: Step) -> StepFigures:
    """Those of a decoded step."""
    return StepFigures(step.step, step.epoch, step.loss, step.learning_rate, step.grad_norm)


def read_figures(line: bytes) -> StepFigures | None:
    """The figures of a step's line; None for any other line, and for one that is damaged. `decode` takes three times
    as long: it looks at every field.
    """
    try:
        document = from_json(line)
        if document["type"] != "step":
            return None
        step, time, epoch = document["step"], document["time"], document.get("epoch", 0.0)
        if type(step) is int and 0 <= step <= MOST and 0 <= time <= LATEST and 0 <= epoch < math.inf:
            loss, rate, norm = document.get("loss"), document.get("learning_rate"), document.get("grad_norm")
            return StepFigures(
                step,
                epoch,
                loss if loss is None else float(loss),
                rate if rate is None else float(rate),
                norm if norm is None else float(norm),
            )
    except (ValueError, TypeError, KeyError):
        pass
    return None


def other_events(path: Path, *, since: int = 0, until: int | None = None) -> Iterator[Event]:
    """Every event but the steps. Nothing where there is no file."""
    for _, event in placed_events(path, since=since, until=until):
        yield event


def placed_events(path: Path, *, since: int = 0, until: int | None = None) -> Iterator[tuple[int, Event]]:
    """(offset of its line, event) of every event but the steps."""
    try:
        for place, lines in LineTail(path, offset=since, until=until).chunks():
            for line in lines:
                event = None if line.startswith(STEP_START) or not line else decode(line)
                if event is not None and not isinstance(event, Step):
                    yield place, event
                place += len(line) + 1
    except OSError:
        return


def since_last_start(path: Path) -> Iterator[Event]:
    """The events but the steps from the last worker's start on; from the file's beginning where none started."""
    return other_events(path, since=last_start(path)[0])


def last_start(path: Path) -> tuple[int, Started | None]:
    """Where the last worker's start stands in the file, found from its end; (0, None) where none does."""
    try:
        for place, line in from_the_end(path):
            if STARTED in line and not line.startswith(STEP_START):
                event = decode(line)
                if isinstance(event, Started):
                    return place, event
    except OSError:
        pass
    return 0, None


def step_after(path: Path, place: int, until: int) -> bool:
    """Whether a step was made between these two places of the file."""
    lines = (line for _, part in LineTail(path, offset=place, until=until).chunks() for line in part)
    return any(read_figures(line) is not None for line in lines)


def end_of(path: Path, tail_bytes: int) -> int:
    """Where the last whole lines begin, about `tail_bytes` before the file's end; 0 for a file that is shorter."""
    try:
        size = path.stat().st_size
        for place, _ in from_the_end(path) if size > tail_bytes else ():
            if place <= size - tail_bytes:
                return place
    except OSError:
        pass
    return 0


@dataclass
class Counted:
    """The steps of a file that count, as often as they are asked for. `until`: bytes from which nothing is read."""

    path: Path
    until: int
    starts: list[tuple[int, int]] = field(default_factory=list)
    """(offset in the file, step) of every worker's start, in their order."""

    def counts(self, place: int, step: int) -> bool:
        """Whether what is told at this place of the file for this step was not made anew since."""
        return all(begun >= step for at, begun in self.starts if at > place)

    def __iter__(self) -> Iterator[StepFigures]:
        starts = list(self.starts)
        limit = min((step for _, step in starts), default=math.inf)
        try:
            for place, lines in LineTail(self.path, until=self.until).chunks():
                for line in lines:
                    while starts and starts[0][0] <= place:
                        del starts[0]
                        limit = min((step for _, step in starts), default=math.inf)
                    place += len(line) + 1
                    figures = read_figures(line)
                    if figures is not None and figures.step <= limit:
                        yield figures
        except OSError:
            return


def counted(path: Path) -> Counted:
    """The steps of a run that count, as of now."""
    try:
        found = Counted(path, path.stat().st_size)
    except OSError:
        return Counted(path, 0)
    events = placed_events(path, until=found.until)
    found.starts = [(place, event.step) for place, event in events if isinstance(event, Started)]
    return found


def last_step(path: Path, until: float = math.inf) -> Step | None:
    """The newest step not beyond `until`, found from the end: what a worker that goes on from there follows."""
    try:
        for _, line in from_the_end(path):
            event = decode(line) if b'"step"' in line else None
            if isinstance(event, Step) and event.step <= until:
                return event
    except OSError:
        pass
    return None
