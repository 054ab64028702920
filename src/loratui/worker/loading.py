"""Models loaded by a command that a person waits for: what is read is told, and a memory that is full is a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loratui.core.errors import WorkerError
from loratui.format import printable
from loratui.terminal import say
from loratui.worker.quiet import quiet_libraries
from loratui.workers.protocol import Load

if TYPE_CHECKING:
    from loratui.worker.generation.load import LoadedModels


def tell(sentence: str) -> None:
    """A line for the person, beside what the command prints."""
    say(printable(sentence), err=True)


def load_models(load: Load, title: str = "") -> LoadedModels:
    """The models; torch is imported here. title: whose they are, where a command loads several. Raises LoratuiError."""
    tell(f"{title}: starting PyTorch …" if title else "Starting PyTorch …")
    quiet_libraries()
    from loratui.worker.generation.load import LoadedModels, explain

    try:
        return LoadedModels(load, lambda what: tell(what[0].upper() + what[1:] + " …"))
    except (MemoryError, RuntimeError) as error:
        message, hint = explain(error)
        raise WorkerError(message, hint=hint) from error
