"""What each held-out row lost at each evaluation of a run: `held_out_losses.jsonl`, a line an evaluation.

By these two evaluations are compared row beside row: what makes a row hard for both falls out of the difference.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pydantic_core import from_json

from loratui.core.early_stopping import Change, change
from loratui.files import open_own, open_regular
from loratui.runs.directory import Run

NAME = "held_out_losses.jsonl"
DIGITS = 5
"""Decimals that are kept, so that what is decided by the file is what was decided by what was measured."""


@dataclass(frozen=True)
class RowLosses:
    """nll: negative log-likelihood of each row, in nats, summed over its tokens that bear loss; tokens: how many those
    are. The rows stand in the order of the dataset. Where preferences are learnt: the loss of each pair or judged
    answer, and 1.
    """

    nll: list[float]
    tokens: list[int]

    @classmethod
    def of(cls, nll: Iterable[float], tokens: Iterable[float]) -> RowLosses:
        """As they are kept."""
        return cls([round(one, DIGITS) for one in nll], [int(one) for one in tokens])

    def chosen(self, numbers: Sequence[int]) -> RowLosses:
        """Some of the rows."""
        return RowLosses([self.nll[at] for at in numbers], [self.tokens[at] for at in numbers])

    def changed(self, since: RowLosses, step: int, looks: int, parts: int = 1) -> Change | None:
        """How the loss changed since these rows were measured at `step`; None where they are not the same rows. looks,
        parts: as `core.early_stopping.change`.
        """
        return change(step, since.nll, self.nll, self.tokens, looks, parts) if since.tokens == self.tokens else None

    @property
    def loss(self) -> float:
        """Mean over all tokens, in nats; NaN where there are none."""
        count = sum(self.tokens)
        return math.fsum(self.nll) / count if count else math.nan


def keep(run: Run, step: int, rows: RowLosses) -> None:
    """Append the rows of one evaluation. Raises OSError."""
    line = json.dumps({"step": step, "nll": rows.nll, "tokens": rows.tokens})
    descriptor = open_own(run.path / NAME, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # by a worker that was killed
        os.write(descriptor, b"\n" * torn + line.encode() + b"\n")
        os.fsync(descriptor)  # a checkpoint that is gone on from after a power cut is decided on by these
    finally:
        os.close(descriptor)


def read(run: Run, step: int) -> RowLosses | None:
    """The rows of the evaluation at this step, the last one where it was made again; None where there is none."""
    found = None
    start = b'{"step": %d,' % step
    try:
        with open_regular(run.path / NAME) as file:
            for line in file:
                if line.startswith(start):
                    found = _decoded(line) or found
    except OSError:
        return None
    return found


def each(run: Run) -> Iterator[tuple[int, RowLosses]]:
    """Step and rows of every evaluation, in the order in which they were made; one that was made again comes twice."""
    try:
        with open_regular(run.path / NAME) as file:
            for line in file:
                rows = _decoded(line)
                if rows is not None and (step := _step_of(line)) is not None:
                    yield step, rows
    except OSError:
        return


def _step_of(line: bytes) -> int | None:
    step = from_json(line).get("step")
    return step if isinstance(step, int) else None


def _decoded(line: bytes) -> RowLosses | None:
    try:
        document = from_json(line)
        nll, tokens = [float(one) for one in document["nll"]], [int(one) for one in document["tokens"]]
    except (ValueError, KeyError, TypeError):
        return None
    return RowLosses(nll, tokens) if len(nll) == len(tokens) else None
