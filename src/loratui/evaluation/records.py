"""What a model made of the rows, on disk as it comes: the file of one side in an evaluation's folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from loratui.evaluation.journal import Journal, read_journal
from loratui.evaluation.scoring import Given, Item, Outcome

Key = tuple[int, int]
"""Number of the row in its file, and of the sample, both from 0."""
ANSWER, LIKELIHOOD, CHOICES, PROBLEM = "answer", "likelihood", "choices", "problem"


def digest(value: Any) -> str:
    """Eight characters that stand for a document."""
    text = json.dumps(value, sort_keys=True, default=str)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()


@dataclass(frozen=True)
class Needs:
    """What is asked of every row. answers: samples of it; 0 for none."""

    answers: int
    likelihood: bool
    choices: bool


class Records:
    """One side's results by row. Reading needs no lock; `begin` before anything is added."""

    def __init__(self, folder: Path, side: str, identity: Mapping[str, Any]) -> None:
        """identity: what the results depend on, beside the rows and settings of the folder."""
        safe = "".join(one if one.isalnum() or one in "-_." else "-" for one in side)
        self.path = folder / f"{safe}-{digest(identity)}.jsonl"
        self._identity = identity
        self._journal: Journal | None = None
        self.answers: dict[Key, Given] = {}
        self.likelihoods: dict[int, tuple[float, int, int]] = {}
        self.choices: dict[int, tuple[float, ...]] = {}
        self.problems: dict[int, str] = {}
        self._take(read_journal(self.path, identity))

    def begin(self) -> None:
        """Go on writing. InputError where another process does."""
        self._journal = Journal(self.path, self._identity)
        self._take(self._journal.lines)

    def close(self) -> None:
        """Give the file back."""
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def add_answers(self, answers: Mapping[Key, Given]) -> None:
        """Keep answers. WorkerError where the disk is full."""
        self._add([ANSWER, *key, one.text, one.ended_by, one.tokens] for key, one in answers.items())

    def add_likelihoods(self, found: Mapping[int, tuple[float, int, int]]) -> None:
        """Keep likelihoods of written answers by row."""
        self._add([LIKELIHOOD, row, *one] for row, one in found.items())

    def add_choices(self, found: Mapping[int, Sequence[float]]) -> None:
        """Keep the choices' log-likelihoods by row."""
        self._add([CHOICES, row, *one] for row, one in found.items())

    def refuse(self, row: int, problem: str) -> None:
        """A row that cannot be asked."""
        self._add([[PROBLEM, row, problem]])

    def left(self, items: Sequence[Item], needs: Needs) -> int:
        """Results that are still to come."""
        return sum(self._left_of(item, needs) for item in items)

    def _left_of(self, item: Item, needs: Needs) -> int:
        if item.row in self.problems:
            return 0
        return (
            sum((item.row, sample) not in self.answers for sample in range(needs.answers))
            + bool(needs.likelihood and item.written and item.row not in self.likelihoods)
            + bool(needs.choices and item.choices and item.row not in self.choices)
        )

    def outcomes(self, items: Sequence[Item], samples: int) -> list[Outcome]:
        """What was made of each row, in their order."""
        return [
            Outcome(
                [self.answers[item.row, n] for n in range(samples) if (item.row, n) in self.answers],
                self.likelihoods.get(item.row),
                self.choices.get(item.row),
            )
            for item in items
        ]

    def _add(self, lines: Iterable[list[Any]]) -> None:
        assert self._journal is not None, "begin() comes first"
        for line in lines:
            self._journal.add([line])
            self._take([line])

    def _take(self, lines: Sequence[Any]) -> None:
        for line in lines:
            try:
                match line:
                    case [kind, int(row), int(sample), str(text), str(ended_by), int(tokens)] if kind == ANSWER:
                        self.answers[row, sample] = Given(text, ended_by, tokens)
                    case [kind, int(row), nll, int(tokens), int(first)] if kind == LIKELIHOOD:
                        self.likelihoods[row] = (float(nll), tokens, first)
                    case [kind, int(row), *values] if kind == CHOICES:
                        self.choices[row] = tuple(float(one) for one in values)
                    case [kind, int(row), str(problem)] if kind == PROBLEM:
                        self.problems[row] = problem
            except (TypeError, ValueError):  # a line of somebody else's: its row is asked again
                continue
