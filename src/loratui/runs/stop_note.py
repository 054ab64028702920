"""Who asked a run to stop: noted in its folder before the signal goes out, and read by the worker that hears it.

A signal alone does not say whether a person or the machine wants the end.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from loratui.files import read_object, write_whole
from loratui.format import one_line
from loratui.runs.status import Moment, Status

log = logging.getLogger("loratui")
Asker = Literal["wizard", "command", "fix", "experiment"]
STOPPED: dict[Asker, str] = {
    "wizard": "you stopped it in the wizard",
    "command": "you stopped it with `loratui stop`",
    "fix": "you stopped it to change its plan",
    "experiment": "its experiment stopped it",
}
"""What is told of a run that each of them stopped."""
UNQUEUED: dict[Asker, str] = {
    **dict.fromkeys(get_args(Asker), "you took it out of the queue"),
    "experiment": "its experiment took it out of the queue",
}
"""The same of one that waited."""
SIGNAL, SCHEDULER = "signal", "scheduler"
"""Who asked where nobody noted it: whoever sent the signal from outside, or the scheduler whose job ends."""


class _Note(BaseModel):
    model_config = ConfigDict(frozen=True)

    by: Asker
    created: Moment
    """That of the status which was to be stopped: a later start of the run has another."""


def note_path(folder: Path) -> Path:
    """Where it is noted."""
    return folder / "stop.json"


def note(folder: Path, status: Status, by: Asker) -> None:
    """Note who asks a run of this status to stop. A note that cannot be written holds no stop up: it is told as that
    of a signal then.
    """
    try:
        write_whole(note_path(folder), json.dumps({"by": by, "created": status.created}) + "\n")
    except OSError as error:
        log.warning("who asked for the stop cannot be noted: %s", one_line(str(error), 200))


def who_asked(folder: Path, created: float) -> Asker | None:
    """Who asked the start of the run that has this `created` to stop; None where nobody noted it."""
    try:
        found = _Note.model_validate(read_object(note_path(folder)))
    except (OSError, ValidationError):
        return None
    return found.by if found.created == created else None


def stopped_words(by: str, signal_name: str) -> str:
    """Why a run stops, for people. by: an Asker, or SIGNAL."""
    known = next((words for asker, words in STOPPED.items() if asker == by), "")
    return known or f"a signal from outside stopped it ({signal_name})"
