"""How a side's answers to held-out rows compare with the written ones."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from loratui.worker.questions import Question

if TYPE_CHECKING:
    from loratui.tui.playground.answers import Answers


@dataclass(slots=True)
class Score:
    """Counts of one side. ROUGE-L is Google's rouge_score, as the training's evaluation uses it; a share, 0 to 1."""

    rows: int = 0
    equal: int = 0
    rouge_sum: float = 0.0
    _scorer: Any = None

    def add(self, answer: str, expected: str) -> None:
        """Count one answer. Slow the first time (the library is loaded): for a thread."""
        if self._scorer is None:
            from rouge_score.rouge_scorer import RougeScorer

            self._scorer = RougeScorer(["rougeL"], use_stemmer=False)
        self.rows += 1
        self.equal += answer.strip() == expected.strip()
        self.rouge_sum += float(self._scorer.score(expected, answer)["rougeL"].fmeasure)

    @property
    def exact_match(self) -> float:
        """Share of the answers that equal the written ones."""
        return self.equal / self.rows if self.rows else 0.0

    @property
    def rouge_l(self) -> float:
        """Mean ROUGE-L F-measure."""
        return self.rouge_sum / self.rows if self.rows else 0.0


def told(scores: Mapping[str, Score]) -> str:
    """`base exact match 0 %, ROUGE-L 0.21; adapter exact match 96 %, ROUGE-L 0.99`."""
    return "; ".join(
        f"{side} exact match {score.exact_match:.0%}, ROUGE-L {score.rouge_l:.2f}" for side, score in scores.items()
    )


async def score_rows(
    rows: Sequence[Question],
    answers: Answers,
    ask: Callable[[Question], Awaitable[object]],
    tell: Callable[[str], None],
) -> dict[str, Score]:
    """Ask rows one after the other until one is stopped or a side fails (its pane says why); the counts of each side.

    ask: puts a row to all sides and returns when they have answered. tell: told how far it is after each row.
    """
    scores = {side: Score() for side in answers.sides}
    for done, row in enumerate(rows, start=1):
        await ask(row)
        if any(view.matches is None for view in answers.views):
            break
        for view in answers.views:
            await asyncio.to_thread(scores[view.side].add, view.text, row.expected)
        tell(f"{done} of {len(rows)} held-out rows: {told(scores)} … esc stops.")
    return scores
