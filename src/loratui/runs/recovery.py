"""Whether a run may mend itself unattended, and how often still: `auto-recover.json` in its directory."""

from __future__ import annotations

import json

from loratui.core.errors import RunError
from loratui.files import read_object, write_whole
from loratui.runs.directory import Run

NAME = "auto-recover.json"
TIMES = 3
"""How often a run may change its own plan before it waits for a person."""


def allow(run: Run, times: int = TIMES) -> None:
    """Let the run apply the first fix of a failure and go on, so many times. RunError where that cannot be written."""
    try:
        write_whole(run.path / NAME, json.dumps({"left": times}) + "\n")
    except OSError as error:
        raise RunError(f"it cannot be written: {error.strerror or error}.", where=str(run.path / NAME)) from error


def allowed(run: Run) -> bool:
    """Whether somebody let the run mend itself, however often it has since."""
    return (run.path / NAME).exists()


def left(run: Run) -> int:
    """How often it may still; 0 where it may not at all."""
    try:
        return max(0, int(read_object(run.path / NAME)["left"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return 0
