"""A JSON document read a piece at a time: one value after the other, each bounded, with the line it begins on."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import IO, Any

from loratui.core.errors import DatasetError
from loratui.data.bounds import ROW_LIMIT_BYTES, ROW_MEMORY_BYTES, is_dense
from loratui.data.open_file import DECOMPRESSION_ERRORS, unpacking_error

CHUNK_CHARACTERS = 2**20
LARGEST_CHUNK_CHARACTERS = 2**23
STRING_ENDS = re.compile(r'["\\]')
BRACKETS = re.compile(r'["{}\[\]]')
_DECODER = json.JSONDecoder()


class TooLargeValue(Exception):
    """A value goes beyond what is held; dense: not its text, but what it would be once it is parsed."""

    def __init__(self, *, dense: bool = False) -> None:
        self.dense = dense


class JsonWindow:
    """A piece of a document's text, read on as needed, that knows the line of its position."""

    def __init__(self, stream: IO[bytes], encoding: str, path: Path) -> None:
        self._text = io.TextIOWrapper(
            stream, encoding, errors="surrogateescape" if encoding != "utf-16" else "replace", newline=""
        )
        self._path = path
        self._chunk = CHUNK_CHARACTERS
        self._exhausted = False
        self.text = ""
        self.position = 0
        self.line = 1

    def more(self) -> bool:
        """Read on, twice as much as the last time without progress; False at the end of the file."""
        if self._exhausted:
            return False
        try:
            piece = self._text.read(self._chunk)
        except DECOMPRESSION_ERRORS as error:
            raise unpacking_error(self._path, error) from error
        self._chunk = min(2 * self._chunk, LARGEST_CHUNK_CHARACTERS)
        self._exhausted = not piece
        self.text += piece
        return bool(piece)

    def advance(self, position: int) -> None:
        self.line += self.text.count("\n", self.position, position)
        self.position = position
        if position > CHUNK_CHARACTERS:
            self.text, self.position, self._chunk = self.text[position:], 0, CHUNK_CHARACTERS

    def peek(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            position = self.position
            while position < len(self.text) and self.text[position] in " \t\r\n":
                position += 1
            self.advance(position)
            if self.position < len(self.text):
                return self.text[self.position]
            if not self.more():
                return ""

    def value(self, limit: int = ROW_LIMIT_BYTES, memory: int = ROW_MEMORY_BYTES) -> Any:
        """The JSON value at the position, which moves behind it; DatasetError with line and column where there is
        none, TooLargeValue (the position stays) where it goes beyond so many characters, or bytes of memory.
        """
        while True:
            if is_dense(self.text, memory, self.position):
                raise TooLargeValue(dense=True)
            try:
                value, end = _DECODER.raw_decode(self.text, self.position)
            except json.JSONDecodeError as error:
                cut_off = error.msg.startswith("Unterminated") or error.pos > len(self.text) - 64
                if cut_off and len(self.text) - self.position > limit:
                    raise TooLargeValue from None
                if cut_off and self.more():
                    continue
                raise self.error(error) from error
            except (RecursionError, ValueError) as error:
                raise DatasetError(f"a value cannot be read: {error}.", where=self.place(self.line)) from error
            if end == len(self.text) and self.more():
                continue
            self.advance(end)
            return value

    def skip(self) -> int:
        """Pass over the value at the position; its characters."""
        size, depth, within = 0, 0, False
        while True:
            start = at = self.position
            while found := (STRING_ENDS if within else BRACKETS).search(self.text, at):
                at = found.end()
                sign = found.group()
                if sign == "\\":
                    if at == len(self.text) and not self.more():
                        break
                    at += 1
                elif sign == '"':
                    within = not within
                else:
                    depth += 1 if sign in "{[" else -1
                if not within and depth <= 0:
                    self.advance(at)
                    return size + at - start
            size += len(self.text) - start
            self.advance(len(self.text))
            if not self.more():
                return size

    def place(self, line: int) -> str:
        return f"{self._path}, line {line}"

    def error(self, error: json.JSONDecodeError) -> DatasetError:
        line = self.line + self.text.count("\n", self.position, error.pos)
        if error.pos >= len(self.text.rstrip()) or error.msg.startswith("Unterminated"):
            return DatasetError(
                f"the file ends in the middle of the row that begins on line {self.line}.",
                where=self.place(line),
                hint="It looks cut off: download or write it again.",
            )
        column = error.pos - self.text.rfind("\n", 0, error.pos)
        return DatasetError(
            f"not valid JSON: {error.msg[0].lower()}{error.msg[1:]}, column {column}.",
            where=self.place(line),
            hint="Mend that line.",
        )
