"""The states of a run, by name: for whoever asks only for their names, and must not wait for what reads a status."""

from __future__ import annotations

from typing import Literal

State = Literal[
    "queued",
    "starting",
    "rehearsing",
    "running",
    "evaluating",
    "saving",
    "stopping",
    "finished",
    "stopped",
    "failed",
    "lost",
]
ENDED: frozenset[str] = frozenset({"finished", "stopped", "failed", "lost"})
UNTIL_WORDS = "it was to be trained until step"
"""How a worker says that it stopped where it was told to beforehand, and nobody stopped it."""


def stopped_by_person(state: str, message: str) -> bool:
    """Whether a run of this state and message was stopped by somebody, and not where it was to stop."""
    return state == "stopped" and not message.startswith(UNTIL_WORDS)
