"""Rows that say almost the same: a small sketch of each row's word triples, compared with those that share a part of it."""

from __future__ import annotations

import re
from array import array
from zlib import crc32

SKETCH = 32
"""Smallest hashes kept a row: the share two rows have in common is then known to about 5 %."""
KEYS = 3
"""Smallest hashes by which rows are looked up: rows that are 90 % alike are missed once in a thousand times."""
SPREAD = 2654435761
"""Knuth's multiplier: the checksums of similar texts are similar, their products are not."""
CHARACTERS = 4000
"""Only so much of a row is looked at, so that a long one costs no more."""
LEAST_SHARE = 0.9
LEAST_PARTS = 8
WORDS = re.compile(r"\w+")


class NearDuplicates:
    """Takes rows one after the other and says which earlier one each is almost equal to."""

    def __init__(self) -> None:
        self._sketches: list[array[int]] = []
        self._first: dict[int, int] = {}

    def add(self, text: str) -> tuple[int, float] | None:
        """Number (in the order of adding) and share of common word triples of an earlier row that is at least 90 % alike."""
        mine = sketch(text)
        number = len(self._sketches)
        self._sketches.append(mine)
        if len(mine) < LEAST_PARTS:
            return None
        found = None
        for key in mine[:KEYS]:
            other = self._first.setdefault(key, number)
            if other != number and found is None:
                share = likeness(mine, self._sketches[other])
                if share >= LEAST_SHARE:
                    found = other, share
        return found


def sketch(text: str) -> array[int]:
    """The smallest hashes of a text's word triples (of five characters in a row where words are not spaced), ascending."""
    lowered = text[:CHARACTERS].lower()
    words = WORDS.findall(lowered)
    if len(words) * 14 < len(lowered):
        plain = "".join(words)
        parts = {plain[at:at + 5] for at in range(max(1, len(plain) - 4))}
    else:
        parts = {f"{a} {b} {c}" for a, b, c in zip(words, words[1:], words[2:], strict=False)}
    return array("I", sorted({crc32(part.encode("utf-8", "replace")) * SPREAD & 0xFFFFFFFF for part in parts})[:SKETCH])


def likeness(one: array[int], other: array[int]) -> float:
    """Share of common parts, estimated from the smallest hashes of both."""
    smallest = sorted({*one, *other})[:SKETCH]
    common = {*one} & {*other}
    return sum(value in common for value in smallest) / max(1, len(smallest))
