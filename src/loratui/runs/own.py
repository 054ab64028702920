"""A run's files are its own: nothing of it is written, renamed or deleted through a link that leads elsewhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from loratui.core.errors import RunError
from loratui.files import kind_words
from loratui.runs.directory import Run

FILES = frozenset(
    {
        "plan.toml",
        "machine.json",
        "status.json",
        "events.jsonl",
        "worker.log",
        "fingerprint.json",
        "proposed.json",
        "first_weights.json",
        "left_out.jsonl",
        "votes.jsonl",
        "auto-recover.json",
        "origin.json",
        "jobs.json",
        "job.sh",
        "run.lock",
        ".resume.lock",
        ".told.lock",
        "told.json",
        "beside.log",
    }
)
FOLDERS = frozenset({"checkpoints", "evaluations", "merged", "trackers", ".rehearsal"})
"""`adapter` and `model` are not among them: the result is written beside them and takes their place."""


def require_own(run: Run) -> None:
    """Refuse a run in which something that a worker writes or deletes is a link, or no file or folder. RunError names
    it. The run's directory itself may be reached by a link.
    """
    try:
        for path in sorted(_written(run.path)):
            mode = path.lstat().st_mode
            folder = path.name in FOLDERS or path.name.startswith("earlier")
            if stat.S_ISLNK(mode):
                raise RunError(
                    f"run {run.name} is not gone on with: {_name(run, path)} is a link to {path.readlink()}.",
                    where=str(run.place),
                    hint="What the run writes must lie in its own directory: put the thing itself in the link's place.",
                )
            if path.parent == run.path and not (stat.S_ISDIR(mode) if folder else stat.S_ISREG(mode)):
                what = "a directory" if folder else "a file"
                raise RunError(
                    f"run {run.name} is not gone on with: {_name(run, path)} is {kind_words(mode)}, not {what}.",
                    where=str(run.place),
                    hint="Put back from a copy what was there, or move it away.",
                )
    except OSError as error:
        raise RunError(
            f"run {run.name} cannot be looked through: {error.strerror or error}.",
            where=str(error.filename or run.place),
        ) from None


def _written(path: Path) -> list[Path]:
    """What lies there of all that a worker or a change of the plan may write, rename or delete."""
    found = []
    for entry in os.scandir(path):
        name = entry.name
        kept = name.startswith(("earlier", ".ending-")) or (name.startswith("plan.") and name.endswith(".toml"))
        if name in FILES or name in FOLDERS or kept:
            found.append(path / name)
        if name == "checkpoints" and entry.is_dir(follow_symlinks=False):
            found += [path / name / inner.name for inner in os.scandir(path / name)]
    return found


def _name(run: Run, path: Path) -> str:
    return str(path.relative_to(run.path))
