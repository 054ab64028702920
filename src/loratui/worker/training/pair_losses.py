"""The loss of each pair of a batch, out of one forward pass.

TRL 1.16 tells the mean of a batch alone. What the model gave for the batch is heard, and TRL's own loss is asked of it
once more, pair by pair, with those outputs in place of the model: no formula is written anew, and nothing is computed
twice but the loss.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


class Outputs:
    """Some rows of what a model gave for a batch of `rows`."""

    def __init__(self, whole: Any, chosen: list[int], rows: int) -> None:
        self._whole, self._chosen, self._rows = whole, chosen, rows

    def __getattr__(self, name: str) -> Any:
        return rows_of(getattr(self._whole, name), self._chosen, self._rows)

    def __call__(self, *arguments: Any, **options: Any) -> Outputs:
        """In place of the model."""
        return self


def rows_of(value: Any, chosen: list[int], rows: int) -> Any:
    """These rows of what has so many; anything else as it is."""
    if isinstance(value, torch.Tensor) and value.dim() and len(value) == rows:
        return value[chosen]
    return [value[at] for at in chosen] if isinstance(value, list) and len(value) == rows else value


@contextmanager
def heard(*models: Any) -> Iterator[list[Any]]:
    """What these models give within, in the order in which they are asked."""
    found: list[Any] = []
    unique = {id(model): model for model in models if model is not None}.values()
    hooks = [model.register_forward_hook(lambda module, given, output: found.append(output)) for model in unique]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()
