"""How much of a file is held in memory at once: what is beyond is named with its size before memory is taken for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import IO, Any

from loratui.data.row import Problem

ROW_LIMIT_BYTES = 32 * 2**20
"""The largest line, cell or row that is read: the check holds at most 12 bytes a byte of it."""
DOCUMENT_LIMIT_BYTES = 128 * 2**20
"""The largest JSON document that is one object, and so must be held whole."""
ROW_MEMORY_BYTES = 12 * ROW_LIMIT_BYTES
DOCUMENT_MEMORY_BYTES = 3 * 2**28
"""What a row, and a document that is held whole, may take once they are parsed: many small values take more than 25
bytes a byte of their text."""
DENSE_FROM_BYTES = 2**23
"""Below so much text nothing is counted."""
SAMPLE_LIMIT_BYTES = 16 * 2**20
"""A sample of rows ends once it holds so much text."""
SKIP_BYTES = 2**20


def too_large(what: str, size_bytes: int, *, dense: bool = False) -> Problem:
    """The problem of a line, cell or row beyond what is read. what: "the line", "the row". dense: its values are so
    many and so small that they would take too much memory.
    """
    size = f"{what} has {size_bytes / 2**20:,.0f} MiB"
    most = (
        f"of so many small values that they may take more than {ROW_MEMORY_BYTES // 2**20} MiB of memory"
        if dense
        else f"and at most {ROW_LIMIT_BYTES // 2**20} MiB are read"
    )
    return Problem("too-large", f"{size}, {most}: divide it into several rows.", blocking=True)


_SIGNS = (("{", 216), ("[", 96), (",", 16), ('"', 25))
"""What each sign of a JSON text may stand for in memory, in bytes (CPython 3.11, 64 bits): an object with its place in
a list, a list, a value, half of a string."""
_STRING = r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)'
_STRINGS: dict[type, Any] = {str: re.compile(_STRING, re.DOTALL), bytes: re.compile(_STRING.encode(), re.DOTALL)}
_LONG_STRING = 32
"""Shorter ones are not looked into."""


def parsed_bytes(text: str | bytes, start: int = 0, end: int | None = None) -> int:
    """What JSON may take at most once it is parsed, by its signs, also those within its strings."""
    end = len(text) if end is None else end
    given: Any = text
    signs = ((sign if isinstance(text, str) else sign.encode(), weight) for sign, weight in _SIGNS)
    held: int = sum(weight * given.count(sign, start, end) for sign, weight in signs)
    return end - start + held


def is_dense(text: str | bytes, memory: int, start: int = 0) -> bool:
    """Whether JSON may take more than so many bytes of memory once it is parsed. It may break off anywhere."""
    if len(text) - start <= DENSE_FROM_BYTES:
        return False
    held = parsed_bytes(text, start)
    if held <= memory:
        return False
    for found in _STRINGS[type(text)].finditer(text, start):
        first, last = found.start() + 1, found.end() - 1
        if last - first > _LONG_STRING:
            held -= parsed_bytes(text, first, last) - (last - first)
    return held > memory


def bounded_lines(stream: IO[bytes], limit_bytes: int = ROW_LIMIT_BYTES) -> Iterator[bytes | int]:
    """The lines of a stream; of one beyond the limit its size in bytes, without ever holding it."""
    while raw := stream.readline(limit_bytes):
        if len(raw) < limit_bytes or raw.endswith(b"\n"):
            yield raw
            continue
        size = len(raw)
        del raw
        while rest := stream.readline(SKIP_BYTES):
            size += len(rest)
            if rest.endswith(b"\n"):
                break
        yield size


class TooLong(Exception):
    """A record of a table beyond the limit; the text stands behind it."""

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__(size)


class TableLines:
    """Lines of a table for `csv.reader`, which holds one record at a time: raises TooLong, once, where a record goes
    beyond the limit (in characters), and goes on behind its last line. quoted: quotes hold a record together.
    """

    def __init__(self, text: IO[str], limit: int = ROW_LIMIT_BYTES, *, quoted: bool = True) -> None:
        self._sign = '"' if quoted else ""
        self._text = text
        self._limit = limit
        self._size = 0
        self._quotes = 0
        self.lines = 0
        """Lines read so far."""

    def begin(self) -> None:
        """The next line begins a record."""
        self._size = self._quotes = 0

    def __iter__(self) -> TableLines:
        return self

    def __next__(self) -> str:
        line = self._text.readline(self._limit)
        if not line:
            raise StopIteration
        self._size += len(line)
        self._quotes += line.count(self._sign) if self._sign else 0
        if self._size >= self._limit:
            self._skip(line.endswith("\n"))
            raise TooLong(self._size)
        self.lines += 1
        return line

    def _skip(self, ended: bool) -> None:
        """Read to the end of the record: a line's end outside of quotes."""
        self.lines += ended
        while not ended or self._quotes % 2:
            piece = self._text.readline(SKIP_BYTES)
            if not piece:
                return
            self._size += len(piece)
            self._quotes += piece.count(self._sign) if self._sign else 0
            ended = piece.endswith("\n")
            self.lines += ended
