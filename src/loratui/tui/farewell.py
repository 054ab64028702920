"""What the terminal is told once the wizard has left it: what goes on without it, and where lies what was made."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from loratui.core.errors import LoratuiError
from loratui.format import one_line
from loratui.paths import home_short
from loratui.runs.directory import Run, step_of
from loratui.runs.model_card import result_folder
from loratui.runs.verdict import ruin_of

MOST = 3
"""Runs that are told of."""


def farewell(folders: Iterable[str], since: float) -> str:
    """A line for each of these runs that goes on, and for each that ended since then and made something; empty where
    none did. since: Unix seconds at which the wizard began. Reads a few small files.
    """
    lines = (_line(Run(Path(folder)), since) for folder in dict.fromkeys(folders) if folder)
    return "\n".join([line for line in lines if line][-MOST:])


def _line(run: Run, since: float) -> str:
    if not run.path.is_dir():
        return ""
    status, name, typed = run.status(), one_line(run.name, 100), one_line(run.typed, 400)
    if status.state == "queued":
        return f"{name} waits for its turn. Watch it with: loratui attach {typed}"
    if not status.over:
        return f"{name} goes on. Watch it with: loratui attach {typed}"
    if max(status.ended, status.heartbeat) < since:  # a worker that was lost told no end
        return ""
    try:
        if status.state == "finished":
            if (ruin := ruin_of(run, status)) is not None:
                return f"{name} is finished, but {ruin.word}. What would mend it: loratui runs findings {typed}"
            folder = result_folder(run)
            if folder.is_dir():
                made, place = "model" if folder == run.model_path else "adapter", one_line(home_short(folder), 400)
                return f"{name} is finished: its {made} is in {place}. Come back with: loratui attach {typed}"
    except LoratuiError:
        return ""  # a plan that cannot be read: every list says so, and nothing is known of what it made
    last = run.last_checkpoint()
    if last is None:
        return ""
    place = one_line(home_short(last), 400)
    return f"{name} is {status.state}: step {step_of(last):,} is in {place}. Go on with: loratui resume {typed}"
