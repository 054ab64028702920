"""What another number of steps means for a run that goes on: for its learning rate, and for the weights it holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from loratui.core.plan import Plan
from loratui.core.schedule import Schedule, learning_rate_at
from loratui.format import number_text
from loratui.runs.course import Course
from loratui.runs.directory import Run
from loratui.runs.events import Finished
from loratui.runs.history import other_events

LENGTH = frozenset({"training.epochs", "training.max_steps"})
TOLD_SHARE = 0.01
"""A rate that moves by less is as it was."""


def lengthens(changes: Mapping[str, Sequence[Any]], after: Plan) -> bool:
    """Whether these changes, (old, new) by key, let a run that made its last step go on beyond it. after: the changed
    plan.
    """
    if after.training.max_steps:
        old, new = changes.get("training.max_steps", (0, 0))
        return bool(0 < old < new)
    old, new = changes.get("training.epochs", (0, 0))
    return bool(old < new) and "training.max_steps" not in changes


def extension_words(run: Run, course: Course, before: Plan, after: Plan, step: int) -> str:
    """Which weights go on from step `step`'s checkpoint, and what becomes of the learning rate, in a sentence each;
    empty where there is nothing to tell. before, after: the plan that was trained, and the one with another length.
    """
    told = [_rate_words(course, before, after, step), _weights_words(run, course, after, step)]
    return " ".join(one for one in told if one)


def _steps_of(plan: Plan, course: Course) -> int:
    """Optimizer steps of the whole run; 0 where an epoch's are not known."""
    made = course.last()
    if plan.training.max_steps or made is None or made.epoch <= 0:
        return plan.training.max_steps
    return math.ceil(plan.training.epochs * round(made.step / made.epoch))


def _rate_words(course: Course, before: Plan, after: Plan, step: int) -> str:
    last = course.last(step)
    steps_then, steps_now = course.total_steps or _steps_of(before, course), _steps_of(after, course)
    if last is None or not last.learning_rate or not steps_now or steps_now in (steps_then, step):
        return ""
    schedule = Schedule(0, 0, 0, 0, steps_now, min(after.training.warmup_steps, steps_now), 0, 0)
    now = learning_rate_at(after, schedule, step)
    if abs(now - last.learning_rate) <= TOLD_SHARE * last.learning_rate:
        return ""
    then, now_words = (number_text(float(f"{rate:.2g}")) for rate in (last.learning_rate, now))
    name = after.training.scheduler.replace("_", " ")
    return (
        f"The {name} schedule is computed anew over {steps_now:,} steps instead of {steps_then:,}: the learning rate "
        f"goes from {then} at step {last.step:,} to {now_words} at the next."
    )


def _weights_words(run: Run, course: Course, after: Plan, step: int) -> str:
    judged = {loss: at for at, loss in reversed(course.evaluations(step)) if math.isfinite(loss)}
    best = judged[min(judged)] if judged else step
    if _steps_of(after, course) == step:
        kept = best if after.evaluation.patience and (run.checkpoints_path / f"checkpoint-{best}").is_dir() else step
        why = ", the best evaluation's" if kept != step else ""
        return f"No step is left to make: the result is written from the weights of step {kept:,}{why}."
    finished = [event for event in other_events(run.events_path) if isinstance(event, Finished)]
    if finished and finished[-1].result_step not in (0, step):
        return (
            f"The result so far holds the weights of step {finished[-1].result_step:,}, whose evaluation was best; "
            f"training goes on from those of step {step:,}."
        )
    return ""
