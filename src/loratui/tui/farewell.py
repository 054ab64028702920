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
    """A few lines for each of these runs that goes on, and for each that ended since then and made something; empty
    where none did. since: Unix seconds at which the wizard began. Reads a few small files.
    """
    told = (_told(Run(Path(folder)), since) for folder in dict.fromkeys(folders) if folder)
    return "\n".join([words for words in told if words][-MOST:])


def _told(run: Run, since: float) -> str:
    """What is said of a run; each path and each command stands on a line of its own, so that it can be copied."""
    if not run.path.is_dir():
        return ""
    status, name, typed = run.status(), one_line(run.name, 100), one_line(run.typed, 400)
    if status.state == "queued":
        return _below(f"{name} waits for its turn. Watch it with:", f"loratui attach {typed}")
    if not status.over:
        return _below(f"{name} goes on. Watch it with:", f"loratui attach {typed}")
    if max(status.ended, status.heartbeat) < since:  # a worker that was lost told no end
        return ""
    try:
        if status.state == "finished":
            if (ruin := ruin_of(run, status)) is not None:
                return _below(
                    f"{name} is finished, but {ruin.word}. What would mend it:", f"loratui runs findings {typed}"
                )
            folder = result_folder(run)
            if folder.is_dir():
                made = "model" if folder == run.model_path else "adapter"
                lines = [f"{name} is finished. Its {made} is in:", _place(folder)]
                if folder == run.adapter_path and run.merged_is_current:
                    lines += ["Merged into its base, it is in:", _place(run.merged_path)]
                return _below(*lines, "Come back with:", f"loratui attach {typed}")
    except LoratuiError:
        return ""  # a plan that cannot be read: every list says so, and nothing is known of what it made
    last = run.last_checkpoint()
    if last is None:
        return ""
    step = f"{name} is {status.state}. Step {step_of(last):,} is in:"
    return _below(step, _place(last), "Go on with:", f"loratui resume {typed}")


def _below(*lines: str) -> str:
    """Words, and below each what they lead to, set in by two columns."""
    return "\n".join(f"  {line}" if place % 2 else line for place, line in enumerate(lines))


def _place(folder: Path) -> str:
    return one_line(home_short(folder), 400)
