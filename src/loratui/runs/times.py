"""How long a run took: two kinds of time, each with one word wherever it is told.

"24 steps in 7 s" is the training itself: from before its first step until after its last, with the evaluations and
checkpoints between them. "13 s in all" is a worker's whole time: loading, reading and writing the result too, but no
pause between two workers.
"""

from __future__ import annotations

from loratui.format import duration
from loratui.runs.events import Finished

IN_ALL = "in all"


def steps_words(event: Finished) -> str:
    """`100 steps in 14 s`; where a worker took over in between, how many of them that time is for, if any."""
    taken = duration(event.seconds)
    if not event.begun_at:
        return f"{event.step:,} steps in {taken}"
    if event.step == event.begun_at:  # stopped after its last step: only the end was left
        return f"{event.step:,} steps"
    return f"{event.step:,} steps, the last {event.step - event.begun_at:,} of them in {taken}"


def ended_words(event: Finished) -> str:
    """`100 steps in 14 s, 20 s in all`; the whole time only where one worker made all of them, and told it."""
    words = steps_words(event)
    if event.worker_seconds is None or event.begun_at:
        return words
    return f"{words}, {duration(event.worker_seconds)} {IN_ALL}"
