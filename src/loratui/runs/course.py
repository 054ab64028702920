"""What made a run's present weights, out of everything that its events tell, and whether it went well."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from loratui.core.diagnosis import Curves
from loratui.core.diagnosis.divergence import DivergenceWatch
from loratui.core.early_stopping import Change
from loratui.runs.directory import Run
from loratui.runs.events import Data, Eval, Event, Fix, Started
from loratui.runs.held_out import best_of
from loratui.runs.history import Counted, StepFigures, placed_events, step_after

CURVE_STEPS = 100_000
"""Steps that a diagnosis is shown; of a longer run some, evenly, and the last ones all."""
LAST_STEPS = 1_000


class Judged(NamedTuple):
    """One evaluation: its step and the held-out loss, and how they stand beside earlier ones by their rows."""

    step: int
    loss: float | None
    beside_best: Change | None = None
    parts: Mapping[str, Change] = {}


@dataclass
class Course:
    """Steps and evaluations in their order: where a worker took over at an earlier step, those after it count no
    more.
    """

    steps: Iterable[StepFigures] = field(default_factory=list)
    """As often as they are asked for: those of a run are read anew each time, and never held all at once."""
    evals: list[Judged] = field(default_factory=list)
    base: Judged | None = None
    """The evaluation before the first step, of what the run begins with; it is none of `evals`."""
    total_steps: int = 0
    data: Data | None = None
    changed_at: int = -1
    """The step from which a change of the plan let it go on, where nothing was trained since; else -1."""

    def take(self, event: Event) -> None:
        """Take up the next event that is no step."""
        match event:
            case Started():
                self.total_steps = event.total_steps or self.total_steps
                self.evals = [one for one in self.evals if one.step <= event.step]
            case Eval(step=0):
                self.base = Judged(event.step, event.loss)
            case Eval():
                if self.evals and self.evals[-1].step == event.step:  # made again after a kill: the last one counts
                    self.evals.pop()
                self.evals.append(Judged(event.step, event.loss, event.beside_best, event.parts_beside_best))
            case Fix():
                self.changed_at = event.from_step if event.start == "checkpoint" else -1
                if event.start == "anew":
                    self.evals = []
                if event.start != "checkpoint":
                    self.base = None
            case Data():
                self.data = event

    @property
    def best(self) -> Judged | None:
        """The evaluation with the least held-out loss."""
        return best_of(self.evals)

    def last(self, until: float = math.inf) -> StepFigures | None:
        """The last step, not beyond `until`."""
        found = None
        for step in self.steps:
            if step.step <= until:
                found = step
        return found

    def curves(
        self, *, finished: bool = False, proposed: Mapping[str, Any] | None = None, bf16: bool | None = None
    ) -> Curves:
        """As a diagnosis looks at it. proposed, bf16: what the worker noted of its situation."""
        steps = _thinned(self.steps)
        judged = [one for one in self.evals if one.loss is not None]
        epoch = steps[-1].epoch if steps else 0.0

        def values(found: Iterable[float | None]) -> list[float]:
            return [math.nan if value is None else value for value in found]

        return Curves(
            [one.step for one in steps],
            values(one.loss for one in steps),
            values(one.grad_norm for one in steps),
            values(one.learning_rate for one in steps),
            [one.step for one in judged],
            [one.loss for one in judged if one.loss is not None],
            total_steps=self.total_steps,
            steps_per_epoch=round(steps[-1].step / epoch) if epoch else 0,
            finished=finished,
            proposed=proposed or {},
            eval_rows=self.data.eval_examples if self.data else 0,
            trained_tokens=self.data.trained_tokens if self.data else None,
            bf16=bf16,
            base_loss=self.base.loss if self.base and self.base.loss is not None else math.nan,
            changes=[one.beside_best for one in judged],
            part_changes=judged[-1].parts if judged else {},
        )

    def watch(self, until: int) -> DivergenceWatch:
        """The watch over its loss as it was after step `until`."""
        return DivergenceWatch.of(
            ((step.step, step.loss) for step in self.steps if step.step <= until and step.loss is not None),
            self.evaluations(until),
        )

    def evaluations(self, until: float) -> list[tuple[int, float]]:
        """(step, held-out loss) of the evaluations up to step `until`."""
        return [(one.step, one.loss) for one in self.evals if one.step <= until and one.loss is not None]


def _thinned(steps: Iterable[StepFigures]) -> list[StepFigures]:
    """The steps; of very many, every second one, fourth one, …, the first that went wrong and the last ones all."""
    kept: list[StepFigures] = []
    last: deque[StepFigures] = deque(maxlen=LAST_STEPS)
    wrong: dict[str, StepFigures] = {}
    stride = 1
    for number, step in enumerate(steps):
        last.append(step)
        for name in ("loss", "grad_norm"):
            value = getattr(step, name)
            if value is not None and not math.isfinite(value):
                wrong.setdefault(name, step)
        if number % stride == 0:
            kept.append(step)
            if len(kept) > CURVE_STEPS:
                kept, stride = kept[::2], 2 * stride
    if stride == 1:
        return kept
    return sorted({one.step: one for one in (*kept, *wrong.values(), *last)}.values())


def read_course(run: Run, *, until: int | None = None) -> Course:
    """The course so far, from the run's events. until: bytes of them that are looked at; None: all."""
    course = Course()
    try:
        size = run.events_path.stat().st_size
    except OSError:
        return course
    counted = Counted(run.events_path, size if until is None else min(until, size))
    changed = 0
    for place, event in placed_events(run.events_path, until=counted.until):
        if isinstance(event, Started):
            counted.starts.append((place, event.step))
        elif isinstance(event, Fix):
            changed = place
        course.take(event)
    course.steps = counted
    if course.changed_at >= 0 and step_after(run.events_path, changed, counted.until):
        course.changed_at = -1
    return course


def sound_until(course: Course, *, precision: str, ended: bool = False) -> int | None:
    """The last step after which the weights were still sound, 0 where none was; None where nothing went wrong.

    Loss history decides: where a loss is no number, the weights after the step before it are spoilt; where a gradient
    is none, those after that step (float16 skips such steps); from a divergence on, all after the last healthy step.
    Evaluations count as they do for the worker. ended: no other comes, so that the last one alone decides.
    """
    watch = DivergenceWatch()
    evals = {one.step: one.loss for one in course.evals if one.loss is not None}
    for step, is_last in _with_last(course.steps):
        if step.loss is not None and not math.isfinite(step.loss):
            return min(watch.healthy_step, max(0, step.step - 2))
        if step.grad_norm is not None and not math.isfinite(step.grad_norm) and precision != "fp16":
            return min(watch.healthy_step, max(0, step.step - 1))
        if step.loss is not None and watch.diverged(step.step, step.loss):
            return watch.healthy_step
        held_out = evals.get(step.step)
        if held_out is not None and watch.evaluated(step.step, held_out, last=ended and is_last):
            return watch.healthy_step
    return None


def _with_last(steps: Iterable[StepFigures]) -> Iterator[tuple[StepFigures, bool]]:
    """Each step, and whether it is the last."""
    before = None
    for step in steps:
        if before is not None:
            yield before, False
        before = step
    if before is not None:
        yield before, True
