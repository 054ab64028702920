"""How often each length occurs, in bins of equal width."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

TAIL_SHARE = 0.995
"""Share of the rows that decide the width of the bins where a few are far longer."""
FAR = 4
"""How many times as long the longest must be for that."""


def length_histogram(lengths: Sequence[int], bins: int) -> tuple[list[int], list[int]]:
    """Edges in tokens, one more than there are bins, and the rows within each bin.

    lengths: ascending. Where the longest lies far out, a last bin gathers what is beyond the others.
    """
    if not lengths:
        return [0, 1], [0]
    longest, most = lengths[-1], lengths[round(TAIL_SHARE * (len(lengths) - 1))]
    top = (most if longest > FAR * max(1, most) else longest) + 1
    width = max(1, -(-top // max(1, bins)))
    edges = list(range(0, top + width, width))
    if longest >= edges[-1]:
        edges.append(longest + 1)
    places = [bisect_left(lengths, edge) for edge in edges]
    return edges, [after - before for before, after in pairwise(places)]
