"""Errors of the libraries in words for a person: what it means, where, and what to do. The raw ones go to the log.

A library's own words help its developers: "EOFError", "invalid header", and some advise what must not be done
("weights_only=False will likely succeed" runs code out of a file).
"""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from loratui.format import one_line
from loratui.paths import home_short

DAMAGED_WORDS = re.compile(
    r"PytorchStreamReader|miniz|header too (small|large)|header ?deserialization|HeaderTooSmall|HeaderTooLarge"
    r"|InvalidHeader|MetadataIncompleteBuffer|incomplete metadata|invalid load key|unexpected EOF"
    r"|Weights only load failed|failed finding central directory|file in archive is not in a subdirectory"
    r"|Ran out of input",
    re.I,
)
SHAPE_WORDS = re.compile(r"size mismatch for|loading state_dict|doesn't match the size of parameter group")
OFFLINE_WORDS = re.compile(
    r"couldn't connect|Connection ?Error|Max retries|Temporary failure in name resolution|offline mode", re.I
)
ASSERT_WORDS = re.compile(r"device-side assert|index out of range in self|indexSelectLargeIndex")
GPU_WORDS = re.compile(r"CUDA error|cuDNN|cuBLAS|CUBLAS_|CUDNN_|NVML|HIP error")
LACKING_WORDS = re.compile(r"not implemented for|is not (currently )?implemented for|not supported on this", re.I)
WORKER_WORDS = re.compile(r"DataLoader worker .* (killed by signal|exited unexpectedly)")
TARGET_WORDS = re.compile(r"Target modules \{?\[?(.*?)\]?\}? not found in the base model")
MISSING_WORDS = re.compile(r"(?:the package |requires the |requires |pip install )[`'\"]?([\w-]+)[`'\"]?")
KINDS = (".pt", ".pth", ".bin", ".safetensors", ".json", ".model")


def plain_words(error: BaseException) -> tuple[str, str] | None:
    """(what it is, what to do), each one sentence; None for an error that is not known here."""
    for one in _chain(error):
        found = _plain(one)
        if found is not None:
            return found
    return None


def unknown_words(error: BaseException) -> str:
    """What to say of an error that is not known: its kind. The log has what the library said."""
    return f"an error that loratui has no words for ({one_line(type(error).__name__, 60)})"


def _plain(error: BaseException) -> tuple[str, str] | None:
    text = str(error)
    damaged = isinstance(error, EOFError | pickle.UnpicklingError | zipfile.BadZipFile) or _while_unpickling(error)
    if damaged or DAMAGED_WORDS.search(text) or type(error).__name__ == "SafetensorError":
        file = _file_of(error)
        what = f"{home_short(file)} is" if file else "a file of the model or of a checkpoint is"
        return (
            f"{what} damaged: it is cut off, altered, or holds what is not read for safety.",
            "Fetch it again, or move a damaged checkpoint away and resume from the one before it.",
        )
    if isinstance(error, ModuleNotFoundError):
        return f"the package {error.name} is not installed.", "`loratui doctor` lists what is missing."
    if isinstance(error, ImportError):
        if lacking := MISSING_WORDS.search(text):
            return (
                f"the package {lacking[1]}, which this plan needs, is not installed.",
                "Install it; `loratui doctor` lists what is missing.",
            )
        return (
            "a package is installed in a version that does not work with the others.",
            "`loratui doctor` says which, and the command that mends it.",
        )
    if OFFLINE_WORDS.search(text):
        return "the hub cannot be reached.", "Check the connection, or name a local folder."
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{home_short(error.filename)}: {error.strerror[0].lower()}{error.strerror[1:]}.", ""
    if ASSERT_WORDS.search(text):
        return (
            "a token lies beyond the model's vocabulary, or a row beyond its context.",
            "Check that tokenizer and model belong together: `loratui inspect` shows the rows.",
        )
    if GPU_WORDS.search(text):
        return "the GPU or its driver failed.", "`loratui doctor` and `nvidia-smi` show its state; then resume."
    if WORKER_WORDS.search(text):
        return (
            "a process that reads the rows was killed: host memory was probably full.",
            "Give it more memory, or shorter rows, and resume.",
        )
    if targets := TARGET_WORDS.search(text):
        names = one_line(targets[1].replace("'", ""), 120)
        return (
            f"the model has no modules named {names} (lora.targets).",
            "Set lora.targets to auto, or name modules of this model.",
        )
    if SHAPE_WORDS.search(text):
        return (
            "the saved weights have another shape than the model: they belong to another plan.",
            "Put the plan back, or begin with `loratui resume RUN --anew`.",
        )
    if LACKING_WORDS.search(text):
        return (
            "this device cannot compute an operation of the model.",
            "Try another number format (training.precision) or attention (model.attention).",
        )
    return None


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _while_unpickling(error: BaseException) -> bool:
    """Whether torch's own unpickler raised it, which stumbles over rubbish in many ways."""
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename.endswith("_weights_only_unpickler.py"):
            return True
        trace = trace.tb_next
    return False


def _file_of(error: BaseException) -> Path | None:
    """The file that was being read: the last one that the frames of the error name."""
    found = None
    trace: TracebackType | None = error.__traceback__
    while trace is not None:
        for value in list(trace.tb_frame.f_locals.values()):
            if isinstance(value, str | Path) and str(value).endswith(KINDS) and len(str(value)) < 4096:
                path = Path(value)
                found = path if path.is_file() else found
        trace = trace.tb_next
    return found
