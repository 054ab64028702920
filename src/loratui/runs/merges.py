"""How long merging a base has taken on this machine: each merge keeps its own time beside its proof."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from loratui.core.errors import LoratuiError
from loratui.files import read_object
from loratui.paths import runs_home
from loratui.runs.directory import MERGE_NOTE, Run
from loratui.runs.origin import is_foreign

OLDER = "of an older adapter"
"""What is told of a merge that does not hold the run's adapter as it is now."""


def measured_merge(base: str, quantization: str, seconds: float) -> dict[str, Any]:
    """What a merge keeps of its time. base and quantization: what the adapter was trained on; both decide the work."""
    return {
        "seconds": round(seconds, 1),
        "base": base,
        "quantization": quantization,
        "machine": platform.node(),
    }


def last_merge_seconds(run: Run, base: str, quantization: str) -> float | None:
    """Seconds of the newest merge onto this base on this machine, the run's own before others; None where none is
    known. A run that was made elsewhere says nothing of this machine. Reads a small file a merge.
    """
    notes = sorted(runs_home().glob(f"*/merged/{MERGE_NOTE}"), key=_changed, reverse=True)
    own = run.merged_path / MERGE_NOTE
    for note in (own, *(one for one in notes if one != own)):
        try:
            said = read_object(note)
        except (OSError, LoratuiError):
            continue
        seconds = said.get("seconds")
        here = measured_merge(base, quantization, 0.0)
        same = all(said.get(key) == here[key] for key in ("base", "quantization", "machine"))
        if same and isinstance(seconds, (int, float)) and seconds > 0 and not is_foreign(Run(note.parent.parent)):
            return float(seconds)
    return None


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
