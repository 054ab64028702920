"""Whole lines of a file that grows, in constant memory whatever its length: forwards as they come, or from the end."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

from loratui.files import open_regular

CHUNK_BYTES = 1 << 20
"""Read at once."""
LONGEST_LINE_BYTES = 16 << 20
"""A longer line is none of ours: it is passed over, and counted."""
STEP_START = b'{"type":"step"'
"""How every step's line of ours begins: most lines of a run, which many readers pass over undecoded."""


class LineTail:
    """Follows one file. A line without its end waits for it; OSError is for the caller."""

    def __init__(self, path: Path, *, offset: int = 0, until: int | None = None) -> None:
        """offset: bytes that are passed over. until: bytes from which nothing is read; None: to the file's end."""
        self.path = path
        self.offset = offset
        """Bytes of the file that were read as whole lines."""
        self.too_long = 0
        """Lines that were passed over for their length."""
        self._until = until
        self._in_long_line = False

    def chunks(self) -> Iterator[tuple[int, list[bytes]]]:
        """(offset of its first line, lines) until the present end of the file, about CHUNK_BYTES at a time."""
        while True:
            begin = self.offset
            lines = self.read()
            if lines:
                yield begin, lines
            if self.offset == begin:
                return

    def read(self, limit_bytes: int = CHUNK_BYTES) -> list[bytes]:
        """Lines added since the last call, without their ends: at most `limit_bytes` of them, but one in any case."""
        with open_regular(self.path) as file:
            size = file.seek(0, 2)
            if self._until is not None:
                size = min(size, self._until)
            if size < self.offset:  # the file was replaced by a shorter one: begin again
                self.offset, self._in_long_line = 0, False
            file.seek(self.offset)
            data = file.read(min(limit_bytes, size - self.offset))
            while data and b"\n" not in data:  # a line of more than the limit, or one that has no end yet
                if self._in_long_line or len(data) > LONGEST_LINE_BYTES:
                    self.offset += len(data)
                    self._in_long_line, data = True, b""
                more = file.read(min(max(len(data), limit_bytes), size - self.offset - len(data)))
                if not more:
                    return []
                data += more
        end = data.rfind(b"\n") + 1
        if not end:
            return []
        self.offset += end
        lines = data[: end - 1].split(b"\n")
        if self._in_long_line:
            self._in_long_line = False
            self.too_long += 1
            del lines[0]
        return lines


def from_the_end(path: Path) -> Iterator[tuple[int, bytes]]:
    """(offset, line) of every whole line, the last one first. OSError where the file cannot be read."""
    with open_regular(path) as file:
        place = file.seek(0, 2)
        rest, first = b"", True
        while place:
            length = min(CHUNK_BYTES, place)
            place -= length
            file.seek(place)
            lines = (file.read(length) + rest).split(b"\n")
            rest = lines[0] if len(lines[0]) <= LONGEST_LINE_BYTES else b""
            begin = place + len(lines[0]) + 1
            begins = list(accumulate((len(line) + 1 for line in lines[1:-1]), initial=begin))
            for begin, line in zip(reversed(begins), reversed(lines[1:]), strict=False):
                if not first:  # what follows the last end of line is none yet
                    yield begin, line
                first = False
        if not first:
            yield 0, rest
