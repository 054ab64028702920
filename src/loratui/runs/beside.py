"""Processes beside a run, which only read its files: no training waits for one, and none outlives its work."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from loratui.files import open_own
from loratui.format import one_line
from loratui.runs.directory import Run

LOG = "beside.log"
"""What they have to say, in the run's directory."""


def start_beside(run: Run, module: str, *arguments: str) -> None:
    """Start `python -m MODULE ARGUMENTS…` in a session of its own, its words in the run's `beside.log`."""
    try:
        with os.fdopen(_log(run), "ab") as log:
            subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                close_fds=True,
                cwd="/",
            )
    except OSError as error:
        note_beside(run, f"{module} cannot be started: {error.strerror or error}")


def note_beside(run: Run, sentence: str) -> None:
    """Keep a sentence in that log; where it cannot be kept, the run goes on without."""
    try:
        with os.fdopen(_log(run), "a", encoding="utf-8") as log:
            log.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {one_line(sentence, 500)}\n")
    except OSError:
        return


def _log(run: Run) -> int:
    return open_own(run.path / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
