"""Texts as tokens, with where each token lies; a long text in pieces, so that memory does not grow with it.

A tokenizer's core takes 100 to 230 bytes a character while it works and for what it returns. A text beyond
PIECE_CHARACTERS is divided where words end, each piece encoded by itself and forgotten, and encoded again when a place
in it is asked for. The ids are those of the whole where the tokenizer never joins text across such a place (byte-level
ones do not); others may have one token more at a boundary, every 130,000 characters.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import Any, overload

PIECE_CHARACTERS = 2**17
BATCH_ROWS = 512
BATCH_CHARACTERS = 2**19


def encode(core: Any, texts: list[str]) -> list[Any]:
    """Encodings of the tokenizer's own core: the ids are those of calling the tokenizer, and positions stay outside
    Python.
    """
    core.no_truncation()
    core.no_padding()
    short = iter(core.encode_batch([text for text in texts if len(text) <= PIECE_CHARACTERS], add_special_tokens=False))
    return [next(short) if len(text) <= PIECE_CHARACTERS else LongEncoding(core, text) for text in texts]


class LongEncoding:
    """A long text's encoding: the number of its tokens, and single pieces of it on demand."""

    def __init__(self, core: Any, text: str) -> None:
        self._core = core
        self._text = text
        self._places = list(_places(text))
        """Where each piece begins."""
        self._tokens = [0]
        """Tokens before each piece, and in all."""
        self._held = -1
        self._piece: Any = None
        for number in range(len(self._places)):
            self._tokens.append(self._tokens[-1] + len(self._at(number)))

    def __len__(self) -> int:
        return self._tokens[-1]

    @property
    def ids(self) -> LongIds:
        """Its token ids, encoded as they are asked for."""
        return LongIds(self)

    def char_to_token(self, place: int) -> int | None:
        """The token at a character; None where there is none, as for spaces that are trimmed."""
        number = bisect_right(self._places, place) - 1
        token: int | None = self._at(number).char_to_token(place - self._places[number])
        return None if token is None else self._tokens[number] + token

    def token_to_chars(self, token: int) -> tuple[int, int]:
        """Where a token lies: characters, end excluded."""
        number = self._piece_of(token)
        start, end = self._at(number).token_to_chars(token - self._tokens[number])
        return start + self._places[number], end + self._places[number]

    def id_at(self, token: int) -> int:
        """One token's id."""
        number = self._piece_of(token)
        return int(self._at(number).ids[token - self._tokens[number]])

    def ids_to(self, count: int) -> list[int]:
        """The ids of the first tokens."""
        found: list[int] = []
        for number in range(len(self._places)):
            if len(found) >= count:
                break
            found += self._at(number).ids
        return found[:count]

    def each_id(self) -> Iterator[int]:
        """Every id, a piece at a time."""
        for number in range(len(self._places)):
            yield from self._at(number).ids

    def _piece_of(self, token: int) -> int:
        return min(bisect_right(self._tokens, token), len(self._places)) - 1

    def _at(self, number: int) -> Any:
        if number != self._held:
            self._piece = None
            start = self._places[number]
            end = self._places[number + 1] if number + 1 < len(self._places) else len(self._text)
            self._piece = self._core.encode(self._text[start:end], add_special_tokens=False)
            self._held = number
        return self._piece


class LongIds:
    """Token ids of a long text, read one at a time or from the first on."""

    def __init__(self, encoding: LongEncoding) -> None:
        self._encoding = encoding

    def __len__(self) -> int:
        return len(self._encoding)

    def __iter__(self) -> Iterator[int]:
        return self._encoding.each_id()

    @overload
    def __getitem__(self, place: int) -> int: ...
    @overload
    def __getitem__(self, place: slice) -> list[int]: ...
    def __getitem__(self, place: int | slice) -> int | list[int]:
        if isinstance(place, slice):
            start, end, _ = place.indices(len(self))
            return self._encoding.ids_to(end)[start:]
        return self._encoding.id_at(place)


def _places(text: str) -> Iterator[int]:
    """Where the pieces of a text begin: after a line's end, else before a space, each at least half as long as it may
    be.
    """
    at = 0
    while at < len(text):
        yield at
        if len(text) - at <= PIECE_CHARACTERS:
            return
        at = _break(text, at + PIECE_CHARACTERS // 2, at + PIECE_CHARACTERS)


def _break(text: str, first: int, last: int) -> int:
    at = last
    while (at := text.rfind("\n", first, at)) >= 0:
        if not text[at + 1].isspace():
            return at + 1
    at = last
    while (at := text.rfind(" ", first, at)) >= 0:
        if not text[at - 1].isspace() and not text[at + 1].isspace():
            return at
    return last


def in_batches(rows: Iterable[tuple[int, Any]]) -> Iterator[list[Any]]:
    """Rows that are encoded together: as many as BATCH_ROWS, fewer where they hold many characters.

    rows: characters and row.
    """
    batch: list[Any] = []
    held = 0
    for characters, row in rows:
        batch.append(row)
        held += characters
        if len(batch) >= BATCH_ROWS or held >= BATCH_CHARACTERS:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
