"""Answers of an evaluation before a judge, and how far the judge agrees with the votes that a person gave."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from loratui.core.errors import InputError
from loratui.evaluation.judge_client import Judge
from loratui.evaluation.judging import Shown, Winner, agreement, outcome, pairs, summary
from loratui.evaluation.records import digest
from loratui.evaluation.report import Document, Side
from loratui.evaluation.scoring import Item
from loratui.runs.directory import Run
from loratui.runs.votes import EDITED, TIE, read_votes


def judged(
    judge: Judge,
    sides: Sequence[Side],
    items: Sequence[Item],
    run: Run | None,
    folder: Path,
    say: Callable[[str], None],
) -> Document:
    """The last side beside each other one, by the judge. InputError where there is nobody beside it, or no answers."""
    if len(sides) < 2:
        raise InputError("a judge compares two sides, and there is one.", hint="Name another with --against.")
    mine, others = sides[-1], sides[:-1]
    beside = {other.name: _rows(mine, other, items) for other in others}
    if not any(beside.values()):
        raise InputError("a judge compares answers, and none were asked for.", hint="Leave --metrics out.")
    votes, voted = _votes(run)
    every = [pair for rows in (*beside.values(), votes) for pair in pairs(rows)]

    def tell(done: int, of: int) -> None:
        if not done:
            say(f"{of:,} pairs of answers, with what was asked, go to {judge.model} at {judge.host} …")
        elif done % 50 == 0:
            say(f"judge: {done:,}/{of:,}")

    kept = folder / f"judge-{digest([judge.url, judge.model])}.jsonl"
    said = judge.ask(every, kept, tell)
    return {
        "url": judge.url,
        "host": judge.host,
        "model": judge.model,
        "pairs": [summary(mine.name, name, outcome(rows, said)) for name, rows in beside.items()],
        "agreement": agreement(voted, outcome(votes, said)),
    }


def _rows(mine: Side, other: Side, items: Sequence[Item]) -> list[Shown]:
    return [
        Shown(item.asked, item.expected, one.answers[0].text, two.answers[0].text)
        for item, one, two in zip(items, mine.outcomes, other.outcomes, strict=True)
        if one.answers and two.answers
    ]


def _votes(run: Run | None) -> tuple[list[Shown], list[Winner]]:
    """Blind votes between two sides that were asked the same, and who won by them: mine is the first shown."""
    rows: list[Shown] = []
    winners: list[Winner] = []
    for vote in read_votes(run) if run is not None else ():
        between_two = len(vote.sides) == 2 and EDITED not in vote.sides
        if between_two and vote.messages and all(side in vote.answers for side in vote.sides):
            first, second = vote.sides
            rows.append(Shown(str(vote.messages[-1].get("content", "")), "", vote.answers[first], vote.answers[second]))
            winners.append("tie" if vote.winner == TIE else "mine" if vote.winner == first else "theirs")
    return rows, winners
