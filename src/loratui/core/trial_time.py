"""How long a part of a run takes: some of its steps, in processes of their own."""

from __future__ import annotations

from loratui.core.measured_around import Span
from loratui.core.plan import Plan
from loratui.core.schedule import times_in
from loratui.core.time import Prediction


def seconds_until(time: Prediction, plan: Plan, step: int, *, starts: int) -> Span:
    """Shortest and longest time of a run's steps up to this one, made in so many processes, each of which ends with an
    evaluation and a checkpoint. time: what is predicted for the whole run.
    """
    evaluations = step // plan.evaluation.every_steps + starts if plan.evaluation.every_steps else starts
    saves = times_in(step, plan.saving.every_steps) + starts
    low, high = (
        starts * begin + step * each + evaluations * judged + saves * saved
        for begin, each, judged, saved in zip(
            time.starting,
            (time.low_seconds_per_step, time.high_seconds_per_step),
            time.one_evaluation,
            time.one_save,
            strict=True,
        )
    )
    return low, high
