"""Figures of a mix's rows, part by part, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from loratui.evaluation.measures import CORPUS, Numbers
from loratui.evaluation.scoring import Item, corpus_applies

Figures = dict[str, Numbers]
"""By measure, [rows, columns]."""


def rows_by_part(
    items: Sequence[Item], numbers: Mapping[str, Mapping[str, Numbers]]
) -> dict[str, tuple[int, dict[str, Figures]]]:
    """Of each part, in their order, how many of the rows are its own, and each side's figures of those alone; nothing
    where the rows are of one.
    """
    parts = list(dict.fromkeys(item.part for item in items))
    if len(parts) < 2:
        return {}
    found = {}
    for part in parts:
        at = np.array([number for number, item in enumerate(items) if item.part == part])
        found[part] = (
            len(at),
            {
                side: {name: _own(name, rows[at], [items[one] for one in at]) for name, rows in figures.items()}
                for side, figures in numbers.items()
            },
        )
    return found


def _own(name: str, rows: Numbers, items: Sequence[Item]) -> Numbers:
    """The figures of a part; none where those of a corpus do not apply to it."""
    return np.full_like(rows, np.nan) if name in CORPUS and not corpus_applies(name, items) else rows
