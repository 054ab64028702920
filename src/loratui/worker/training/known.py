"""Batches whose whole numbers the processor still knows after they went to the device.

TRL and transformers ask the device what a batch holds: whether a row has padding, which tokens bear loss, which answers
are wanted. Each such question waits until all that was begun is done. But a batch came from the processor, which can
answer: its columns keep their values beside them, and so does what is made of them alone. What is computed on the
device is the same, bit for bit; what a mask chooses is taken by its places, as torch does by itself after it asked how
many there are.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils._pytree import tree_leaves, tree_map

Numbers = NDArray[Any]
COLUMNS = ("input_ids", "labels", "attention_mask", "completion_mask", "position_ids", "label")
"""How the names of a batch's columns end that are asked."""
KEPT = ("to", "pin_memory", "contiguous", "detach")
"""Functions that leave the numbers as they are."""
COMPUTED: dict[str, Callable[..., Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "gt": operator.gt,
    "sub": operator.sub,
    "rsub": lambda values, other: other - values,
    "invert": operator.invert,
    "getitem": lambda values, at: values[at],
    "sum": lambda values, dim=None, *, dtype=None: values.sum(dim),
    "all": lambda values: values.all(),
    "max": lambda values: values.max(),
    "bool": lambda values: values.astype(bool),
    "view": lambda values, *shape: values.reshape(*shape),
    "flatten": lambda values: values.reshape(-1),
    "nonzero": lambda values, *, as_tuple=False: np.argwhere(values),
    "index_select": lambda values, dim, index: values.take(index, axis=dim),
    "masked_fill": lambda values, mask, value: np.where(mask, value, values),
    "chunk": lambda values, chunks, dim=0: np.split(values, chunks, axis=dim),
    "diff": lambda values, *, prepend, dim: np.diff(values, prepend=prepend, axis=dim),
    "cumsum": lambda values, dim: values.cumsum(dim),
}
"""What torch's functions make of numbers, by their names without underscores. Called with other arguments than these,
they make what is not known."""
ANSWERED: dict[str, Callable[[Numbers], Any]] = {"item": lambda values: values.item(), "__bool__": bool}
"""Questions to which Python gets a number."""

IN_PLACE = (
    *("__iadd__", "__isub__", "__imul__", "__itruediv__", "__ifloordiv__", "__imod__", "__ipow__"),
    *("__iand__", "__ior__", "__ixor__", "__ilshift__", "__irshift__", "__setitem__", "__set__"),
)
"""Python's own functions that change what they are called on."""


class Known(torch.Tensor):
    """A tensor of the device whose numbers the processor has too. Whatever does not stand in the tables above takes it
    for a plain tensor, and makes plain ones of it.
    """

    numbers: Numbers | None = None
    """The same numbers on the processor; None once they were changed in place."""
    _places: tuple[torch.Tensor, ...] | None = None

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, arguments: Any = (), options: Any = None) -> Any:
        name, options = function.__name__, options or {}
        subject: Any = arguments[0] if arguments else None
        if _changes(name, options):
            _forget(subject, options)
        elif name in ANSWERED and is_known(subject):
            return ANSWERED[name](subject.numbers)
        name = name.strip("_")
        if name == "nonzero" and is_known(subject) and not options.get("as_tuple"):  # the device knows no shape
            found = COMPUTED[name](subject.numbers)
            return known(_on_device(found, subject.device), found)
        if name == "masked_scatter" and _is_all_that(*arguments):
            target, mask, source = arguments
            return target.index_put(mask.places(), source)
        by_mask = name == "getitem" and is_mask(arguments[1])
        result = _plainly(function, types, (subject, arguments[1].places()) if by_mask else arguments, options)
        values = _values(name, result, arguments, options)
        if isinstance(values, list):
            return tuple(map(known, result, values))
        return result if values is None else known(result, values)

    def places(self) -> tuple[torch.Tensor, ...]:
        """Where a mask is true: for each of its dimensions the numbers, (true,)."""
        if self._places is None:
            assert self.numbers is not None
            self._places = _on_device(np.stack(self.numbers.nonzero()), self.device).unbind()
        return self._places


def known(tensor: torch.Tensor, values: Numbers) -> Known:
    """The same tensor, whose numbers are these."""
    found = tensor.as_subclass(Known)
    found.numbers = np.asarray(values)
    return found


def is_known(value: Any) -> bool:
    """Whether the processor has the numbers of it."""
    return isinstance(value, Known) and value.numbers is not None


def is_mask(value: Any) -> bool:
    """Whether it is known, and true or false throughout."""
    return is_known(value) and value.numbers.dtype == bool


def plain(value: Any) -> Any:
    """A known tensor as any other; what else there is as it is."""
    if not isinstance(value, Known):
        return value
    with torch._C.DisableTorchFunctionSubclass():
        return value.as_subclass(torch.Tensor)


def known_batch(batch: dict[str, Any]) -> dict[str, Any]:
    """A batch as a collator makes it, on the processor, whose numbers stay known wherever it goes."""
    return {
        name: known(column, column.numpy()) if name.endswith(COLUMNS) and _is_whole(column) else column
        for name, column in batch.items()
    }


class KnownBatches:
    """A collator whose batches stay known."""

    def __init__(self, collator: Callable[[Any], dict[str, Any]]) -> None:
        self._collator = collator

    def __call__(self, rows: Any) -> dict[str, Any]:
        return known_batch(self._collator(rows))


def _on_device(values: Numbers, device: torch.device) -> torch.Tensor:
    """Numbers of the processor on a device that is not waited for."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    if device.type == "cuda":
        tensor = tensor.pin_memory()
    return tensor.to(device, non_blocking=True)


def _changes(name: str, options: dict[str, Any]) -> bool:
    """Whether a function writes into a tensor that it is given."""
    in_place = name in IN_PLACE or (name.endswith("_") and not name.endswith("__"))
    return in_place or options.get("out") is not None


def _forget(subject: Any, options: dict[str, Any]) -> None:
    for changed in (subject, *tree_leaves(options.get("out"))):
        if isinstance(changed, Known):
            changed.numbers = changed._places = None


def _is_all_that(target: Any, mask: Any, source: Any) -> bool:
    """Whether a mask chooses as many as there are in the source, of a target of its shape."""
    fits = is_mask(mask) and mask.shape == target.shape and source.dtype == target.dtype
    return bool(fits and source.shape == (np.count_nonzero(mask.numbers),))


def _plainly(function: Any, types: Any, arguments: Any, options: Any) -> Any:
    """The function's own result; other kinds of tensors among the arguments stay what they are."""
    if all(kind in (Known, torch.Tensor, torch.nn.Parameter) for kind in types):
        with torch._C.DisableTorchFunctionSubclass():
            return function(*arguments, **options)
    return function(*tree_map(plain, arguments), **tree_map(plain, options))


def _values(name: str, result: Any, arguments: Any, options: Any) -> Any:
    """What is known of a result: its numbers, a list of them where it is several tensors, or None."""
    subject: Any = arguments[0] if arguments else None
    if not is_known(subject) or isinstance(result, Known):
        return None
    if name in KEPT and _is_whole(result):
        return subject.numbers.astype(bool) if result.dtype == torch.bool else subject.numbers
    given = [*arguments, *options.values()]
    if name not in COMPUTED or any(isinstance(one, torch.Tensor) and not is_known(one) for one in tree_leaves(given)):
        return None
    try:
        found = COMPUTED[name](*map(_numbers, arguments), **{key: _numbers(one) for key, one in options.items()})
    except (TypeError, ValueError):  # other arguments than those of the table
        return None
    pairs = zip(result, found, strict=True) if isinstance(found, list) else [(result, found)]
    return found if all(tuple(one.shape) == np.shape(values) for one, values in pairs) else None


def _numbers(value: Any) -> Any:
    return value.numbers if isinstance(value, Known) else value


def _is_whole(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and not value.is_floating_point() and not value.is_complex()
