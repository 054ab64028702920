"""Putting a run's result where it belongs: whole or not at all, and never lost to what stands in its place."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loratui.core.errors import WorkerError
from loratui.runs.checkpoints import DAMAGED
from loratui.runs.manifest import sync
from loratui.runs.result import damage_of, seal_result
from loratui.worker.training.journal import Journal

log = logging.getLogger("loratui")


def require_place(target: Path) -> None:
    """Refuse a result's place that a link or a file holds, before anything is trained. Raises WorkerError."""
    if target.is_symlink():
        raise WorkerError(
            f"{target.name} is a link to {target.readlink()}, and a result is not written through a link.",
            hint=f"Remove the link {target.name} from the run's directory (its target stays), and resume the run.",
        )
    if target.exists() and not target.is_dir():
        raise WorkerError(
            f"{target.name} is a file, where the result's folder has to be.",
            hint="Move it out of the run's directory, and resume the run.",
        )


@contextmanager
def whole_folder(target: Path, step: int) -> Iterator[Path]:
    """A fresh folder beside `target` to write the result into; at the end the disk holds all of it, and the manifest.

    step: of the weights.
    """
    fresh = _beside(target, "new")
    shutil.rmtree(fresh, ignore_errors=True)
    yield fresh
    seal_result(fresh, step)


def put_in_place(fresh: Path, target: Path, journal: Journal, step: int) -> Path:
    """Give a whole result its name, and the one from before up only then; where it lies now.

    One from before that is damaged, or was changed by hand, is kept under another name. Where something stands in its
    place that is no result, the new one gets another name, and an event says which.
    """
    old = _beside(target, "old")
    try:
        require_place(target)
        shutil.rmtree(old, ignore_errors=True)
        if target.exists() and damage_of(target):
            target.rename(_free(target.with_name(f"{DAMAGED}-{target.name}")))
        elif target.exists():
            target.rename(old)
        fresh.rename(target)
    except (WorkerError, OSError) as error:
        placed = fresh.rename(_free(target))
        journal.emit(
            "finding",
            finding="result-elsewhere",
            severity="warning",
            step=step,
            message=f"The result lies in {placed.name}, since {target.name} could not be written: {error}",
        )
        target = placed
    sync(target.parent)
    shutil.rmtree(old, ignore_errors=True)
    return target


def drop_unfinished(target: Path) -> None:
    """Give back the space of a result that was not written to its end."""
    shutil.rmtree(_beside(target, "new"), ignore_errors=True)


def _beside(target: Path, word: str) -> Path:
    return target.with_name(f".{target.name}.{word}")


def _free(target: Path) -> Path:
    """The path with the first number that is not taken."""
    number = 1
    while (place := target.with_name(f"{target.name}-{number}")).exists() or place.is_symlink():
        number += 1
    return place
