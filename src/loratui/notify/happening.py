"""What there is to tell of a run: that it ended, and how; or that it waits for a person."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from loratui.format import one_line, sentence
from loratui.runs.directory import Run
from loratui.runs.events import Finished
from loratui.runs.failure import SPOILT, trouble_of
from loratui.runs.history import since_last_start
from loratui.runs.stall import stall_words
from loratui.runs.status import Status
from loratui.runs.times import ended_words
from loratui.runs.verdict import ruin_of, worse_than_base
from loratui.runs.waiting import held_reason
from loratui.settings import Kind

LONGEST = 600


@dataclass(frozen=True)
class Happening:
    """One thing that people are told once. start: when the worker began that it is about, in Unix seconds.

    title, message: harmless text on one line each, whatever the run's files say.
    """

    kind: Kind
    run: str
    title: str
    message: str
    start: float
    command: str = ""
    """What one may type then."""

    @property
    def mark(self) -> str:
        """What tells it from every other of the same run."""
        return f"{self.kind}@{self.start:.3f}"

    def as_json(self) -> dict[str, Any]:
        """The object that a program reads on its input, and a webhook in the form `json`."""
        return {
            "event": self.kind,
            "run": self.run,
            "title": self.title,
            "message": self.message,
            "command": self.command,
            "host": one_line(socket.gethostname(), 100),
        }


def happening_of(run: Run, status: Status) -> Happening | None:
    """What there is to tell now; None while it simply goes on. Reads the run's events where it is over."""
    name = one_line(run.name, 80)
    start = status.started or status.created
    typed = one_line(run.typed_anywhere, 200)

    def told(kind: Kind, words: str, message: str, command: str) -> Happening:
        return Happening(kind, name, f"{name} {words}", one_line(message, LONGEST), start, command)

    findings = f"loratui runs findings {typed}"
    match status.state:
        case "finished":
            if (ruin := ruin_of(run, status)) is not None:
                return told("diverged", f"finished, but {ruin.word}", ruin.message, findings)
            worse = worse_than_base(run, status)
            words = "finished, but is worse than its base" if worse else "finished"
            message = worse.message if worse else _summary(run, status)
            return told("finished", words, message, findings if worse else f"loratui chat {typed}")
        case "failed":
            trouble = trouble_of(since_last_start(run.events_path))
            if trouble is not None and trouble.reason in SPOILT:
                return told("diverged", "diverged", status.message, findings)
            return told("failed", "failed", status.message, findings)
        case "queued" if why := held_reason(run.place):
            return told("waits", "waits for you", f"It could not be started: {why}", f"loratui queue release {typed}")
        case "lost":
            return told("lost", "is lost", status.message, f"loratui resume {typed}")
        case "stopped":
            trouble = trouble_of(since_last_start(run.events_path))
            if trouble is not None and trouble.reason == "disk-full":
                return told("waits", "waits for you", status.message, f"loratui resume {typed}")
            at = f"At step {status.step:,} of {status.total:,}." if status.total else ""
            why = sentence(status.message)
            return told("stopped", "was stopped", f"{at} {why}".strip(), f"loratui resume {typed}")
    if stall := stall_words(status):
        return told("waits", "waits for you", stall, f"loratui attach {typed}")
    return None


def _summary(run: Run, status: Status) -> str:
    ended = None
    for event in since_last_start(run.events_path):
        ended = event if isinstance(event, Finished) else ended
    if ended is None:
        return f"{status.step:,} steps."
    parts = [ended_words(ended)]
    if ended.eval_loss is not None:
        parts.append(f"held-out loss {ended.eval_loss:.4f}")
    elif ended.loss is not None:
        parts.append(f"loss {ended.loss:.4f}")
    return ", ".join(parts) + "."
