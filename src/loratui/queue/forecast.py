"""When each run of the queue is expected to start, from what is at work and what is predicted for those before it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from loratui.core.errors import LoratuiError
from loratui.core.hardware import Machine
from loratui.core.plan import Plan
from loratui.machine.device import is_idle
from loratui.queue.place import held_lanes, lanes_held, lanes_of
from loratui.queue.trainings import Training
from loratui.runs.directory import Run
from loratui.runs.waiting import Waiting


def expected(waiting: Sequence[Waiting], machine: Machine, trainings: Sequence[Training]) -> dict[str, float | None]:
    """Seconds until the start of each run, by its directory; None where that cannot be told: it is held, or what one
    before it takes is not known.
    """
    return lanes_after(waiting, machine, trainings)[0]


def lanes_after(
    waiting: Sequence[Waiting], machine: Machine, trainings: Sequence[Training]
) -> tuple[dict[str, float | None], dict[str, float]]:
    """What `expected` tells, and the seconds until each lane is free once all that wait have been there."""
    free = free_lanes(machine, trainings)
    found: dict[str, float | None] = {}
    for one in waiting:
        found[one.path] = None
        try:
            plan = Run(Path(one.path)).plan()
        except LoratuiError:
            continue
        taken = [] if one.held else _taken(plan, machine, free)
        if not taken:
            continue
        begins = _begin(taken, free)
        found[one.path] = begins if math.isfinite(begins) else None
        for lane in taken:
            free[lane] = begins + one.seconds if one.seconds else math.inf
    return found, free


def begin_of(plan: Plan, machine: Machine, free: Mapping[str, float]) -> float:
    """Seconds until a plan would start, by the seconds until each lane is free; infinite where that cannot be told."""
    return _begin(_taken(plan, machine, free), free)


def _taken(plan: Plan, machine: Machine, free: Mapping[str, float]) -> list[str]:
    """The lanes that a run will have: those that it names, else the one that is free first; none where it cannot
    start.
    """
    lanes = lanes_of(plan, machine)
    if plan.hardware.devices or not lanes:
        return list(lanes)
    return [min(lanes, key=lambda lane: free.get(lane, 0.0))]


def _begin(taken: Sequence[str], free: Mapping[str, float]) -> float:
    return max((free.get(lane, 0.0) for lane in taken), default=math.inf)


def free_lanes(machine: Machine, trainings: Sequence[Training]) -> dict[str, float]:
    """Seconds until each lane that is held becomes free; infinite where a training does not know yet, or where somebody
    else's program is.
    """
    free = {gpu.uuid: math.inf for gpu in machine.gpus if not is_idle(gpu)}  # somebody else's program, as yet
    ours = held_lanes(trainings, machine)
    free = {lane: seconds for lane, seconds in free.items() if lane not in ours}
    for one in trainings:
        left = Run(one.run).status().eta_seconds
        for lane in lanes_held(one, machine):
            free[lane] = max(free.get(lane, 0.0), math.inf if left is None else left)
    return free
