"""Names of runs in a narrow column: cut, and told apart all the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

ENOUGH_END = 9
"""Characters of a name's end that tell runs of one day apart: `1126-0544`."""
LEAST_HEAD = 4
"""Characters of a name's beginning that stand wherever there is room for them."""


def shortened(name: str, width: int) -> str:
    """A run's name in so many columns: its end, which holds when it was begun, tells it from others of its model."""
    if len(name) <= width:
        return name
    end = min(ENOUGH_END, width // 2)
    return f"{name[: width - end - 1]}…{name[-end:]}"


def told_apart(names: Sequence[str], width: int) -> dict[str, str]:
    """Each name in so many columns; of those that would look alike, the places at which they part are shown."""
    found = {name: shortened(name, width) for name in names}
    for same in _alike(found):
        found |= _parted(same, width)
    parted: set[str] = set()
    while groups := _alike(found):  # what was parted may look like what was not
        more = parted.union(*groups)
        if more == parted:
            break  # there is no room to tell them apart
        parted = more
        found |= _parted(sorted(parted), width)
    return found


def _alike(found: Mapping[str, str]) -> list[list[str]]:
    """The names that look like others, sorted, those of one look together."""
    names: dict[str, list[str]] = {}
    for name in sorted(found):
        names.setdefault(found[name], []).append(name)
    return [same for same in names.values() if len(same) > 1]


def _parted(names: Sequence[str], width: int) -> dict[str, str]:
    """Names, sorted, each with its beginning and some characters from where it parts from each of the others."""
    partings = _partings(names)
    for shown in range(ENOUGH_END, 0, -1):
        for head in range(width, LEAST_HEAD - 1, -1):
            found: dict[str, str] = {}
            for name in names:
                found[name] = _cut(name, head, partings[name], shown)
                if len(found[name]) > width:
                    break
            else:
                if len({*found.values()}) == len(names):
                    return found
    return {name: _cut(name, 0, partings[name], 1)[:width] for name in names}


def _partings(names: Sequence[str]) -> dict[str, set[int]]:
    """Of sorted names, the lengths of the beginnings that each has in common with others."""
    common = [_in_common(one, other) for one, other in pairwise(names)]
    found: dict[str, set[int]] = {}
    for at, name in enumerate(names):
        places = set()
        for side in (common[:at][::-1], common[at:]):
            least = len(name)
            for length in side:
                least = min(least, length)
                places.add(least)
        found[name] = places
    return found


def _in_common(one: str, other: str) -> int:
    return next((at for at, both in enumerate(zip(one, other, strict=False)) if both[0] != both[1]), len(one))


def _cut(name: str, head: int, places: Iterable[int], shown: int) -> str:
    """A name's beginning, and so many characters from each of these places on; `…` stands for what is left out."""
    kept = set(range(head))
    for place in places:
        kept |= set(range(min(place, len(name) - 1), place + shown))
    text, at = "", 0
    while at < len(name):
        if at in kept or (at - 1 in kept and at + 1 in kept):
            text += name[at]
            at += 1
            continue
        text += "…"
        while at < len(name) and at not in kept:
            at += 1
    return text
