"""What the calculation needs to know of a dataset."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class DataFacts:
    """Counts and lengths of a dataset's training part.

    lengths: tokens of each row (or of a seeded sample of the rows), ascending; never empty.
    exact: False while the lengths are guessed from characters (about four a token) instead of tokenised.
    """

    examples: int
    lengths: tuple[int, ...]
    exact: bool = True
    trained_share: float = 1.0
    """Share of the tokens that bear loss."""
    eval_examples: int = 0
    eval_taken: bool = False
    """Whether the held-out rows were taken from the dataset's own, so that they could be trained on."""
    rows: int = 0
    """All rows of the dataset, those too that cannot be trained on; 0 where that is not known."""
    unusable: int = 0
    """How many of them cannot be, whatever the model: guessed from a sample where there are many. They are in no other
    figure.
    """
    problem: str = ""
    """What is wrong with the first of those, in a sentence that says where it stands."""

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Kept, since facts are keys of caches and lengths are many."""
        return hash((self.examples, self.lengths, self.exact, self.trained_share, self.eval_examples, self.eval_taken))

    def longer_than(self, tokens: int) -> float:
        """Share (0..1) of the rows with more tokens than this."""
        return 1.0 - bisect_right(self.lengths, tokens) / len(self.lengths)

    def quantile(self, share: float) -> int:
        """Tokens that `share` (0..1) of the rows do not exceed."""
        position = min(len(self.lengths) - 1, max(0, round(share * (len(self.lengths) - 1))))
        return self.lengths[position]

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest row."""
        return self.lengths[-1]

    @cached_property
    def shares(self) -> tuple[tuple[int, float], ...]:
        """Each length that rows have, ascending, with the share (0..1) of the rows that are no longer."""
        last = {length: number for number, length in enumerate(self.lengths, 1)}
        return tuple((length, number / len(self.lengths)) for length, number in last.items())

    @cached_property
    def mean(self) -> float:
        """Mean tokens a row."""
        return sum(self.lengths) / len(self.lengths)


def held_out_rows(usable: int, fraction: float, count: int = 0) -> int:
    """Rows that are held out of `usable` ones: `count` where it is above 0, else a share (0..0.5); at least one stays
    on each side.
    """
    if usable < 2:
        return 0
    if count:
        return min(count, usable - 1)
    return max(1, round(usable * fraction)) if fraction > 0 else 0


def uniform(examples: int, tokens: int) -> DataFacts:
    """Facts for planning without data: every row has `tokens` tokens."""
    return DataFacts(examples=examples, lengths=(tokens,), exact=True)
