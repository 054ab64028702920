"""Read rows from JSON Lines and from JSON documents, a piece at a time, with the line each row begins on."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

from loratui.core.errors import DatasetError
from loratui.data.bounds import (
    DOCUMENT_LIMIT_BYTES,
    DOCUMENT_MEMORY_BYTES,
    ROW_MEMORY_BYTES,
    bounded_lines,
    is_dense,
    too_large,
)
from loratui.data.encodings import UTF8, is_text, proposal
from loratui.data.json_window import JsonWindow, TooLargeValue
from loratui.data.open_file import DECOMPRESSION_ERRORS, Encoded, open_utf8, unpacking_error
from loratui.data.row import Problem

HEAD_LIMIT_BYTES = 2**20
"""So much of a first line is looked at to tell what the file holds."""
HEAD_BYTES = 4096
"""And so much to tell whether it is a text."""
Found = tuple[int | None, Any, Problem | None]
"""Line, value, what is wrong."""

_decoder = json.JSONDecoder()


def read_json(path: Path, given: str = UTF8) -> Iterator[Found]:
    """Rows of a `.json` or `.jsonl` file; what the file holds decides, not its name. given: its encoding."""
    with open_utf8(path, given) as stream:
        buffered = io.BufferedReader(cast(io.RawIOBase, stream))
        _require_text(buffered, path)
        encoding, first, unread = _first_line(buffered, path)
        if not first.strip():
            return
        if ".json" in path.suffixes and encoding != "utf-16":
            unread, alone = _read_on(buffered, unread, path)
        else:
            alone = False
        source = io.BufferedReader(_Rewound(unread, buffered), 2**20)
        if _is_lines(first, path) and not alone:
            yield from _read_lines(source, encoding, path)
        else:
            yield from _read_document(source, encoding, path)


def read_json_part(path: Path, part: str, given: str = UTF8) -> Iterator[Found]:
    """Rows below one key of a document of JSON, such as `train`; they have no lines of their own. given: its
    encoding.
    """
    with open_utf8(path, given) as stream:
        window = JsonWindow(io.BufferedReader(_Rewound(b"", stream), 2**20), "utf-8-sig", path)
        window.peek()
        document = _whole(window, path)
    yield from ((None, value, None) for value in document.get(part, ()))


class _Rewound(io.RawIOBase):
    """A stream with the bytes that were read to look at them put back in front."""

    def __init__(self, start: bytes, rest: IO[bytes]) -> None:
        self._start = start
        self._position = 0
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._start[self._position : self._position + len(buffer)] or self._rest.read(len(buffer))
        self._position = min(len(self._start), self._position + len(data))
        buffer[: len(data)] = data
        return len(data)


def _require_text(stream: io.BufferedReader[io.RawIOBase], path: Path) -> None:
    """DatasetError where a file holds pictures, an archive, or other bytes that no text has."""
    try:
        head = stream.peek(HEAD_BYTES)[:HEAD_BYTES]
    except DECOMPRESSION_ERRORS as error:
        raise unpacking_error(path, error) from error
    if not is_text(head):
        raise DatasetError(
            "this is no text: its first bytes are those of another kind of file, or of a packed one.",
            where=str(path),
            hint="Give JSONL, JSON, CSV, Parquet or text.",
        )


def _first_line(stream: IO[bytes], path: Path) -> tuple[str, str, bytes]:
    """Encoding, the first line that is not blank, and every byte read to find it."""
    try:
        start = stream.read(4)
        encoding = "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
        if encoding == "utf-16":
            start += stream.read(2**16)
            return (
                encoding,
                next((line for line in start.decode("utf-16", "ignore").splitlines() if line.strip()), ""),
                start,
            )
        line = start + stream.readline(HEAD_LIMIT_BYTES) if b"\n" not in start else start
        while not line.removeprefix(b"\xef\xbb\xbf").strip():
            more = stream.readline(HEAD_LIMIT_BYTES)
            if not more:
                break
            line += more
    except DECOMPRESSION_ERRORS as error:
        raise unpacking_error(path, error) from error
    return encoding, line.decode("utf-8-sig", "surrogateescape").strip(), line


def _read_on(stream: IO[bytes], unread: bytes, path: Path) -> tuple[bytes, bool]:
    """The bytes read so far up to the next line that is not blank, and whether there is none."""
    try:
        while line := stream.readline(HEAD_LIMIT_BYTES):
            unread += line
            if line.strip():
                return unread, False
    except DECOMPRESSION_ERRORS as error:
        raise unpacking_error(path, error) from error
    return unread, True


def _is_lines(first: str, path: Path) -> bool:
    """Whether the file is one JSON value a line, by its first line and then by its name."""
    if len(first) >= HEAD_LIMIT_BYTES // 4 and first[:1] == "[":
        return False
    try:
        value, end = _decoder.raw_decode(first)
    except (ValueError, RecursionError):
        opens_document = first[-1:] in ("{", "[", ",") or first[:1] == "["
        return not opens_document and ".json" not in path.suffixes
    whole = not first[end:].strip()
    if isinstance(value, list):
        return (
            whole
            and ".json" not in path.suffixes
            and not all(isinstance(item, dict) and "role" not in item and "from" not in item for item in value)
        )
    return whole


def _read_lines(stream: IO[bytes], encoding: str, path: Path) -> Iterator[Found]:
    for number, raw in enumerate(_lines(stream, encoding, path), 1):
        if isinstance(raw, Problem):
            yield number, None, raw
            continue
        line = raw.strip()
        del raw
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            continue
        try:
            value = json.loads(line.decode("utf-8"))
        except UnicodeDecodeError as error:
            message = f"byte {error.start + 1} of the line is not valid UTF-8; {proposal(line)}"
            yield number, None, Problem("utf-8", message, number, blocking=True)
        except json.JSONDecodeError as error:
            yield (
                number,
                None,
                Problem(
                    "json",
                    f"not valid JSON: {error.msg[0].lower()}{error.msg[1:]}, column {error.colno}.",
                    number,
                    blocking=True,
                ),
            )
        except RecursionError:
            yield number, None, Problem("json", "the values are nested too deeply to be read.", number, blocking=True)
        except ValueError as error:
            yield number, None, Problem("json", f"a value cannot be read: {error}.", number, blocking=True)
        else:
            del line
            yield number, value, None


def _lines(source: IO[bytes], encoding: str, path: Path) -> Iterator[bytes | Problem]:
    if encoding == "utf-16":
        text = io.TextIOWrapper(source, "utf-16", errors="replace", newline="")
        source = io.BufferedReader(Encoded(text))
    try:
        for line in bounded_lines(source):
            if isinstance(line, int):
                yield too_large("the line", line)
            elif is_dense(line, ROW_MEMORY_BYTES):
                yield too_large("the line", len(line), dense=True)
            else:
                yield line
    except DECOMPRESSION_ERRORS as error:
        raise unpacking_error(path, error) from error


def _read_document(stream: IO[bytes], encoding: str, path: Path) -> Iterator[Found]:
    window = JsonWindow(stream, encoding, path)
    if window.peek() == "[":
        yield from _read_array(window)
        return
    line = window.line
    first = _whole(window, path)
    if not window.peek():
        rows = rows_of_document(first)
        yield from ((line if len(rows) == 1 else None, value, None) for value in rows)
        return
    yield line, first, None
    while window.peek():
        line = window.line
        try:
            found: Found = line, window.value(), None
        except TooLargeValue as error:
            found = line, None, too_large("the row", window.skip(), dense=error.dense)
        yield found


def _whole(window: JsonWindow, path: Path) -> Any:
    """The document's first value, which may be all of it; DatasetError where it is too large to be held."""
    try:
        return window.value(DOCUMENT_LIMIT_BYTES, DOCUMENT_MEMORY_BYTES)
    except TooLargeValue:
        raise DatasetError(
            f"the file is one JSON object of more than {DOCUMENT_LIMIT_BYTES // 2**20} MiB, or of so many small values "
            f"that they may take more than {DOCUMENT_MEMORY_BYTES // 2**20} MiB of memory, and would have to be held "
            "whole.",
            where=str(path),
            hint="Write its rows as JSON Lines, one object a line.",
        ) from None


def _read_array(window: JsonWindow) -> Iterator[Found]:
    window.advance(window.position + 1)
    if window.peek() == "]":
        return
    while True:
        if not window.peek():
            raise DatasetError(
                "the list of rows is never closed: a ']' is missing.",
                where=window.place(window.line),
                hint="It looks cut off: download or write it again.",
            )
        line = window.line
        try:
            found: Found = line, window.value(), None
        except TooLargeValue as error:
            found = line, None, too_large("the row", window.skip(), dense=error.dense)
        yield found
        sign = window.peek()
        if sign == "]":
            window.advance(window.position + 1)
            if window.peek():
                raise DatasetError(
                    "there is more text after the list of rows.",
                    where=window.place(window.line),
                    hint="Keep one list in the file.",
                )
            return
        if sign != ",":
            fault = (
                f"a comma or ']' is missing before {sign!r}."
                if sign
                else "the list of rows is never closed: a ']' is missing."
            )
            raise DatasetError(fault, where=window.place(window.line), hint="Mend that line.")
        window.advance(window.position + 1)
        if window.peek() == "]":
            raise DatasetError(
                "there is a comma after the last row.", where=window.place(window.line), hint="Remove it."
            )


ROW_KEYS = frozenset({"messages", "conversations", "conversation", "input_ids", "chosen"})


def rows_of_document(document: Any) -> list[Any]:
    """The rows in a document that is one object: a list of objects below a key, columns, or the object itself."""
    if not isinstance(document, dict):
        return [document]
    if ROW_KEYS & document.keys():
        return [document]
    lists = {key: value for key, value in document.items() if isinstance(value, list)}
    of_rows = {key: value for key, value in lists.items() if value and all(isinstance(row, dict) for row in value)}
    if of_rows:
        return max(of_rows.values(), key=lambda rows: len(rows))
    if lists and len(lists) == len(document) and len({len(value) for value in lists.values()}) == 1:
        return [dict(zip(document, values, strict=True)) for values in zip(*lists.values(), strict=True)]
    columns = [value for value in document.values() if isinstance(value, dict)]
    if columns and len(columns) == len(document) and all(column.keys() == columns[0].keys() for column in columns):
        if all(key.isdigit() for key in columns[0]):
            return [{name: column[key] for name, column in document.items()} for key in columns[0]]
        return columns if len(columns) > 1 else [document]
    return [document]
