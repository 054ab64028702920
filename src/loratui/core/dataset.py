"""What the calculation needs to know of a dataset."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

PIECE_TOKENS = 2_048
"""Tokens of the pieces that are proposed for plain texts, where many are longer: language models are usually taught in
such or longer ones, and the memory for it is bearable."""
JOINED_LENGTHS = 20_000
"""Lengths that stand for a mix's at most, in the parts' proportions."""
PIECES_SAMPLE = 20_000
"""Pieces of long texts that are counted one by one."""


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
    eval_asked: int = 0
    """Rows that were to be held out when `eval_examples` was counted, which the split may miss by some: rows that say
    almost the same stay on one side. 0 where it was not counted.
    """
    rows: int = 0
    """All rows of the dataset, those too that cannot be trained on; 0 where that is not known."""
    unusable: int = 0
    """How many of them cannot be, whatever the model: guessed from a sample where there are many. They are in no other
    figure.
    """
    problem: str = ""
    """What is wrong with the first of those, in a sentence that says where it stands."""
    divided: bool = False
    """The rows are plain text, and those longer than the maximum length are divided into pieces of it."""
    whole: DataFacts | None = None
    """The rows before they were divided, where these are pieces."""
    desirable_share: float | None = None
    """Share of the rows whose answer is wanted, where each is an answer that was judged."""
    sides: int = 1
    """Rows of these that one row of the dataset makes, held out together: 2 where both sides of pairs are judged."""
    parts: tuple[DataFacts, ...] = ()
    """Of a mix: those of each part, its examples as often as an epoch draws them."""
    base: int = 0
    """Of a part of a mix: its rows before its weight, those too that are held out of them."""
    weight: float = 1.0
    """Of a part of a mix: how often an epoch draws each of its training rows."""
    supposed: bool = False
    """No dataset is chosen: the rows stand for one (`core.situation.supposed_rows`)."""

    def __hash__(self) -> int:
        return self._hash

    @cached_property
    def _hash(self) -> int:
        """Kept, since facts are keys of caches and lengths are many."""
        return hash(
            (
                self.examples,
                self.lengths,
                self.exact,
                self.trained_share,
                self.eval_examples,
                self.eval_taken,
                self.divided,
                self.desirable_share,
                self.sides,
            )
        )

    def at(self, max_length: int) -> DataFacts:
        """The sequences that a maximum length makes of the rows: pieces of long texts; else the rows as they are, which
        whoever counts cuts at that length.
        """
        if self.divided and self.parts:
            return _joined_at(self, max_length)
        return _pieces(self.whole or self, max_length) if self.divided else self

    @property
    def usable(self) -> int:
        """Rows that are trained on or held out of those; of a mix each once, whatever the weights."""
        if self.parts:
            return sum(part.base for part in self.parts)
        return self.examples + self.eval_examples if self.eval_taken else self.examples

    def holding_out(self, fraction: float, count: int = 0) -> DataFacts:
        """The same with this share (0..0.5) of the rows held out, or this number of them; of a mix part by part. What
        the split itself was found to hold out of so many stands.
        """
        if not self.eval_taken:
            return self
        if not self.parts:
            held = self.sides * held_out_rows(self.usable // self.sides, fraction, count)
            if held and held == self.eval_asked:
                return self
            return replace(self, examples=max(1, self.usable - held), eval_examples=held, eval_asked=0)
        own = [part.base if part.eval_taken else 0 for part in self.parts]
        parts = []
        for part, held in zip(self.parts, held_out_by_part(own, fraction, count), strict=True):
            if held and held == part.eval_asked:
                parts.append(part)
                continue
            examples = max(1, drawn_rows(part.base - held, part.weight))
            evaluated = held if part.eval_taken else part.eval_examples
            parts.append(replace(part, examples=examples, eval_examples=evaluated, eval_asked=0))
        return joined(parts)

    def filled(self, tokens: int) -> DataFacts:
        """The same rows with the longest as long as this, in tokens: as `training.max_length` allows them to be."""
        return replace(self, lengths=(*self.lengths[:-1], max(tokens, self.longest)))

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

    def in_proportion(self, guessed: DataFacts, counted: DataFacts) -> DataFacts:
        """These guessed lengths, longer or shorter as a tokenizer found like guesses to be; a guess still."""
        share = counted.mean / guessed.mean
        return replace(self, lengths=tuple(math.ceil(length * share) for length in self.lengths))

    @cached_property
    def mean(self) -> float:
        """Mean tokens a row."""
        return sum(self.lengths) / len(self.lengths)


def pieces_of(tokens: int, max_length: int) -> int:
    """Pieces that a text is divided into. Each begins with the last token of the one before, which bears no loss there,
    so that every token but the text's first is learnt once.
    """
    return 1 if tokens <= max_length else 1 - (max_length - tokens) // (max_length - 1)


@lru_cache(maxsize=64)
def _pieces(rows: DataFacts, max_length: int) -> DataFacts:
    if rows.longest <= max_length:
        return rows
    counts = [pieces_of(length, max_length) for length in rows.lengths]
    full = sum(counts) - len(counts)
    last = sorted(length - (count - 1) * (max_length - 1) for length, count in zip(rows.lengths, counts, strict=True))
    step = 1 + full // PIECES_SAMPLE  # full ones are all alike: where there are very many, a share stands for them
    kept = last[::step] + [max_length] * (full // step)
    ratio = sum(counts) / len(counts)
    return replace(
        rows,
        examples=max(1, round(rows.examples * ratio)),
        lengths=tuple(kept),
        eval_examples=round(rows.eval_examples * ratio),
        whole=rows,
    )


def inspected_facts(parts: Sequence[Mapping[str, Any]], fraction: float = 0.0, count: int = 0) -> DataFacts:
    """Facts of a mix from what the inspection found of each part (`parts` of its result), counted and not guessed.
    fraction, count: of the rows, that were to be held out.
    """
    own = [part["base"] if part["eval_taken"] else 0 for part in parts]
    return joined(
        [
            DataFacts(
                examples=max(1, part["examples"]),
                lengths=tuple(part["lengths"]) or (1,),
                trained_share=part["trained_tokens"] / part["tokens"] if part["tokens"] else 1.0,
                eval_examples=part["eval_examples"],
                eval_taken=part["eval_taken"],
                eval_asked=asked,
                rows=part["rows"],
                divided=part["divided"],
                base=part["base"],
                weight=part["weight"],
            )
            for part, asked in zip(parts, held_out_by_part(own, fraction, count), strict=True)
        ]
    )


@lru_cache(maxsize=64)
def _joined_at(mix: DataFacts, max_length: int) -> DataFacts:
    return joined([part.at(max_length) for part in mix.parts])


def joined(parts: Sequence[DataFacts]) -> DataFacts:
    """Facts of rows that are trained on together. parts: with the rows that an epoch draws of each."""
    examples = sum(one.examples for one in parts)
    tokens = sum(one.examples * one.mean for one in parts)
    judged = [one.desirable_share for one in parts]
    return DataFacts(
        examples=examples,
        lengths=_lengths(parts, examples),
        exact=all(one.exact for one in parts),
        trained_share=sum(one.trained_share * one.examples * one.mean for one in parts) / tokens if tokens else 1.0,
        eval_examples=sum(one.eval_examples for one in parts),
        eval_taken=any(one.eval_taken for one in parts),
        rows=sum(one.rows for one in parts),
        unusable=sum(one.unusable for one in parts),
        problem=next((one.problem for one in parts if one.problem), ""),
        divided=any(one.divided for one in parts),
        desirable_share=None
        if None in judged
        else sum(one.examples * (share or 0.0) for one, share in zip(parts, judged, strict=True)) / max(1, examples),
        sides=parts[0].sides,
        parts=tuple(parts),
    )


def _lengths(parts: Sequence[DataFacts], examples: int) -> tuple[int, ...]:
    """Each part's lengths as often as its rows are drawn, evenly spread; its longest is always among them."""
    count = min(JOINED_LENGTHS, max(examples, len(parts)))
    found: list[int] = []
    for part in parts:
        wanted, have = max(1, round(count * part.examples / examples)), len(part.lengths)
        found += [part.lengths[have - 1 - at * have // wanted] for at in range(wanted)]
    return tuple(sorted(found))


def drawn_rows(rows: int, weight: float) -> int:
    """Rows that an epoch draws of a part of a mix with so many training rows; at least one, where there is one."""
    return max(1, round(rows * weight)) if rows else 0


def held_out_by_part(rows: Sequence[int], fraction: float, count: int = 0) -> list[int]:
    """How many rows of each part of a mix are held out: the same share of each, whatever its weight, so that another
    weight holds out the same rows; of a number of rows each part's share. rows: of each part, after its cap.
    """
    if not count:
        return [held_out_rows(each, fraction) for each in rows]
    return [min(max(1, one), max(0, each - 1)) for one, each in zip(shared_out(count, rows), rows, strict=True)]


def shared_out(count: int, sizes: Sequence[int]) -> list[int]:
    """Whole numbers in proportion to the sizes that make `count` together; what is left goes to the largest rests."""
    total = sum(sizes)
    exact = [count * each / total if total else 0.0 for each in sizes]
    found = [int(one) for one in exact]
    by_rest = sorted(range(len(sizes)), key=lambda at: (found[at] - exact[at], at))
    for at in by_rest[: count - sum(found)] if total else ():
        found[at] += 1
    return found


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
