"""Tokens to text while they come: only whole characters, exactly the text that decoding all at once would give."""

from __future__ import annotations

from collections.abc import Callable, Sequence

UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class PieceDecoder:
    """Decodes an answer token by token.

    A token may hold half of a character, or a space that shows only beside its neighbours. So the last tokens already
    told are decoded again together with the new ones, and what is new at the end is the piece.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._window = 0
        """Where the tokens begin that are decoded again for their context."""
        self._told = 0
        """Tokens whose text has been given out."""

    def push(self, ids: Sequence[int]) -> str:
        """The text that these tokens add; empty while a character is unfinished."""
        self._ids.extend(ids)
        before = self._decode(self._ids[self._window : self._told])
        after = self._decode(self._ids[self._window :])
        if after.endswith(UNFINISHED) or len(after) <= len(before):
            return ""
        self._window, self._told = self._told, len(self._ids)
        return after[len(before) :]

    def end(self) -> str:
        """What is left, with a half character shown as such."""
        before = self._decode(self._ids[self._window : self._told])
        after = self._decode(self._ids[self._window :])
        self._window = self._told = len(self._ids)
        return after[len(before) :]
