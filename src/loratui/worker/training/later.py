"""A step's figures of preferences, which stay on the device until the step is told.

TRL 1.16 asks the device for ten and more numbers in every forward pass of a preference trainer (`.item()`), each before
the backward pass may be queued. All of them pass the accelerator's gathering; there they become tensors that answer
later, and one transfer a step fetches them. They are the same numbers, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from loratui.worker.training.known import is_known


class Later(torch.Tensor):
    """A figure that is not asked for yet. What TRL makes of it on the way is computed on the device."""

    def item(self) -> Any:
        """The figure itself, still on the device, as wide as Python's own number would be."""
        return self.double() if self.is_floating_point() else self


def may_answer_later(trainer: Any) -> bool:
    """Whether this pass's figures may wait: in training, of one process, on a device that has float64."""
    alone = trainer.accelerator.num_processes == 1
    return bool(trainer.model.training) and alone and trainer.args.device.type in ("cuda", "cpu")


@contextmanager
def answered_later(accelerator: Any) -> Iterator[None]:
    """What is gathered meanwhile is a `Later`, where the processor does not know it anyway."""

    def later(gathered: Any) -> Any:
        return gathered if is_known(gathered) else gathered.detach().as_subclass(Later)

    names = ("gather_for_metrics", "gather")
    for name in names:
        gather = getattr(accelerator, name)
        setattr(accelerator, name, lambda figures, gather=gather: later(gather(figures)))
    try:
        yield
    finally:
        for name in names:
            delattr(accelerator, name)  # the class's own again


def fetched(figures: list[Any]) -> list[Any]:
    """The same figures as Python's numbers, those of the device in one transfer."""
    found = dict(enumerate(figures))
    waiting = {at: one.as_subclass(torch.Tensor) for at, one in found.items() if isinstance(one, torch.Tensor)}
    if waiting:
        values = torch.stack([one.double() for one in waiting.values()]).tolist()
        for (at, one), value in zip(waiting.items(), values, strict=True):
            found[at] = value if one.is_floating_point() else round(value)
    return list(found.values())


def fetch(metrics: dict[str, list[Any]], *beside: Any) -> list[Any]:
    """Put Python's numbers in place of all figures of a step; those that stand beside them are given back."""
    places = [(values, number) for values in metrics.values() for number in range(len(values))]
    found = fetched([*(values[number] for values, number in places), *beside])
    for (values, number), value in zip(places, found, strict=False):
        values[number] = value
    return found[len(places) :]
