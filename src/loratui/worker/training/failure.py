"""An exception as one sentence for a person, and what kind of failure it was."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from typing import Any

import torch

from loratui.core.errors import LoratuiError
from loratui.worker.plain_words import plain_words, unknown_words

WHERE_BY_PHASE = {
    "load_model": "load",
    "load_data": "load",
    "tokenise": "load",
    "train": "step",
    "evaluate": "evaluation",
    "generate": "generation",
    "save": "save",
    "export": "save",
}


@dataclass(frozen=True)
class Failure:
    """code: a stable word (oom, disk-full, or an error's own); message: the sentence."""

    code: str
    message: str
    where: str = ""


DISK_FULL_WORDS = (
    "No space left on device",
    "Disk quota exceeded",
    "PytorchStreamWriter failed",
    "file write failed",
    "iostream error",
    "unexpected pos",
)
"""How libraries tell of a write that failed: torch's archives know neither the error's number nor its name."""


def is_disk_full(error: BaseException | None) -> bool:
    """Whether the disk or a quota was full; libraries wrap that in errors of their own."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        text = str(error)
        if any(words in text for words in DISK_FULL_WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the device's memory was exhausted."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(
        words in text
        for words in (
            "CUDA out of memory",
            "CUBLAS_STATUS_ALLOC_FAILED",
            "can't allocate memory",
            "cannot allocate memory",
            "Error cudaMalloc",
        )
    )


def is_fellow_lost(error: BaseException) -> bool:
    """Whether another process that trains with this one went away: torch's backends know it as a broken connection."""
    text = str(error)
    return isinstance(error, RuntimeError) and any(
        words in text for words in ("gloo/transport", "Connection closed by peer", "NCCL", "ProcessGroup", "TCPStore")
    )


def explain(error: BaseException, phase: str) -> Failure:
    """What to tell the person."""
    if isinstance(error, LoratuiError):
        return Failure(error.code, error.sentence)
    where = WHERE_BY_PHASE.get(phase, phase)
    if is_disk_full(error):
        return Failure("disk-full", "The disk is full. Free some space and resume the run.", where)
    if is_out_of_memory(error):
        return Failure("oom", f"Out of memory while {_doing(where)}.", where)
    if is_fellow_lost(error):
        return Failure("process-lost", "Another process of this run is gone.", where)
    known = plain_words(error)
    if known is not None:
        sentence, hint = known
        return Failure("error", f"While {_doing(where)}: {sentence} {hint}".strip(), where)
    return Failure("error", f"It ended while {_doing(where)}, by {unknown_words(error)}: its log has it whole.", where)


def _doing(where: str) -> str:
    return {
        "load": "loading",
        "step": "training",
        "evaluation": "evaluating",
        "generation": "answering prompts",
        "save": "saving",
    }.get(where, where or "starting")


def memory_facts(error: BaseException) -> dict[str, Any]:
    """Fields of an `oom` event that the device can tell."""
    import re

    facts: dict[str, Any] = {}
    asked = re.search(r"Tried to allocate ([\d.]+) (KiB|MiB|GiB)", str(error))
    if asked:
        facts["requested_bytes"] = int(float(asked[1]) * {"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}[asked[2]])
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        allocated, reserved = torch.cuda.memory_allocated(), torch.cuda.memory_reserved()
        facts |= {"allocated_bytes": allocated, "reserved_bytes": reserved, "free_bytes": free, "total_bytes": total}
    return facts
