"""The steps that made a run's present weights, out of everything that its events tell, and whether they went well."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from loratui.core.diagnosis.diverged import DivergenceWatch
from loratui.runs.directory import Run
from loratui.runs.events import Event, Started, Step
from loratui.runs.tail import EventTail


def course_of(events: Iterable[Event]) -> list[Step]:
    """Steps in their order: where a worker took over at an earlier step, those made after it before count no more."""
    steps: list[Step] = []
    for event in events:
        if isinstance(event, Started):
            while steps and steps[-1].step > event.step:
                steps.pop()
        elif isinstance(event, Step):
            steps.append(event)
    return steps


def read_course(run: Run) -> list[Step]:
    """The course so far, from the run's events."""
    return course_of(EventTail(run.events_path).new_events())


def sound_until(steps: Sequence[Step], *, precision: str) -> int | None:
    """The last step after which the weights were still sound, 0 where none was; None where nothing went wrong.

    Loss history decides: from a loss that is no number the weights before that step are spoilt too, from a gradient that
    is none those after it (float16 skips such steps), and from a divergence everything after the lowest loss.
    """
    watch = DivergenceWatch()
    for step in steps:
        if step.loss is not None and not math.isfinite(step.loss):
            return watch.healthy_step
        if step.grad_norm is not None and not math.isfinite(step.grad_norm) and precision != "fp16":
            return max(0, step.step - 1)
        if step.loss is not None and watch.diverged(step.step, step.loss):
            return watch.healthy_step
    return None
