"""Every row of a found dataset, in order, with its place; what cannot be read becomes a problem, not an exception."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from loratui.core.errors import DatasetError
from loratui.data import cells
from loratui.data.bounds import SAMPLE_LIMIT_BYTES
from loratui.data.characters import size_of
from loratui.data.found import DataFile, FoundDataset
from loratui.data.read_json import Found, read_json, read_json_part
from loratui.data.read_table import read_arrow, read_csv, read_parquet, read_text, read_tsv
from loratui.data.row import Problem, Row

LOOKED_AFTER_ROWS = 4096
"""After so many rows it is looked whether the file is still the same."""


def read_rows(found: FoundDataset, *, evaluation: bool = False, unfold: str = "") -> Iterator[Row]:
    """Rows of a dataset's training files (or of its evaluation files).

    unfold: path of a list within each row whose items become rows of their own, with numbers of their own
    (`Recognition.unfold`).
    A row that cannot be read has a `problem` and keeps its number. DatasetError where a file breaks off or what follows
    cannot be told apart: a document of JSON with a syntax error, a damaged archive.
    """
    index = read = 0
    for file in found.eval_files if evaluation else found.files:
        _require_unchanged(file)
        for line, value, problem in _read_file(file):
            row = _row(index, line, value, problem, file)
            if not unfold or row.value is None:
                yield row
                index += 1
            else:
                for one in cells.unfold(row.value, unfold):
                    yield Row(index, line, one, None, row.file)
                    index += 1
            read += 1
            if read % LOOKED_AFTER_ROWS == 0:
                _require_unchanged(file)
        _require_unchanged(file)


def sample_rows(found: FoundDataset, count: int, unfold: str = "", *, evaluation: bool = False) -> list[Row]:
    """The first `count` rows; fewer, at least one, where they hold much text. unfold: as in `read_rows`."""
    rows, size = [], 0
    for row in islice(read_rows(found, evaluation=evaluation, unfold=unfold), count):
        rows.append(row)
        size += size_of(row.value)
        if size >= SAMPLE_LIMIT_BYTES:
            break
    return rows


def holds_all(sample: list[Row], count: int) -> bool:
    """Whether a sample is smaller than `count` because there are no more rows, not because they hold much text."""
    return len(sample) < count and sum(size_of(row.value) for row in sample) < SAMPLE_LIMIT_BYTES


def _read_file(file: DataFile) -> Iterator[Found]:
    if file.part:
        return read_json_part(file.path, file.part, file.encoding)
    readers: dict[str, Callable[[Path, str], Iterator[Found]]] = {
        "json": read_json,
        "jsonl": read_json,
        "csv": read_csv,
        "tsv": read_tsv,
        "txt": read_text,
    }
    if file.kind in ("parquet", "arrow"):
        return read_parquet(file.path) if file.kind == "parquet" else read_arrow(file.path)
    return readers[file.kind](file.path, file.encoding)


def _require_unchanged(file: DataFile) -> None:
    """DatasetError where a file is not what it was when it was found: its rows would be of two states."""
    if not file.modified_ns:
        return
    try:
        now = file.path.stat()
    except OSError as error:
        raise DatasetError(f"the file is gone: {error.strerror or error}.", where=str(file.path)) from error
    if (now.st_size, now.st_mtime_ns) != (file.size_bytes, file.modified_ns):
        grown = f" (it had {file.size_bytes:,} bytes and has {now.st_size:,})" if now.st_size != file.size_bytes else ""
        raise DatasetError(
            f"the file was changed while it was read{grown}.",
            where=str(file.path),
            hint="Start again once nothing writes to it.",
        )


def _row(index: int, line: int | None, value: Any, problem: Problem | None, file: DataFile) -> Row:
    name = str(file.path)
    if problem is None:
        if isinstance(value, dict):
            return Row(index, line, value, None, name)
        if isinstance(value, str):
            return Row(index, line, {"text": value}, None, name)
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            return Row(index, line, {"messages": value}, None, name)
        problem = Problem(
            "type", f"the row is {_kind(value)}, and an object with named fields was expected.", blocking=True
        )
    placed = Problem(problem.kind, problem.message, line, index, name, problem.blocking)
    return Row(index, line, None, placed, name)


def _kind(value: Any) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", list: "a list", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def require_rows(found: FoundDataset, rows: list[Row]) -> None:
    """DatasetError where no row of a sample could be read."""
    if not rows:
        raise DatasetError("there are no rows in it.", where=found.path, hint="Give a file that holds rows.")
    if all(row.value is None for row in rows):
        first = rows[0].problem
        assert first is not None
        place = f"{first.file}, line {first.line}" if first.line else first.file
        raise DatasetError(f"no row can be read; the first fault: {first.message}", where=place)
