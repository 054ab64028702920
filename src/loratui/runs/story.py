"""What a model card tells of a run's events, gathered in one pass over them and in constant memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from loratui.runs.events import Data, Eval, Event, Finding, Finished, Fix, FixOutcome, Started, Step, decode
from loratui.runs.history import StepFigures, counted, figures_of, read_figures
from loratui.runs.lines import STEP_START, LineTail

LISTED = 20
"""Evaluations that are listed: of more, the first and the last ones."""


@dataclass
class Change:
    """A change of the plan, and whether it helped, where that was known before the next one."""

    fix: Fix
    outcome: FixOutcome | None = None


@dataclass
class Story:
    """A run as its card tells it. Steps and evaluations that were made anew since do not count."""

    started: Started | None = None
    data: Data | None = None
    finished: Finished | None = None
    starts: int = 0
    changes: list[Change] = field(default_factory=list)
    findings: dict[str, None] = field(default_factory=dict)
    """Their kinds, in the order of the first of each."""
    made: int = 0
    """Steps, those that were made again counted once."""
    total_steps: int = 0
    first_loss: tuple[int, float] | None = None
    """(step, loss)."""
    last_loss: tuple[int, float] | None = None
    highest_rate: float | None = None
    last_rate: float | None = None
    evaluations: int = 0
    generated: int = 0
    """Rows that were answered at most."""
    _last_step: int = -1
    _first: list[Eval] = field(default_factory=list)
    _last: deque[Eval] = field(default_factory=lambda: deque(maxlen=LISTED))

    @property
    def listed(self) -> list[Eval]:
        """The evaluations, in their order; of more than LISTED the first and the last ones."""
        if self.evaluations <= LISTED:
            return list(self._last)
        return [*self._first, *list(self._last)[-(LISTED - len(self._first)) :]]

    def take(self, event: Event) -> None:
        """Take up the next event that is no step and counts."""
        match event:
            case Started():
                self.started, self.starts = event, self.starts + 1
                self.total_steps = event.total_steps or self.total_steps
            case Data():
                self.data = event
            case Finished():
                self.finished = event
            case Fix():
                self.changes.append(Change(event))
            case FixOutcome() if self.changes and self.changes[-1].outcome is None:
                self.changes[-1].outcome = event
            case Finding() if event.finding:
                self.findings.setdefault(event.finding)
            case Eval():
                self._take_evaluation(event)

    def _take_evaluation(self, event: Eval) -> None:
        self.generated = max(self.generated, event.generated)
        if self._last and self._last[-1].step == event.step:  # the same one again, by the next worker
            self._last[-1] = event
            if self._first and self._first[-1].step == event.step:
                self._first[-1] = event
            return
        self.evaluations += 1
        self._last.append(event)
        if len(self._first) < LISTED // 2:
            self._first.append(event)

    def take_step(self, step: StepFigures) -> None:
        """Take up the next step that counts."""
        self.made += step.step != self._last_step
        self._last_step = step.step
        if step.loss is not None:
            self.first_loss = self.first_loss or (step.step, step.loss)
            self.last_loss = (step.step, step.loss)
        if step.learning_rate is not None:
            self.last_rate = step.learning_rate
            self.highest_rate = max(step.learning_rate, self.highest_rate or 0.0)


def read_story(path: Path) -> Story:
    """The story that this file of events tells; an empty one where there is none."""
    story = Story()
    for told in _that_count(path):
        if isinstance(told, StepFigures):
            story.take_step(told)
        else:
            story.take(told)
    return story


def _that_count(path: Path) -> Iterator[StepFigures | Event]:
    course = counted(path)
    try:
        for place, lines in LineTail(path, until=course.until).chunks():
            for line in lines:
                event = read_figures(line) if line.startswith(STEP_START) else decode(line) if line else None
                if isinstance(event, Step):
                    event = figures_of(event)
                beyond = isinstance(event, StepFigures | Eval) and not course.counts(place, event.step)
                place += len(line) + 1
                if event is not None and not beyond:
                    yield event
    except OSError:
        return
