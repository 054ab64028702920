"""Votes of blind comparisons, kept in the run: `votes.jsonl`, one object a line."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from loratui.core.errors import RunError
from loratui.files import open_own, open_regular
from loratui.runs.directory import Run

TIE = ""
"""The winner of a comparison in which no answer was better."""
EDITED = "edited"
"""The side of an answer that a person wrote as it should have been."""
NAME = "votes.jsonl"


@dataclass(frozen=True, slots=True)
class Vote:
    """One comparison. sides: in the order in which they were shown. winner: a side's name, or TIE.

    messages: what all sides were asked (role and content each); none where each went on from its own answers.
    answers: each side's, by its name.
    """

    prompt: str
    sides: tuple[str, ...]
    winner: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    answers: dict[str, str] = field(default_factory=dict)


def add_vote(run: Run, vote: Vote) -> None:
    """Keep one vote. RunError where it cannot be written."""
    line = json.dumps({"time": round(time.time(), 1), **asdict(vote)}, ensure_ascii=False)
    try:
        descriptor = open_own(run.path / NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise RunError(f"the vote cannot be kept: {error.strerror or error}.", where=str(run.path / NAME)) from error


def tally(run: Run) -> dict[str, int]:
    """Votes for each side, and for none (TIE). Answers that a person wrote do not count, nor lines without a vote."""
    counts: Counter[str] = Counter()
    for vote in read_votes(run):
        if EDITED in vote.sides:
            continue
        counts.update(dict.fromkeys(vote.sides, 0))
        counts[vote.winner] += 1
    return dict(counts)


def read_votes(run: Run) -> list[Vote]:
    """The votes in their order; lines that cannot be read are passed over."""
    try:
        with open_regular(run.path / NAME) as file:
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            kept = json.loads(line)
            found.append(
                Vote(
                    str(kept.get("prompt", "")),
                    tuple(map(str, kept["sides"])),
                    str(kept["winner"]),
                    [dict(one) for one in kept.get("messages", [])],
                    {str(side): str(text) for side, text in kept.get("answers", {}).items()},
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue
    return found


@dataclass(frozen=True, slots=True)
class Preferences:
    """Rows to learn preferences from: a prompt (messages), chosen and rejected (an assistant's message each).

    ties: votes for none. unusable: votes without answers, or whose sides were not asked the same. equal: pairs of
    answers that do not differ.
    """

    rows: list[dict[str, Any]]
    ties: int
    unusable: int
    equal: int


def preferences(votes: Sequence[Vote]) -> Preferences:
    """What votes say: the winner's answer over that of each other side."""
    rows: list[dict[str, Any]] = []
    ties = unusable = equal = 0
    for vote in votes:
        if vote.winner == TIE:
            ties += 1
            continue
        if not vote.messages or vote.winner not in vote.answers:
            unusable += 1
            continue
        chosen = vote.answers[vote.winner]
        for side, answer in vote.answers.items():
            if side == vote.winner:
                continue
            if answer == chosen:
                equal += 1
                continue
            rows.append({"prompt": vote.messages, "chosen": _answered(chosen), "rejected": _answered(answer)})
    return Preferences(rows, ties, unusable, equal)


def _answered(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]
