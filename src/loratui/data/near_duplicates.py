"""Rows that say almost the same: a small sketch of each row's word triples, compared with those that share a part of
it; short rows are compared whole, without capitals and spaces.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any
from zlib import crc32

from loratui.data.conversation import Conversation

SKETCH = 32
"""Smallest hashes kept a row: the share two rows have in common is then known to about 5 %."""
KEYS = 3
"""Smallest hashes by which rows are looked up: rows that are 90 % alike are missed once in a thousand times."""
MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F)
"""Odd numbers with well-mixed bits: neighbouring words are weighed differently, so that their order counts."""
CHARACTERS = 2**20
"""Only so much of a row is looked at, so that words take no more memory."""
KNOWN_WORDS = 500_000
LEAST_SHARE = 0.9
"""From which share of common word triples on a row is called a near duplicate, and can be left out."""
GROUPED_SHARE = 0.8
"""From which share on rows are kept on one side of a split, and called a leak where they are not."""
LEAST_PARTS = 8
WORDS = re.compile(r"\w+")


class _WordHashes(dict[str, int]):
    """The hash of each word that was met; forgets all when it has grown large."""

    def __missing__(self, word: str) -> int:
        if len(self) >= KNOWN_WORDS:
            self.clear()
        self[word] = value = crc32(word.encode("utf-8", "replace"))
        return value


_hashes = _WordHashes()


class NearDuplicates:
    """Takes rows one after the other and says which earlier one each is almost equal to.

    Rows are compared with the first of their like alone, so that likeness does not wander from row to row.
    """

    def __init__(self, least: float = LEAST_SHARE, characters: int = CHARACTERS) -> None:
        self._least, self._characters = least, characters
        self._sketches: dict[int, bytes] = {}
        self._first: dict[int, int] = {}
        self._short: dict[bytes, int] = {}
        self._count = 0

    def add(self, text: str) -> tuple[int, float] | None:
        """Number (in the order of adding) of an earlier row that is at least as much alike as was asked for, and the
        share of common word triples.
        """
        number, self._count = self._count, self._count + 1
        mine = sketch(text, self._characters)
        if len(mine) < LEAST_PARTS:
            return self._short_like(text, number)
        found = self._most_alike(mine)
        first = number if found is None else found[0]
        for key in mine[:KEYS].tolist():
            self._first.setdefault(key, first)
        if found is None:
            self._sketches[number] = mine.tobytes()
        return found

    def like(self, text: str) -> tuple[int, float] | None:
        """What `add` would say, without adding."""
        mine = sketch(text, self._characters)
        return self._short_like(text, None) if len(mine) < LEAST_PARTS else self._most_alike(mine)

    def _most_alike(self, mine: Any) -> tuple[int, float] | None:
        seen: set[int] = set()
        for key in mine[:KEYS].tolist():
            other = self._first.get(key)
            if other is not None and other not in seen:
                seen.add(other)
                share = likeness(mine, _sketch_of(self._sketches[other]))
                if share >= self._least:
                    return other, share
        return None

    def _short_like(self, text: str, number: int | None) -> tuple[int, float] | None:
        said = " ".join(text[: self._characters].lower().split())
        if not said:
            return None
        key = blake2b(said.encode("utf-8", "surrogatepass"), digest_size=12).digest()
        other = self._short.get(key) if number is None else self._short.setdefault(key, number)
        return None if other is None or other == number else (other, 1.0)


def said(conversation: Conversation) -> str:
    """What sets a row apart, as one text: all but system messages and tools, which many rows share."""
    parts = [conversation.text] if conversation.text else []
    for message in (*conversation.messages, *conversation.rejected[len(conversation.prompt) :]):
        if message.role != "system":
            parts.append(message.content)
            parts += [str(value) for key, value in message.extra.items() if key not in ("name", "tool_call_id")]
    return "\n".join(parts)


def _sketch_of(kept: bytes) -> Any:
    import numpy as np

    return np.frombuffer(kept, dtype=np.uint32)


def sketch(text: str, characters: int = CHARACTERS) -> Any:
    """The smallest hashes of a text's word triples (of five characters in a row where words are not spaced), ascending,
    32 bits each.
    """
    import numpy as np

    lowered = text[:characters].lower()
    words = WORDS.findall(lowered)
    if len(words) * 14 < len(lowered):
        parts = np.frombuffer("".join(words).encode("utf-32-le", "replace"), dtype=np.uint32).astype(np.uint64)
        width = 5
    else:
        parts = np.fromiter(map(_hashes.__getitem__, words), dtype=np.uint64, count=len(words))
        width = 3
    count = len(parts) - width + 1
    if count < 1:
        return np.zeros(0, dtype=np.uint32)
    mixed = np.zeros(count, dtype=np.uint64)
    for place in range(width):
        mixed += parts[place : place + count] * np.uint64(MULTIPLIERS[place])
    mixed ^= mixed >> np.uint64(29)
    mixed *= np.uint64(MULTIPLIERS[0])
    hashes = (mixed >> np.uint64(32)).astype(np.uint32)
    hashes.sort()
    first = np.ones(count, dtype=bool)
    np.not_equal(hashes[1:], hashes[:-1], out=first[1:])
    return hashes[first][:SKETCH]  # as `np.unique`, which takes three times as long for so few


def likeness(one: Any, other: Any) -> float:
    """Share of common parts, estimated from the smallest hashes of both."""
    import numpy as np

    _, counts = np.unique(np.concatenate([one, other]), return_counts=True)
    smallest = counts[:SKETCH]
    return float((smallest == 2).sum() / max(1, len(smallest)))
