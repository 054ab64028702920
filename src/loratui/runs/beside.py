"""Processes beside a run, which only read its files: no training waits for one, and none outlives its work."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence

from loratui.child_process import start_detached
from loratui.files import make_folder, open_own, read_object, write_whole
from loratui.format import one_line
from loratui.runs.directory import Run

LIVE = "trackers/live.json"
LOG = "beside.log"
"""What they have to say, in the run's directory."""


def start_beside(run: Run, module: str, *arguments: str) -> None:
    """Start `python -m MODULE ARGUMENTS…` in a session of its own, its words in the run's `beside.log`."""
    try:
        with os.fdopen(_log(run), "ab") as log:
            start_detached([sys.executable, "-m", module, *arguments], log)
    except OSError as error:
        note_beside(run, f"{module} cannot be started: {error.strerror or error}")


def track(run: Run, names: Sequence[str]) -> None:
    """Let these trackers follow the run from its next start on. Raises OSError."""
    if names:
        make_folder(run.path / "trackers")
        write_whole(run.path / LIVE, json.dumps({"live": list(names)}) + "\n")


def tracked(run: Run) -> list[str]:
    """The trackers that somebody named for this run."""
    try:
        found = read_object(run.path / LIVE).get("live", [])
    except OSError:
        return []
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []


def note_beside(run: Run, sentence: str) -> None:
    """Keep a sentence in that log; where it cannot be kept, the run goes on without."""
    try:
        with os.fdopen(_log(run), "a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {one_line(sentence, 500)}\n")
    except OSError:
        return


def _log(run: Run) -> int:
    return open_own(run.path / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
