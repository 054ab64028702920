"""What a file holds where its name does not say it: JSON in a text file, splits in one document."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path

from loratui.core.errors import DatasetError
from loratui.data.bounds import DOCUMENT_LIMIT_BYTES, DOCUMENT_MEMORY_BYTES, is_dense
from loratui.data.flags import HELD_OUT_NAMES, TRAINING_NAMES
from loratui.data.found import DataFile
from loratui.data.open_file import DECOMPRESSION_ERRORS, open_bytes, open_utf8

HEAD_BYTES = 4096
_JSON = re.compile(rb'\s*(\[\s*)?\{\s*"(?:[^"\\]|\\.)*"\s*:')
_FIRST_KEY = re.compile(rb'\s*\{\s*"([A-Za-z_]+)"\s*:\s*\[')


def head_of(path: Path) -> bytes:
    """The first bytes of a file, unpacked; DatasetError where it cannot be read."""
    with open_bytes(path) as stream:
        try:
            return stream.read(HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
        except DECOMPRESSION_ERRORS as error:
            raise DatasetError(f"the file cannot be read: {error}.", where=str(path)) from error


def is_json(head: bytes) -> bool:
    """Whether a file's beginning is that of JSON rows: an object with a key, or a list of them."""
    return _JSON.match(head) is not None


def splits_of(file: DataFile) -> tuple[tuple[DataFile, ...], tuple[DataFile, ...]]:
    """The parts of a JSON document that are called training and held-out rows, `{"train": […], "test": […]}`; two
    empty tuples where it has no part to train on.
    """
    if file.kind not in ("json", "jsonl"):
        return (), ()
    first = _FIRST_KEY.match(head_of(file.path))
    if first is None or first.group(1).decode().lower() not in TRAINING_NAMES | HELD_OUT_NAMES:
        return (), ()
    keys = _keys(file.path, file.size_bytes, file.path.stat().st_mtime_ns, file.encoding)
    parts = [file._replace(part=key) for key in keys]
    training = tuple(part for part in parts if part.part.lower() in TRAINING_NAMES)
    held_out = tuple(part for part in parts if part.part.lower() in HELD_OUT_NAMES)
    return (training, held_out) if training and held_out else ((), ())


@lru_cache(maxsize=8)
def _keys(path: Path, size_bytes: int, changed_ns: int, encoding: str) -> tuple[str, ...]:
    """Keys of a document below which rows stand; none where it is no such document, or one too large to be read."""
    try:
        with open_utf8(path, encoding) as stream:
            raw = stream.read(DOCUMENT_LIMIT_BYTES + 1)
        held = len(raw) <= DOCUMENT_LIMIT_BYTES and not is_dense(raw, DOCUMENT_MEMORY_BYTES)
        document = json.loads(raw.decode("utf-8-sig")) if held else None
    except (ValueError, RecursionError, *DECOMPRESSION_ERRORS):  # the reader says what is wrong, with its line
        return ()
    if not isinstance(document, dict):
        return ()
    return tuple(
        key
        for key, rows in document.items()
        if isinstance(rows, list) and rows and all(isinstance(row, dict) for row in rows)
    )
