"""Lengths of rows: quantiles, histogram, what each maximum length would cut, and how full batches and packs are."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Any

import numpy as np

from loratui.core.dataset import PIECE_TOKENS, pieces_of

CANDIDATES = (
    128,
    256,
    384,
    512,
    768,
    1024,
    1536,
    2048,
    3072,
    4096,
    6144,
    8192,
    12288,
    16384,
    24576,
    32768,
    65536,
    131072,
)
HISTOGRAM_BINS = 40
COVERED_SHARE = 0.95
"""Share of the rows that the proposed maximum length leaves whole (the usual advice is 90 to 95 %)."""


class Lengths:
    """Tokens of each row, and where in it the tokens lie that bear loss; grows row by row. Of a pair the longer side is
    the row's length, and both sides' tokens and spans count.

    Spans are half-open token positions of one unbroken stretch of labels each.
    """

    def __init__(self) -> None:
        self.divided = False
        """Rows that are added now are, beyond a maximum length, divided into pieces of it, so that none is cut."""
        self._divided = array("b")
        self._tokens = array("q")
        self._beside = array("q")
        """Tokens of a pair's shorter side; 0 where a row is no pair."""
        self._span_row = array("q")
        self._span_start = array("q")
        self._span_end = array("q")

    def __len__(self) -> int:
        return len(self._tokens)

    def add(self, tokens: int, spans: Sequence[tuple[int, int]], beside: int = 0) -> None:
        """Count one row. beside: tokens of a pair's shorter side."""
        row = len(self._tokens)
        self._tokens.append(tokens)
        self._divided.append(self.divided)
        self._beside.append(beside)
        for start, end in spans:
            self._span_row.append(row)
            self._span_start.append(start)
            self._span_end.append(end)

    @classmethod
    def joined(cls, parts: Sequence[tuple[Lengths, Sequence[int]]]) -> Lengths:
        """Lengths of several datasets as one. parts: each with the numbers of its rows that count, in whatever order;
        a row may count several times.
        """
        found = cls()
        found.divided = any(one.divided for one, _ in parts)
        for one, numbers in parts:
            at = np.asarray(numbers, dtype=np.int64)
            rows, starts, ends = (_values(column) for column in (one._span_row, one._span_start, one._span_end))
            first = np.searchsorted(rows, np.arange(len(one) + 1))
            counts = (first[1:] - first[:-1])[at]
            spans = (
                np.repeat(first[:-1][at], counts)
                + np.arange(counts.sum())
                - np.repeat(np.cumsum(counts) - counts, counts)
            )
            found._span_row.extend((np.repeat(np.arange(len(at)), counts) + len(found)).tolist())
            found._span_start.extend(starts[spans].tolist())
            found._span_end.extend(ends[spans].tolist())
            for name in ("_tokens", "_divided", "_beside"):
                getattr(found, name).extend(np.array(getattr(one, name))[at].tolist())
        return found

    @property
    def tokens(self) -> np.ndarray[Any, Any]:
        """Tokens of each row, uncut."""
        return _values(self._tokens)

    def summary(self) -> dict[str, int]:
        """min, median, p90, p95, p99, max and total, in tokens."""
        tokens = np.sort(self.tokens)
        if not len(tokens):
            return dict.fromkeys(("min", "median", "p90", "p95", "p99", "max", "total"), 0)
        at = {
            name: int(tokens[min(len(tokens) - 1, round(share * (len(tokens) - 1)))])
            for name, share in (("median", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99))
        }
        total = int(tokens.sum() + _values(self._beside).sum())
        return {"min": int(tokens[0]), **at, "max": int(tokens[-1]), "total": total}

    def trained(self, max_length: int = 0) -> np.ndarray[Any, Any]:
        """Tokens of each row that bear loss, within the first `max_length` tokens (0: uncut); a row's first token is
        never predicted.
        """
        counts = np.zeros(len(self._tokens), dtype=np.int64)
        start = np.maximum(_values(self._span_start), 1)
        end = _values(self._span_end)
        if max_length:
            whole = np.array(self._divided, dtype=bool)[_values(self._span_row)]
            end = np.where(whole, end, np.minimum(end, max_length))
        np.add.at(counts, _values(self._span_row), np.maximum(end - start, 0))
        return counts

    def ledger(self, max_length: int) -> dict[str, int]:
        """What a maximum length costs: rows cut, answer tokens lost, rows with nothing left to learn, tokens kept; and
        the sequences that it makes of the rows.
        """
        if self.divided and all(self._divided):
            kept = self.sequences(max_length)
            lost = {"cut": 0, "without_answer": 0, "answer_tokens_lost": 0}
            return {"max_length": max_length, **lost, "tokens": int(kept.sum()), "sequences": len(kept)}
        whole, kept = self.trained(), self.trained(max_length)
        if self.divided:
            sequences = self.sequences(max_length)
            cut = (self.tokens > max_length) & (np.array(self._divided) == 0)
            return {
                "max_length": max_length,
                "cut": int(cut.sum()),
                "without_answer": int(((kept == 0) & (whole > 0)).sum()),
                "answer_tokens_lost": int((whole - kept).sum()),
                "tokens": int(sequences.sum()),
                "sequences": len(sequences),
            }
        return {
            "max_length": max_length,
            "cut": int((self.tokens > max_length).sum()),
            "without_answer": int(((kept == 0) & (whole > 0)).sum()),
            "answer_tokens_lost": int((whole - kept).sum()),
            "tokens": int(sum(np.minimum(one, max_length).sum() for one in (self.tokens, _values(self._beside)))),
            "sequences": len(self),
        }

    def sequences(self, max_length: int) -> np.ndarray[Any, Any]:
        """Tokens of each sequence: rows that are cut, or pieces of rows."""
        tokens = self.tokens
        if not self.divided or not max_length:
            return np.minimum(tokens, max_length) if max_length else tokens
        counts = np.array([pieces_of(row, max_length) for row in tokens.tolist()], dtype=np.int64)
        counts = np.where(np.array(self._divided, dtype=bool), counts, 1)
        rest = np.minimum(tokens - (counts - 1) * (max_length - 1), max_length)
        return np.concatenate([rest, np.full(int((counts - 1).sum()), max_length, dtype=np.int64)])

    def ledgers(self, *extra: int) -> list[dict[str, int]]:
        """The ledger for usual lengths up to the first that cuts nothing, and for `extra` ones."""
        longest = int(self.tokens.max()) if len(self._tokens) else 0
        usual = [length for number, length in enumerate(CANDIDATES) if number == 0 or CANDIDATES[number - 1] < longest]
        return [self.ledger(length) for length in sorted({*usual, *(length for length in extra if length > 0)})]

    def proposal(self, context: int = 0) -> dict[str, Any]:
        """The smallest usual length that leaves 95 % of the rows whole and cuts no row's whole answer, within the
        context.
        """
        if not len(self._tokens):
            return {"value": 0, "why": "there is no row"}
        wanted = self.summary()["p95"]
        longest = self.summary()["max"]
        for length in CANDIDATES:
            ledger = self.ledger(length)
            if length >= wanted and not ledger["without_answer"]:
                break
            if self.divided and length >= PIECE_TOKENS:
                break
        value = min(length, context) if context else length
        ledger = self.ledger(value)
        cut = f"{ledger['cut']:,} of {len(self):,} rows are cut, {ledger['answer_tokens_lost']:,} answer tokens lost"
        if self.divided and value < longest:
            cut = f"longer texts are divided into {ledger['sequences']:,} pieces, and nothing is cut"
        if value >= longest:
            cut = f"no row is cut: the longest has {longest:,} tokens"
        return {"value": value, "why": f"95 % of the rows have at most {wanted:,} tokens; at {value:,} {cut}"}

    def histogram(self) -> dict[str, list[int]]:
        """Counts of rows in bins of equal width; `edges` has one more entry than `counts`."""
        tokens = self.tokens
        if not len(tokens):
            return {"edges": [0, 1], "counts": [0]}
        top = (
            int(np.quantile(tokens, 0.995)) + 1
            if tokens.max() > 4 * np.quantile(tokens, 0.995)
            else int(tokens.max()) + 1
        )
        width = max(1, -(-top // HISTOGRAM_BINS))
        bins = -(-top // width)
        counts = np.bincount(np.minimum(tokens // width, bins), minlength=bins + 1)
        edges = [width * number for number in range(bins + 1)]
        if counts[bins]:
            return {"edges": [*edges, int(tokens.max()) + 1], "counts": counts.tolist()}
        return {"edges": edges, "counts": counts[:bins].tolist()}

    def packing(self, max_length: int, batch_size: int, seed: int) -> dict[str, Any]:
        """Share of the computed positions that hold a token: rows packed by best fit, and rows padded in batches."""
        lengths = self.sequences(max_length)
        if not len(lengths):
            return {"sequences": 0, "packed_share": 0.0, "padded_share": 0.0}
        sequences = best_fit(lengths.tolist(), max_length or int(lengths.max()))
        order = np.random.default_rng(seed).permutation(lengths)
        padded = (
            sum(
                int(order[at : at + batch_size].max()) * len(order[at : at + batch_size])
                for at in range(0, len(order), batch_size)
            )
            if batch_size > 1
            else int(order.sum())
        )
        total = int(lengths.sum())
        return {
            "sequences": sequences,
            "packed_share": total / (sequences * (max_length or int(lengths.max()))),
            "padded_share": total / padded,
        }

    def sample(self, count: int, seed: int) -> list[int]:
        """A seeded sample of the lengths, ascending."""
        tokens = self.tokens
        if len(tokens) > count:
            tokens = np.random.default_rng(seed).choice(tokens, count, replace=False)
        return sorted(int(value) for value in tokens)


def _values(column: array[int]) -> np.ndarray[Any, Any]:
    """A copy of a column, so that the column can grow on."""
    return np.array(column, dtype=np.int64)


def best_fit(lengths: Sequence[int], capacity: int) -> int:
    """How many sequences of `capacity` tokens the rows fill, longest first into the fullest that has room."""
    if not lengths:
        return 0
    counts = np.bincount(np.asarray(lengths, dtype=np.int64), minlength=capacity + 1)
    room = np.zeros(capacity + 1, dtype=np.int64)
    sequences = 0
    for length in range(capacity, 0, -1):
        left = int(counts[length])
        while left:
            fits = np.flatnonzero(room[length:])
            if not len(fits):
                per_sequence = capacity // length
                full, rest = divmod(left, per_sequence)
                sequences += full + (rest > 0)
                room[capacity - per_sequence * length] += full
                if rest:
                    room[capacity - rest * length] += 1
                break
            space = length + int(fits[0])
            taken = min(left, int(room[space]))
            room[space] -= taken
            room[space - length] += taken
            left -= taken
    return sequences
