"""Hold rows out for evaluation: seeded, by whole conversation, equal rows on one side."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from random import Random

from loratui.core.plan import DatasetSection


@dataclass(frozen=True)
class Split:
    """Positions of the rows to train on and of those held out, each ascending."""

    train: tuple[int, ...]
    evaluation: tuple[int, ...]


def split_rows(section: DatasetSection, identities: Sequence[Hashable], seed: int) -> Split:
    """Split positions 0..len-1 as a plan's dataset section says: by count, else by share."""
    return split_indices(identities, fraction=section.eval_fraction, count=section.eval_count, seed=seed)


def split_indices(identities: Sequence[Hashable], *, fraction: float = 0.0, count: int = 0, seed: int = 42) -> Split:
    """Split positions 0..len-1, holding out `count` rows, or `fraction` (0..0.5) of them.

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
    held: list[int] = []
    for number, group in enumerate(order):
        if len(held) >= wanted or number == len(order) - 1:
            break
        if held and len(held) + len(group) - wanted > wanted - len(held):
            continue
        held += group
    evaluation = set(held)
    return Split(tuple(p for p in range(len(identities)) if p not in evaluation), tuple(sorted(evaluation)))
