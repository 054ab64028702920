"""Hold rows out for evaluation: seeded, by whole conversation, rows that say almost the same on one side.

Which rows are held out is decided by what they say, not by where they stand: a row more or less moves no other one.
Runs of before that were split by order are split so to their end (`dataset.split_by`).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from random import Random

from loratui.core.plan import DatasetSection
from loratui.data.conversation import Conversation
from loratui.data.near_duplicates import GROUPED_SHARE, NearDuplicates, said


@dataclass(frozen=True)
class Split:
    """Positions of the rows to train on and of those held out, each ascending."""

    train: tuple[int, ...]
    evaluation: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Alike:
    """An earlier row that says the same, or almost. position: of it, in the order of adding. share: of common word
    triples.
    """

    position: int
    share: float
    exact: bool


class RowKeys:
    """What a split rests on: the identity of each row, and which earlier one it is almost equal to.

    near: False looks for equal rows alone, which is enough where no rows are held out by what they say.
    """

    def __init__(self, *, near: bool = True) -> None:
        self.near = near
        self.identities: list[bytes] = []
        self.leaders: list[int] = []
        """For each row the first one that it is almost equal to; itself where there is none."""
        self._first: dict[bytes, int] = {}
        self._near = NearDuplicates(GROUPED_SHARE) if near else None
        self._asked: dict[bytes, int] = {}
        """Of pairs: the first one of each question. What is held out of a question's pairs all is, for several of them
        have one answer in common."""
        self._added: list[int] = []
        """Positions of the rows in which near duplicates are looked for."""

    @classmethod
    def of(cls, identities: Sequence[bytes], leaders: Sequence[int]) -> RowKeys:
        """Keys that were found before, to split by."""
        keys = cls(near=False)
        keys.identities, keys.leaders = list(identities), list(leaders)
        return keys

    def __len__(self) -> int:
        return len(self.identities)

    def add(self, conversation: Conversation) -> Alike | None:
        """Add a row; the earlier one that it is like."""
        position, identity = len(self.identities), conversation.identity
        self.identities.append(identity)
        first = self._first.setdefault(identity, position)
        if first != position:
            self.leaders.append(self.leaders[first])
            return Alike(first, 1.0, True)
        near = self._near.add(said(conversation)) if self._near is not None else None
        self._added.append(position)
        asked = self._first_asked(conversation, position) if conversation.rejected else position
        other = self._added[near[0]] if near is not None and asked == position else asked
        self.leaders.append(self.leaders[other] if other != position else position)
        return Alike(other, near[1], False) if near is not None and asked == position else None

    def _first_asked(self, pair: Conversation, position: int) -> int:
        question = Conversation(pair.prompt).identity
        return self._asked.setdefault(question, position)

    def like(self, conversation: Conversation) -> Alike | None:
        """The row that another one, which is not added, is like."""
        first = self._first.get(conversation.identity)
        if first is not None:
            return Alike(first, 1.0, True)
        near = self._near.like(said(conversation)) if self._near is not None else None
        return None if near is None else Alike(self._added[near[0]], near[1], False)


def keys_for(section: DatasetSection, *, apart: bool) -> RowKeys:
    """Empty keys for a plan's split. apart: the rows to evaluate on come from elsewhere."""
    return RowKeys(
        near=not apart and section.split_by == "content" and bool(section.eval_count or section.eval_fraction)
    )


def split_rows(section: DatasetSection, keys: RowKeys, seed: int) -> Split:
    """Split the rows as a plan's dataset section says: by count, else by share; by what they say, else by order."""
    if section.split_by == "order":
        return split_indices(keys.identities, fraction=section.eval_fraction, count=section.eval_count, seed=seed)
    return split_by_content(
        keys.identities, keys.leaders, fraction=section.eval_fraction, count=section.eval_count, seed=seed
    )


def split_by_content(
    identities: Sequence[bytes], leaders: Sequence[int], *, fraction: float = 0.0, count: int = 0, seed: int = 42
) -> Split:
    """Hold out the groups whose hash is smallest, until there are `count` rows, or `fraction` (0..0.5) of them.

    leaders: for each row the first one of its group. A group's hash is that of its smallest identity and the seed. A
    group that would overshoot by more than it brings nearer is passed over; of two groups both sides get one.
    """
    groups: dict[int, list[int]] = {}
    for position, leader in enumerate(leaders):
        groups.setdefault(leader, []).append(position)
    wanted = count or (max(1, round(fraction * len(identities))) if fraction > 0 else 0)
    if wanted <= 0 or len(groups) < 2:
        return Split(tuple(range(len(identities))), ())
    key = seed.to_bytes(8, "little", signed=True)
    order = sorted(
        groups.values(),
        key=lambda group: blake2b(min(identities[at] for at in group), digest_size=16, key=key).digest(),
    )
    return _taken(order, wanted, len(identities))


def split_indices(identities: Sequence[Hashable], *, fraction: float = 0.0, count: int = 0, seed: int = 42) -> Split:
    """Split positions 0..len-1 by a shuffled order, holding out `count` rows, or `fraction` (0..0.5) of them.

    Rows of equal identity stay on one side, so the held-out part may differ from what was asked by the size of one
    group. With at least two groups and a wish above 0, both sides get a row.
    """
    groups: dict[Hashable, list[int]] = {}
    for position, identity in enumerate(identities):
        groups.setdefault(identity, []).append(position)
    wanted = count or (max(1, round(fraction * len(identities))) if fraction > 0 else 0)
    if wanted <= 0 or len(groups) < 2:
        return Split(tuple(range(len(identities))), ())
    order = list(groups.values())
    Random(seed).shuffle(order)
    return _taken(order, wanted, len(identities))


def _taken(order: Sequence[Sequence[int]], wanted: int, rows: int) -> Split:
    """Hold out groups in their order until there are as many rows as wanted."""
    held: list[int] = []
    for number, group in enumerate(order):
        if len(held) >= wanted or number == len(order) - 1:
            break
        if held and len(held) + len(group) - wanted > wanted - len(held):
            continue
        held += group
    evaluation = set(held)
    return Split(tuple(p for p in range(rows) if p not in evaluation), tuple(sorted(evaluation)))
