"""Watches every storage that appears while it is active: how many bytes live at once, and the peak."""

from __future__ import annotations

import sys
import weakref
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

_TORCH = str(Path(torch.__file__).parent)
_SUM = torch.ops.aten.add.Tensor

Replacement = Callable[[tuple[Any, ...], dict[str, Any]], Any]


class StorageWatch(TorchDispatchMode):
    """Counts the bytes of live storages of fake tensors.

    A storage counts from the first operation that returned it until Python and autograd have dropped it; views count
    once. `replacements` stand in for operations that fake tensors cannot do (shapes that depend on data) or that a GPU
    does with other temporaries.
    """

    def __init__(self, replacements: dict[Any, Replacement] | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.live_bytes = 0
        self.peak_bytes = 0
        self.at_peak: Counter[str] = Counter()
        self.where = ""
        self.peak_where = ""
        self._sizes: dict[weakref.ref[Any], tuple[int, str]] = {}
        self._replacements = replacements or {}
        self.detail = False
        self.engine: CodeType | None = None
        """The function that runs the backward pass: sums that it makes without Python between are the engine's own."""

    def watch(self, tensors: Iterable[Any], kind: str) -> None:
        """Count the storages of tensors that were made before."""
        for tensor in tensors:
            self._add(tensor, kind)

    def start_phase(self, where: str) -> None:
        """Forget the peak so far; what follows is called `where`."""
        self.where = where
        self.peak_bytes = self.live_bytes
        self.at_peak = self._snapshot() if self.detail else Counter()
        self.peak_where = where

    def mark(self, where: str) -> None:
        """What follows is called `where`; the peak stays."""
        self.where = where

    def _snapshot(self) -> Counter[str]:
        found: Counter[str] = Counter()
        for size, kind in self._sizes.values():
            found[kind] += size
        return found

    def _add(self, tensor: Any, kind: str) -> None:
        if not isinstance(tensor, torch.Tensor):
            return
        storage = tensor.untyped_storage()
        reference = weakref.ref(storage, self._drop)
        if reference in self._sizes:
            return
        size = storage.nbytes()
        self._sizes[reference] = (size, kind)
        self.live_bytes += size
        if self.live_bytes > self.peak_bytes:
            self.peak_bytes = self.live_bytes
            self.peak_where = f"{self.where}: {kind}" if self.detail else self.where
            if self.detail:
                self.at_peak = self._snapshot()

    def _drop(self, reference: weakref.ref[Any]) -> None:
        size, _ = self._sizes.pop(reference, (0, ""))
        self.live_bytes -= size

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if (
            func is _SUM
            and self.engine is not None
            and not torch.is_grad_enabled()
            and _sums_in_place(args, self.engine)
        ):
            return args[0]
        replacement = self._replacements.get(func)
        result = NotImplemented
        if replacement is not None:
            with self:  # what the stand-in allocates for a moment counts too
                result = replacement(args, kwargs)
        if result is NotImplemented:
            result = func(*args, **kwargs)
        kind = f"{self.where} {func}" if self.detail else ""
        for item in tree_iter(result):
            self._add(item, kind)
        return result


def _sums_in_place(args: tuple[Any, ...], engine: CodeType) -> bool:
    """Whether this is the engine adding a gradient to one that waits and that nobody else holds.

    `torch/csrc/autograd/input_buffer.cpp` adds in place then, but never while a dispatch mode is active: what a GPU
    does without a third tensor would be traced with one.
    """
    waiting, arriving = args[0], args[1]
    frame = sys._getframe(2)
    while frame.f_code.co_filename.startswith(_TORCH) and frame.f_back is not None:
        frame = frame.f_back
    if frame.f_code is not engine or not isinstance(arriving, torch.Tensor):
        return False
    if waiting.shape != arriving.shape or waiting.dtype != arriving.dtype:
        return False
    return bool(torch._C._storage_Use_Count(waiting.untyped_storage()._cdata) == 2)
