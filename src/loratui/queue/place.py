"""Where on this machine a run may start now: on GPUs that no training has, beside others where that is wanted and fits,
or on the processors, one at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from loratui.core.hardware import Gpu, Machine
from loratui.core.plan import Plan
from loratui.machine.device import is_idle
from loratui.queue.trainings import Training

PROCESSORS = "cpu"
SPARE = 1.05
"""Beside another training a run must fit with so much more than what is predicted."""


@dataclass(frozen=True)
class Place:
    """lanes: UUIDs of GPUs, or `cpu`; each bears one run, or several side by side."""

    lanes: tuple[str, ...]

    @property
    def visible_devices(self) -> str:
        """CUDA_VISIBLE_DEVICES of a worker there."""
        return ",".join(one for one in self.lanes if one != PROCESSORS)


def lanes_of(plan: Plan, machine: Machine) -> tuple[str, ...]:
    """Where the run could start at all: every GPU that it may take, or the processors; nowhere where a GPU that it
    names is not there.
    """
    usable = [gpu for gpu in machine.gpus if gpu.visible and not gpu.lost]
    if plan.hardware.cpu or not machine.gpus:
        return (PROCESSORS,)
    if plan.hardware.devices:
        named = [gpu.uuid for gpu in usable if gpu.index in plan.hardware.devices]
        return tuple(named) if len(named) == len(plan.hardware.devices) else ()
    return tuple(gpu.uuid for gpu in usable)


def lanes_held(training: Training, machine: Machine) -> set[str]:
    """The lanes that a training has. A GPU that is named by its number is that one; where the machine has none, a
    worker is on the processors whatever it was told to see.
    """
    numbers = {str(gpu.index): gpu.uuid for gpu in machine.gpus}
    return {numbers.get(gpu, gpu) for gpu in training.gpus if machine.gpus} or {PROCESSORS}


def held_lanes(trainings: Sequence[Training], machine: Machine) -> dict[str, int]:
    """How many trainings have each lane."""
    return dict(Counter(lane for one in trainings for lane in lanes_held(one, machine)))


def place_for(
    plan: Plan,
    machine: Machine,
    held: Mapping[str, int],
    *,
    kept: Collection[str] = (),
    memory: int = 0,
    growth: Mapping[str, int] | None = None,
    side_by_side: bool = False,
) -> Place | None:
    """Where the run may start now; None where it has to wait.

    held: how many trainings have each lane. kept: lanes for which an earlier one waits. memory: the run's predicted
    peak in bytes, 0 where it is not known. growth: bytes by which the trainings on a GPU may still grow to the peaks
    that they reached. side_by_side: start beside others where memory suffices by these.
    """
    lanes = lanes_of(plan, machine)
    if not lanes or set(lanes) & set(kept):
        return None
    if lanes == (PROCESSORS,):
        return Place(lanes) if not held.get(PROCESSORS) else None
    by_uuid = {gpu.uuid: gpu for gpu in machine.gpus}
    if plan.hardware.devices:
        free = all(not held.get(lane) and is_idle(by_uuid[lane]) for lane in lanes)
        return Place(lanes) if free else None
    idle = [by_uuid[lane] for lane in lanes if not held.get(lane) and is_idle(by_uuid[lane])]
    if idle:
        return Place((max(idle, key=lambda gpu: (gpu.memory_total_bytes, -gpu.index)).uuid,))
    if not side_by_side or not memory:
        return None
    return _beside([by_uuid[lane] for lane in lanes], memory, growth or {})


def _beside(gpus: Sequence[Gpu], memory: int, growth: Mapping[str, int]) -> Place | None:
    """The GPU on which most is left, where the run fits beside what is there and what that will still take."""

    def left(gpu: Gpu) -> float:
        return gpu.memory_free_bytes - growth.get(gpu.uuid, 0)

    best = max(gpus, key=left)
    return Place((best.uuid,)) if left(best) >= SPARE * memory else None
