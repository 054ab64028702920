"""How many optimizer steps a run takes, and the learning rate at each.

Steps are counted as transformers 5.23 counts them (`trainer.py`, `set_initial_training_values`), learning rates as its
`optimization.py` computes them: both are held by tests against the library itself.
"""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from functools import lru_cache
from typing import Any, NamedTuple

from loratui.core.dataset import DataFacts
from loratui.core.plan import Plan

_PACKING_SAMPLE = 400


class Schedule(NamedTuple):
    """The length of a run.

    examples: rows of the training part. sequences: what the batches are made of (rows, or packed sequences).
    steps are optimizer steps; tokens_per_epoch counts every real token once, after cutting.
    """

    examples: int
    sequences: int
    effective_batch_size: int
    steps_per_epoch: int
    total_steps: int
    warmup_steps: int
    tokens_per_epoch: int
    batches_per_epoch: int
    """Forward passes of each device in an epoch."""


def make_schedule(plan: Plan, data: DataFacts, devices: int = 1) -> Schedule:
    """The run's length for `data.examples` rows on `devices` devices with one process each.

    The last batch of an epoch may be smaller, and so may its last accumulation; both count as whole steps.
    """
    training = plan.training
    data, devices = data.at(training.max_length), max(1, devices)
    sequences = packed_sequences(data, training.max_length) if training.packing else data.examples
    batches = math.ceil(math.ceil(sequences / training.batch_size) / devices)
    per_epoch = max(1, math.ceil(batches / training.accumulation))
    total = training.max_steps or math.ceil(training.epochs * per_epoch)
    return Schedule(
        examples=data.examples,
        sequences=sequences,
        effective_batch_size=training.batch_size * training.accumulation * devices,
        steps_per_epoch=per_epoch,
        total_steps=total,
        warmup_steps=min(training.warmup_steps, total),
        tokens_per_epoch=tokens_per_epoch(data, training.max_length),
        batches_per_epoch=batches,
    )


def times_in(total_steps: int, every_steps: int) -> int:
    """How often something comes that is due every so many steps, and at the last one too (transformers 5.23); 0 steps:
    never.
    """
    return math.ceil(total_steps / every_steps) if every_steps else 0


@lru_cache(maxsize=256)
def tokens_per_epoch(data: DataFacts, max_length: int) -> int:
    """Tokens of all rows after cutting at `max_length`; scaled up where `data.lengths` is a sample."""
    cut = bisect_left(data.lengths, max_length)
    counted = sum(data.lengths[:cut]) + (len(data.lengths) - cut) * max_length
    return round(counted * data.examples / len(data.lengths))


@lru_cache(maxsize=64)
def packed_sequences(data: DataFacts, max_length: int) -> int:
    """How many sequences of `max_length` tokens best-fit-decreasing packing makes of the rows (TRL's "bfd").

    Counted on at most 400 rows spread evenly over the lengths, and scaled to all rows; longer rows are cut.
    """
    step = max(1, len(data.lengths) // _PACKING_SAMPLE)
    sample = data.lengths[::-1][::step]
    copies = max(1, min(data.examples, _PACKING_SAMPLE) // len(sample))
    sample = tuple(length for length in sample for _ in range(copies))
    free: list[int] = []
    for length in sample:
        wanted = min(length, max_length)
        place = bisect_left(free, wanted)
        insort(free, (free.pop(place) if place < len(free) else max_length) - wanted)
    return max(1, math.ceil(len(free) * data.examples / len(sample)))


def scheduler_arguments(plan: Plan) -> tuple[str, dict[str, Any]]:
    """The plan's schedule as `lr_scheduler_type` and `lr_scheduler_kwargs` of transformers' TrainingArguments."""
    training = plan.training
    if training.scheduler == "cosine":
        return "cosine_with_min_lr", {"min_lr_rate": training.min_lr_ratio}
    if training.scheduler == "linear":
        return "linear", {}
    if training.scheduler == "constant":
        return ("constant_with_warmup" if training.warmup_steps else "constant"), {}
    return "cosine_with_restarts", {"num_cycles": restart_cycles(plan)}


def restart_cycles(plan: Plan) -> int:
    """Falls of the cosine with restarts: one an epoch, at least two (one alone would be a plain cosine)."""
    return max(2, math.ceil(plan.training.epochs)) if not plan.training.max_steps else 2


def learning_rate_at(plan: Plan, schedule: Schedule, step: int) -> float:
    """The learning rate of optimizer step `step`, counted from 0.

    With a warm-up the first step has learning rate 0: that is how transformers does it.
    """
    return plan.training.learning_rate * _factor(plan, schedule, step)


def _factor(plan: Plan, schedule: Schedule, step: int) -> float:
    training, warmup, total = plan.training, schedule.warmup_steps, schedule.total_steps
    if step < warmup:
        return step / max(1, warmup)
    if training.scheduler == "constant":
        return 1.0
    if training.scheduler == "linear":
        return max(0.0, (total - step) / max(1, total - warmup))
    progress = (step - warmup) / max(1, total - warmup)
    if training.scheduler == "cosine_with_restarts":
        if progress >= 1.0:
            return 0.0
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * ((restart_cycles(plan) * progress) % 1.0))))
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    return max(0.0, cosine * (1.0 - training.min_lr_ratio) + training.min_lr_ratio)


def curve(plan: Plan, schedule: Schedule, points: int = 60) -> tuple[tuple[int, float], ...]:
    """(step, learning rate) at no more than `points` + 2 steps, evenly spread, the first, the peak and the last among
    them.
    """
    last = max(0, schedule.total_steps - 1)
    steps = {round(index * last / max(1, points - 1)) for index in range(points)} | {
        0,
        min(schedule.warmup_steps, last),
        last,
    }
    return tuple((step, learning_rate_at(plan, schedule, step)) for step in sorted(steps))
