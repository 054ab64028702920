"""Votes of blind comparisons, kept in the run: `votes.jsonl`, one object a line."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Sequence

from loratui.core.errors import RunError
from loratui.files import open_own, open_regular
from loratui.runs.directory import Run

TIE = ""
"""The winner of a comparison in which no answer was better."""
NAME = "votes.jsonl"


def add_vote(run: Run, prompt: str, sides: Sequence[str], winner: str) -> None:
    """Keep one vote. winner: a side's name, or TIE. RunError where it cannot be written."""
    line = json.dumps(
        {"time": round(time.time(), 1), "prompt": prompt, "sides": list(sides), "winner": winner}, ensure_ascii=False
    )
    try:
        descriptor = open_own(run.path / NAME, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            file.write(line + "\n")
    except OSError as error:
        raise RunError(f"the vote cannot be kept: {error.strerror or error}.", where=str(run.path / NAME)) from error


def tally(run: Run) -> dict[str, int]:
    """Votes for each side, and for none (TIE); lines that cannot be read are passed over."""
    counts: Counter[str] = Counter()
    try:
        with open_regular(run.path / NAME) as file:
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return {}
    for line in lines:
        try:
            vote = json.loads(line)
            counts.update(dict.fromkeys(map(str, vote["sides"]), 0))
            counts[str(vote["winner"])] += 1
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return dict(counts)
