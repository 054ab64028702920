"""What made a run's present weights, out of everything that its events tell, and whether it went well."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from loratui.core.diagnosis import Curves
from loratui.core.diagnosis.divergence import DivergenceWatch
from loratui.runs.directory import Run
from loratui.runs.events import Data, Eval, Event, EventTail, Fix, Started, Step


@dataclass
class Course:
    """Steps and evaluations in their order: where a worker took over at an earlier step, those after it count no
    more.
    """

    steps: list[Step] = field(default_factory=list)
    evals: list[Eval] = field(default_factory=list)
    total_steps: int = 0
    data: Data | None = None
    changed_at: int = -1
    """The step from which a change of the plan let it go on, where nothing was trained since; else -1."""

    def curves(
        self, *, finished: bool = False, proposed: Mapping[str, Any] | None = None, bf16: bool | None = None
    ) -> Curves:
        """As a diagnosis looks at it. proposed, bf16: what the worker noted of its situation."""
        steps, judged = self.steps, [one for one in self.evals if one.loss is not None]
        epoch = steps[-1].epoch if steps else 0.0

        def values(name: str) -> list[float]:
            return [math.nan if value is None else value for value in (getattr(step, name) for step in steps)]

        return Curves(
            [step.step for step in steps],
            values("loss"),
            values("grad_norm"),
            values("learning_rate"),
            [one.step for one in judged],
            [one.loss for one in judged if one.loss is not None],
            total_steps=self.total_steps,
            steps_per_epoch=round(steps[-1].step / epoch) if epoch else 0,
            finished=finished,
            proposed=proposed or {},
            eval_rows=self.data.eval_examples if self.data else 0,
            trained_tokens=self.data.trained_tokens if self.data else None,
            bf16=bf16,
        )

    def watch(self, until: int) -> DivergenceWatch:
        """The watch over its loss as it was after step `until`."""
        return DivergenceWatch.of(
            ((step.step, step.loss) for step in self.steps if step.step <= until and step.loss is not None),
            self.evaluations(until),
        )

    def evaluations(self, until: int) -> list[tuple[int, float]]:
        """(step, held-out loss) of the evaluations up to step `until`."""
        return [(one.step, one.loss) for one in self.evals if one.step <= until and one.loss is not None]


def course_of(events: Iterable[Event]) -> Course:
    """The course that these events tell of."""
    course = Course()
    for event in events:
        match event:
            case Started():
                course.total_steps = event.total_steps or course.total_steps
                while course.steps and course.steps[-1].step > event.step:
                    course.steps.pop()
                course.evals = [one for one in course.evals if one.step <= event.step]
            case Step():
                course.steps.append(event)
                course.changed_at = -1
            case Eval():
                if course.evals and course.evals[-1].step == event.step:  # made again after a kill: the last one counts
                    course.evals.pop()
                course.evals.append(event)
            case Fix():
                course.changed_at = event.from_step if event.start == "checkpoint" else -1
            case Data():
                course.data = event
    return course


def read_course(run: Run) -> Course:
    """The course so far, from the run's events."""
    return course_of(EventTail(run.events_path).new_events())


def sound_until(course: Course, *, precision: str, ended: bool = False) -> int | None:
    """The last step after which the weights were still sound, 0 where none was; None where nothing went wrong.

    Loss history decides: where a loss is no number, the weights after the step before it are spoilt; where a gradient
    is none, those after that step (float16 skips such steps); from a divergence on, all after the last healthy step.
    Evaluations count as they do for the worker. ended: no other comes, so that the last one alone decides.
    """
    watch = DivergenceWatch()
    evals = {one.step: one.loss for one in course.evals if one.loss is not None}
    end = course.steps[-1].step if course.steps else 0
    for step in course.steps:
        if step.loss is not None and not math.isfinite(step.loss):
            return min(watch.healthy_step, max(0, step.step - 2))
        if step.grad_norm is not None and not math.isfinite(step.grad_norm) and precision != "fp16":
            return min(watch.healthy_step, max(0, step.step - 1))
        if step.loss is not None and watch.diverged(step.step, step.loss):
            return watch.healthy_step
        held_out = evals.get(step.step)
        if held_out is not None and watch.evaluated(step.step, held_out, last=ended and step.step == end):
            return watch.healthy_step
    return None
