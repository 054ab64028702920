"""How much of a file is held in memory at once: what is beyond is named with its size before memory is taken for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from loratui.data.row import Problem

ROW_LIMIT_BYTES = 32 * 2**20
"""The largest line, cell or row that is read: the check holds at most 12 bytes a byte of it."""
DOCUMENT_LIMIT_BYTES = 128 * 2**20
"""The largest JSON document that is one object, and so must be held whole."""
SAMPLE_LIMIT_BYTES = 16 * 2**20
"""A sample of rows ends once it holds so much text."""
SKIP_BYTES = 2**20


def too_large(what: str, size_bytes: int) -> Problem:
    """The problem of a line, cell or row beyond what is read. what: "the line", "the row"."""
    return Problem(
        "too-large",
        f"{what} has {size_bytes / 2**20:,.0f} MiB, and at most {ROW_LIMIT_BYTES // 2**20} MiB are read: "
        "divide it into several rows.",
        blocking=True,
    )


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
