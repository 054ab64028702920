"""The course of a run from a list of its events, the plain way: what the reader of long files is held against."""

from __future__ import annotations

from collections.abc import Iterable

from loratui.runs.course import Course, Judged
from loratui.runs.events import Data, Eval, Event, Fix, Started, Step
from loratui.runs.history import figures_of


def course_of(events: Iterable[Event]) -> Course:
    """The course that these events tell of."""
    course = Course()
    steps = []
    for event in events:
        match event:
            case Step():
                steps.append(figures_of(event))
                course.changed_at = -1
            case Started():
                steps = [one for one in steps if one.step <= event.step]
                course.evals = [one for one in course.evals if one.step <= event.step]
                course.total_steps = event.total_steps or course.total_steps
            case Eval() if event.step == 0:
                course.base = Judged(0, event.loss)
            case Eval():
                if course.evals and course.evals[-1].step == event.step:
                    course.evals.pop()
                course.evals.append(Judged(event.step, event.loss))
            case Fix():
                course.changed_at = event.from_step if event.start == "checkpoint" else -1
                course.base = course.base if event.start == "checkpoint" else None
            case Data():
                course.data = event
    course.steps = steps
    return course
