"""What a plan would train beside if it were started now, how much memory that leaves, and when its turn would come."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from loratui.core.hardware import Machine
from loratui.core.plan import Plan
from loratui.machine.detect import detect_machine
from loratui.queue.forecast import begin_of, lanes_after
from loratui.queue.place import held_lanes, lanes_held, lanes_of, place_for
from loratui.queue.trainings import Training, trainings
from loratui.runs.directory import Run
from loratui.runs.history import last_step
from loratui.runs.waiting import read_queue


@dataclass(frozen=True)
class Beside:
    """A run that is at work where another one would start. left_seconds: None where it does not know yet."""

    name: str
    path: str
    step: int
    steps: int
    left_seconds: float | None


@dataclass(frozen=True)
class Crowd:
    """What stands where a plan would train.

    runs: those at work there. waiting: how many wait for this machine. growing_bytes: what they will take of the memory
    that is free now, by the peaks that they reached; None where one has made no step yet. turn_seconds: until the plan
    would start if it waited; None where that cannot be told.
    """

    runs: tuple[Beside, ...]
    waiting: int
    growing_bytes: int | None
    turn_seconds: float | None


def crowd_of(plan: Plan) -> Crowd | None:
    """Who is at work where this plan would train; None where there is room for it. Slow (NVML, processes): for a
    thread. RunError where the queue cannot be read.
    """
    at_work = [one for one in trainings() if not Run(one.run).status().over]  # one that is over only tidies up
    if not at_work or plan.cluster.engine:
        return None
    machine, queue = detect_machine(), read_queue()
    lanes = lanes_of(plan, machine)
    if not lanes or place_for(plan, machine, held_lanes(at_work, machine)) is not None:
        return None
    there = [one for one in at_work if lanes_held(one, machine) & set(lanes)]
    if not there:
        return None  # somebody else's program: what it holds is in the plan's free memory
    known = growth(there, machine)
    turn = begin_of(plan, machine, lanes_after(queue, machine, at_work)[1])
    return Crowd(
        runs=tuple(_beside(one) for one in there),
        waiting=sum(not one.held for one in queue),
        growing_bytes=max(known.values(), default=0) if known is not None else None,
        turn_seconds=turn if math.isfinite(turn) else None,
    )


def growth(at_work: Sequence[Training], machine: Machine) -> dict[str, int] | None:
    """Bytes by which the trainings on each lane may still grow; None where one has made no step yet, so that nobody
    knows.
    """
    found: dict[str, int] = {}
    for one in at_work:
        step = last_step(Run(one.run).events_path)
        if step is None or not step.memory_peak:
            return None
        for lane in lanes_held(one, machine):
            now = step.memory_reserved or step.memory_allocated or 0
            found[lane] = found.get(lane, 0) + max(0, step.memory_peak - now)
    return found


def _beside(one: Training) -> Beside:
    run = Run(one.run)
    status = run.status()
    return Beside(run.name, str(run.path), status.step, status.total, status.eta_seconds)
