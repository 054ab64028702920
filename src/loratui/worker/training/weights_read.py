"""How far the reading of a model's weights is, told instead of the bar that transformers would draw."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from transformers.utils.logging import set_tqdm_hook

from loratui.worker.training.journal import Journal

WEIGHTS = "Loading weights"
"""What transformers 5 writes before its bar over the weights (core_model_loading.py); others are left alone."""
TELL_SECONDS = 0.5
"""The least time between two reports."""


@contextmanager
def weights_told(journal: Journal) -> Iterator[None]:
    """While this holds, the journal tells how many weights have been read, of how many: some twice a second."""

    def told(weights: Iterable[Any], total: int) -> Iterator[Any]:
        last = time.monotonic()
        for number, one in enumerate(weights):
            if time.monotonic() - last >= TELL_SECONDS:
                last = time.monotonic()
                words = f"{number:,} of {total:,} weights are read"
                journal.emit("phase", phase="load_model", message=words, done=number, of=total)
            yield one

    def hook(factory: Callable[..., Any], args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if args and options.get("desc") == WEIGHTS and hasattr(args[0], "__len__"):
            return told(args[0], len(args[0]))
        return factory(*args, **options)

    before = set_tqdm_hook(hook)
    try:
        yield
    finally:
        set_tqdm_hook(before)
