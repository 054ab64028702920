"""The rows of one part of a dataset as the trainer takes them: places in the stored tokens, cut to the maximum length.

Nothing of them is held in memory but where they begin and end; a batch is read when it is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from loratui.core.dataset import pieces_of
from loratui.core.plan import Plan
from loratui.worker.token_store import Scratch
from loratui.worker.token_table import Ints, TokenTable

log = logging.getLogger("loratui")
WRITTEN_ROWS = 1000
WRITTEN_BYTES = 40
"""Of each token that is written to be packed: ids and labels, before and after, and some room."""
NOTHING_LEFT = "no token of it that bears loss is left within the maximum length."


Severity = Literal["info", "warning"]


class Lost(NamedTuple):
    """A row of the table that is not used: its number, and why."""

    row: int
    kind: str
    message: str


@dataclass
class Rows:
    """Sequences of one part, and what became of the rows that were read.

    row, start, end: of each sequence, its row in the table and its tokens there, end excluded.
    """

    table: TokenTable
    row: Ints
    start: Ints
    end: Ints
    read: int = 0
    unusable: int = 0
    cut: int = 0
    without_answer: int = 0
    answers: int = 0
    answers_unended: int = 0
    """Answers that do not end in a token at which generation stops."""
    _scratch: Scratch | None = field(default=None, repr=False)
    """Holds what is written for packing as long as the rows are used."""

    def __len__(self) -> int:
        return len(self.row)

    @property
    def lengths(self) -> Ints:
        """Tokens of each sequence."""
        return self.end - self.start

    @property
    def tokens(self) -> int:
        return int(self.lengths.sum())

    def _learnt(self) -> tuple[Ints, Ints]:
        """Stretches that bear loss: the sequence of each, and its first and last token within that, end excluded. The
        first token of a sequence is never predicted.
        """
        counts = np.diff(self.table.span_first)[self.row]
        sequence = np.repeat(np.arange(len(self.row)), counts)
        within = np.arange(len(sequence)) - np.repeat(np.cumsum(counts) - counts, counts)
        spans = self.table.spans[self.table.span_first[self.row][sequence] + within]
        first = np.maximum(spans[:, 0] - self.start[sequence], 1)
        last = np.minimum(spans[:, 1], self.end[sequence]) - self.start[sequence]
        real = last > first
        return sequence[real], np.stack([first[real], last[real]], axis=1)

    @property
    def exemplary(self) -> NDArray[np.bool_]:
        """Of each sequence, whether its answer is one that the model should give."""
        return np.ones(len(self.row), dtype=bool)

    @cached_property
    def trained(self) -> Ints:
        """Tokens of each sequence that bear loss; the sequences of an object do not change."""
        if self.table.one_span:  # as in most datasets; a resume of a million rows waits for this
            learnt: Ints = np.minimum(self.table.spans[self.row, 1], self.end)
            learnt -= np.maximum(self.table.spans[self.row, 0], self.start + 1)
            return np.maximum(learnt, 0, out=learnt)
        sequence, spans = self._learnt()
        return np.bincount(sequence, spans[:, 1] - spans[:, 0], minlength=len(self.row)).astype(np.int64)

    @property
    def trained_tokens(self) -> int:
        return int(self.trained.sum())

    @property
    def longest(self) -> int:
        return int(self.lengths.max(initial=0))

    def ids(self, number: int) -> list[int]:
        """Token ids of one sequence."""
        place = int(self.row[number]), int(self.start[number]), int(self.end[number])
        found: list[int] = self.table.ids(*place).tolist()
        return found

    def labels(self, number: int) -> list[int]:
        """Labels of one sequence."""
        place = int(self.row[number]), int(self.start[number]), int(self.end[number])
        found: list[int] = self.table.labels(*place).tolist()
        return found

    def question(self, number: int) -> str:
        """What was asked in a sequence's row, for people."""
        return str(self.table.value(int(self.row[number]), "question"))

    def chosen(self, numbers: Any) -> Rows:
        """Some of the sequences, in the order given; what became of the others is not told."""
        at = np.asarray(numbers, dtype=np.int64)
        found = Rows(self.table, self.row[at], self.start[at], self.end[at], read=self.read)
        if "trained" in vars(self):
            found.trained = self.trained[at]
        return found

    def findings(self, plan: Plan) -> Iterator[tuple[str, Severity, str, dict[str, Any]]]:
        """What a person should know of these rows before they are trained on as planned: kind, severity, words, and the
        plan's values that mend it.
        """
        yield from ()

    def fingerprint(self) -> str:
        """Equal for the same rows in the same order, cut at the same places; no token is read for it."""
        digest = blake2b(digest_size=16)
        for column in (self.table.digests[self.row], self.start, self.end):
            digest.update(column.astype("<i8").tobytes())
        return digest.hexdigest()

    def as_dataset(self, *, written: bool = False) -> Any:
        """The rows as the trainer takes them. written: in a file of their own, which the libraries can go over (they
        do so where rows are packed); else each batch comes out of the store when it is asked for.
        """
        from datasets import Dataset

        if written:
            return self._written()
        dataset = Dataset.from_dict({"row": self.row, "start": self.start, "end": self.end})
        dataset.set_transform(Reading(self.table))
        return dataset

    def _written(self) -> Any:
        from datasets import Dataset

        try:
            self._scratch = Scratch(WRITTEN_BYTES * self.tokens)
        except OSError as error:
            log.warning("the rows to be packed stay in memory: %s", error)
            numbers = range(len(self))
            held = {"input_ids": [self.ids(at) for at in numbers], "labels": [self.labels(at) for at in numbers]}
            return Dataset.from_dict(held)
        path = str(self._scratch.path / "rows.arrow")
        schema = pa.schema([("input_ids", pa.list_(pa.int64())), ("labels", pa.list_(pa.int64()))])
        with pa.OSFile(path, "wb") as file, pa.ipc.new_stream(file, schema) as writer:
            for first in range(0, len(self), WRITTEN_ROWS):
                part = range(first, min(first + WRITTEN_ROWS, len(self)))
                columns = [[self.ids(at) for at in part], [self.labels(at) for at in part]]
                writer.write_batch(
                    pa.record_batch(
                        [pa.array(one, field.type) for one, field in zip(columns, schema, strict=True)], schema=schema
                    )
                )
        return Dataset.from_file(path)


def pieces(table: TokenTable, rows: Ints, max_length: int, divided: NDArray[np.bool_] | None = None) -> Rows:
    """The rows, those longer than `max_length` tokens divided into pieces of it, as `pieces_of` counts them. divided:
    for each row whether it is; one that is not is cut.
    """
    counts = np.array([pieces_of(length, max_length) for length in table.lengths[rows].tolist()], dtype=np.int64)
    if divided is not None:
        counts = np.where(divided, counts, 1)
    row = np.repeat(rows, counts)
    number = np.arange(len(row)) - np.repeat(np.cumsum(counts) - counts, counts)
    start = number * (max_length - 1)
    return Rows(table, row, start, np.minimum(start + max_length, table.lengths[row]))


class Reading:
    """Turns places in a table into the rows that lie there, a batch at a time."""

    def __init__(self, table: TokenTable) -> None:
        self._table = table

    def __call__(self, batch: dict[str, list[int]]) -> dict[str, list[list[int]]]:
        places = list(zip(batch["row"], batch["start"], batch["end"], strict=True))
        return {
            "input_ids": [self._table.ids(*place).tolist() for place in places],
            "labels": [self._table.labels(*place).tolist() for place in places],
        }

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: the datasets library pickles whatever it is given, to name its caches, and keeps none of this."""
        return {}
