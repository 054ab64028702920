"""Rows that say almost the same: a small sketch of each row's word triples, compared with those that share a part of
it.
"""

from __future__ import annotations

import re
from typing import Any
from zlib import crc32

SKETCH = 32
"""Smallest hashes kept a row: the share two rows have in common is then known to about 5 %."""
KEYS = 3
"""Smallest hashes by which rows are looked up: rows that are 90 % alike are missed once in a thousand times."""
MULTIPLIERS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F)
"""Odd numbers with well-mixed bits: neighbouring words are weighed differently, so that their order counts."""
CHARACTERS = 4000
"""Only so much of a row is looked at, so that a long one costs no more."""
KNOWN_WORDS = 500_000
LEAST_SHARE = 0.9
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
    """Takes rows one after the other and says which earlier one each is almost equal to."""

    def __init__(self) -> None:
        self._sketches: list[bytes] = []
        self._first: dict[int, int] = {}

    def add(self, text: str) -> tuple[int, float] | None:
        """Number (in the order of adding) and share of common word triples of an earlier row that is at least 90 %
        alike.
        """
        mine = sketch(text)
        number = len(self._sketches)
        self._sketches.append(mine.tobytes())
        if len(mine) < LEAST_PARTS:
            return None
        found = None
        for key in mine[:KEYS].tolist():
            other = self._first.setdefault(key, number)
            if other != number and found is None:
                share = likeness(mine, _sketch_of(self._sketches[other]))
                if share >= LEAST_SHARE:
                    found = other, share
        return found


def _sketch_of(kept: bytes) -> Any:
    import numpy as np

    return np.frombuffer(kept, dtype=np.uint32)


def sketch(text: str) -> Any:
    """The smallest hashes of a text's word triples (of five characters in a row where words are not spaced), ascending,
    32 bits each.
    """
    import numpy as np

    lowered = text[:CHARACTERS].lower()
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
    return np.unique((mixed >> np.uint64(32)).astype(np.uint32))[:SKETCH]


def likeness(one: Any, other: Any) -> float:
    """Share of common parts, estimated from the smallest hashes of both."""
    import numpy as np

    _, counts = np.unique(np.concatenate([one, other]), return_counts=True)
    smallest = counts[:SKETCH]
    return float((smallest == 2).sum() / max(1, len(smallest)))
