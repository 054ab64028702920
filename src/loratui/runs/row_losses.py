"""What each held-out row lost at each evaluation of a run: `held_out_losses.jsonl`, a line an evaluation.

By these two evaluations are compared row beside row: what makes a row hard for both falls out of the difference.
"""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass

from pydantic_core import from_json

from loratui.files import open_own, open_regular
from loratui.runs.directory import Run

NAME = "held_out_losses.jsonl"


@dataclass(frozen=True)
class RowLosses:
    """nll: negative log-likelihood of each row, in nats, summed over its tokens that bear loss; tokens: how many those
    are. The rows stand in the order of the dataset.
    """

    nll: list[float]
    tokens: list[int]

    @property
    def loss(self) -> float:
        """Mean over all tokens, in nats; NaN where there are none."""
        count = sum(self.tokens)
        return math.fsum(self.nll) / count if count else math.nan


def keep(run: Run, step: int, rows: RowLosses) -> None:
    """Append the rows of one evaluation. Raises OSError."""
    line = json.dumps({"step": step, "nll": [round(one, 5) for one in rows.nll], "tokens": rows.tokens})
    descriptor = open_own(run.path / NAME, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    try:
        size = os.fstat(descriptor).st_size
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"  # by a worker that was killed
        os.write(descriptor, b"\n" * torn + line.encode() + b"\n")
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


def _decoded(line: bytes) -> RowLosses | None:
    try:
        document = from_json(line)
        nll, tokens = [float(one) for one in document["nll"]], [int(one) for one in document["tokens"]]
    except (ValueError, KeyError, TypeError):
        return None
    return RowLosses(nll, tokens) if len(nll) == len(tokens) else None
