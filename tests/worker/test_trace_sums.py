"""The tracer adds gradients that meet as the engine does where no dispatch mode is active: in place, if nobody else
holds them.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import linear
from torch.profiler import profile

from loratui.worker.tracing import step
from loratui.worker.tracing.storages import StorageWatch

pytestmark = pytest.mark.worker

SIDE = 64
BYTES = SIDE * SIDE * 4


def three_branches() -> torch.Tensor:
    """Query, key and value of one input: the second and third gradient are added to the first."""
    x = torch.ones(SIDE, SIDE, requires_grad=True) * 2
    q, k, v = (linear(x, torch.ones(SIDE, SIDE)) for _ in range(3))
    return (q * k * v).sum()


def residual() -> torch.Tensor:
    """A residual stream: the gradient that waits at it is the branch's own too, so that it must not be written into."""
    x = torch.ones(SIDE, SIDE, requires_grad=True) * 2
    return (x + linear(torch.sin(x), torch.ones(SIDE, SIDE))).sum()


def tied() -> torch.Tensor:
    """An embedding that is the head too."""
    table = torch.ones(SIDE, SIDE, requires_grad=True)
    hidden = torch.nn.functional.embedding(torch.zeros(SIDE, dtype=torch.int64), table)
    return linear(hidden, table).sum()


def new_tensors_of_the_engine(make: Callable[[], torch.Tensor]) -> int:
    """How many sums of the backward pass made a tensor of their own, as torch's profiler saw it."""
    loss = make()
    with profile(profile_memory=True) as seen:
        loss.backward()
    return sum(event.name == "aten::add" and event.cpu_memory_usage >= BYTES for event in seen.events())


def new_tensors_of_the_trace(make: Callable[[], torch.Tensor]) -> int:
    """The same by the tracer."""
    watch = StorageWatch()
    watch.engine = step._backward.__code__
    made: list[str] = []
    add = watch._add

    def remember(tensor: object, kind: str) -> None:
        before = watch.live_bytes
        add(tensor, kind)
        if "add.Tensor" in kind and watch.live_bytes > before:
            made.append(kind)

    watch._add = remember  # type: ignore[method-assign]
    watch.detail = True
    with FakeTensorMode(), watch:
        loss = make()
        made.clear()
        watch.start_phase("backward")
        step._backward(loss)
    return len(made)


@pytest.mark.parametrize("make", [three_branches, residual, tied])
def test_sums_take_new_memory_where_the_engine_takes_it(make: Callable[[], torch.Tensor]) -> None:
    assert new_tensors_of_the_trace(make) == new_tensors_of_the_engine(make)
