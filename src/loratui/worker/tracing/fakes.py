"""Lets modules be built and moved while their parameters are fake tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


def _apply(self: nn.Module, fn: Callable[[torch.Tensor], torch.Tensor], recurse: bool = True) -> nn.Module:
    """`nn.Module._apply` without swapping tensors in place, which fake tensors refuse: parameters are made anew."""
    if recurse:
        for child in self.children():
            child._apply(fn)
    for name, parameter in list(self._parameters.items()):
        if parameter is not None:
            with torch.no_grad():
                moved = fn(parameter)
            if moved is not parameter:
                self._parameters[name] = nn.Parameter(moved, requires_grad=parameter.requires_grad)
    for name, buffer in list(self._buffers.items()):
        if buffer is not None:
            self._buffers[name] = fn(buffer)
    return self


@contextmanager
def fake_modules() -> Iterator[None]:
    """While active, `Module.to` and its kin work on fake parameters, and weights are not initialised."""
    from transformers import initialization

    kept: Any = nn.Module._apply
    nn.Module._apply = _apply  # type: ignore[method-assign]
    try:
        with initialization.no_init_weights():
            yield
    finally:
        nn.Module._apply = kept  # type: ignore[method-assign]
