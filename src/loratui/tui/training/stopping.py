"""What stopping a run now will do to it, told before it is agreed to: what is saved, and from where it can go on."""

from __future__ import annotations

from typing import NamedTuple

from loratui.runs.directory import step_of
from loratui.tui.keys import RUN
from loratui.tui.training.follow import Followed

BEFORE_STEPS = frozenset({"queued", "starting", "rehearsing"})
"""States in which this worker has made no step yet."""


class Stopping(NamedTuple):
    """The question. sentence: what will happen. yes: the answer that does it. begun: what is said once it was asked."""

    sentence: str
    yes: str
    begun: str


def stopping(followed: Followed) -> Stopping:
    """The question for the state in which the run is. Looks for its checkpoints: a few file names."""
    status, key = followed.status, RUN["resume"]
    first = status.state == "evaluating" and followed.record.step is None  # of what it begins with
    if status.phase == "export":
        words = "It has made its last step and writes its result: it finishes, whatever is asked of it now."
        return Stopping(words, "ask it all the same", "It was asked to stop, and finishes …")
    if status.state not in BEFORE_STEPS and not first:
        words = "The worker finishes the step in hand, saves a checkpoint and stops."
        return Stopping(f"{words} {key} resumes from there at any time.", "stop and save", "Stopping after this step …")
    last = followed.run.last_checkpoint()
    left = (
        f"What was saved stays: {key} resumes from step {step_of(last):,}."
        if last
        else f"No step was made, so there is no checkpoint: it stays in the list as stopped, and {key} starts it again."
    )
    if status.state == "queued":
        return Stopping(f"It is taken out of the queue. {left}", "take it out", "It is taken out of the queue …")
    race = "Should a step be made before you answer, it is saved first."
    return Stopping(f"It stops at once. {left} {race}", "stop it", "Stopping …")
