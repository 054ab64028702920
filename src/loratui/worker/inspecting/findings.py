"""Problems as they are found: counted by kind, listed with their place up to a limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from loratui.data.row import Problem, Row

LISTED_PER_KIND = 200
UNENDED = (
    "stop-token",
    "the answer does not end in a token at which generation stops, so the model would not learn to end.",
)
SIDES_END_UNLIKE = (
    "stop-token-differs",
    "one side ends in a token at which generation stops, and the other does not: that alone tells them apart.",
)
"""Kind and sentence of an answer that does not end, and of a pair whose one side does not."""


class Findings:
    """Every problem is counted; the first 200 of each kind are listed."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.rows: set[int] = set()
        """Rows that cannot be trained on."""
        self._listed: list[Problem] = []

    def add(self, problem: Problem) -> None:
        self.counts[problem.kind] += 1
        if problem.blocking and problem.index is not None:
            self.rows.add(problem.index)
        if self.counts[problem.kind] <= LISTED_PER_KIND:
            self._listed.append(problem)

    def of_row(self, row: Row, kind: str, message: str, *, blocking: bool = False) -> None:
        """A problem with a row's place."""
        self.add(Problem(kind, message, row.line, row.index, row.file, blocking))

    def as_list(self, ranked: Sequence[Problem] = ()) -> list[dict[str, Any]]:
        """The listed problems by their place: those that cost a row first, then `ranked` in their own order."""
        ordered = sorted(
            self._listed, key=lambda problem: (not problem.blocking, problem.index if problem.index is not None else -1)
        )
        costly = sum(problem.blocking for problem in ordered)
        ordered[costly:costly] = ranked
        return [
            {
                "line": p.line,
                "index": p.index,
                "kind": p.kind,
                "message": p.message,
                "file": p.file,
                "blocking": p.blocking,
            }
            for p in ordered
        ]
