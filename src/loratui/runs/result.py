"""A run's result, the adapter or the whole model: whether it is as it was written.

The manifest in its folder is that of checkpoints, and every command that uses a result asks here first.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from loratui.core.errors import ModelError
from loratui.runs.checkpoints import Refused, damage, refused
from loratui.runs.directory import Run, step_of
from loratui.runs.manifest import MANIFEST, cannot_open, difference, read_manifest, sync, write_manifest
from loratui.runs.model_card import CARD, result_folder

NOT_LOADED = (".pt", ".pth", ".bin")
"""Endings of what a checkpoint holds beside the weights, which who asks it does not read."""


def seal_result(folder: Path, step: int) -> None:
    """Write a result's manifest, once the disk holds every file. Raises OSError.

    step: of the weights. The card is not listed: people write in it.
    """
    write_manifest(folder, step, without=(CARD,))
    sync(folder)


def damage_of(folder: Path) -> str:
    """Why a folder's weights must not be used, in a few words; "" where nothing speaks against it.

    Every byte is compared with the manifest, once for each state of a file in this process. Without a manifest (an
    older run's, somebody else's adapter) only what cannot be whole is known.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        if (folder / MANIFEST).exists() and Run(folder.parent).plan_path.is_file():
            return f"its {MANIFEST} cannot be read"  # elsewhere a file of this name may be anybody's
        for path in sorted(folder.glob("*.safetensors")):
            if reason := cannot_open(path, contents=False, links=True):
                return f"{path.name} {reason}"
        return ""
    files = {name: facts for name, facts in manifest.files.items() if not name.endswith(NOT_LOADED)}
    return difference(folder, manifest.model_copy(update={"files": files}), links=True)


def step_of_result(folder: Path) -> int:
    """The step whose weights a folder holds; 0 where nobody wrote it down."""
    manifest = read_manifest(folder)
    return manifest.step if manifest is not None else 0


@dataclass(frozen=True)
class LeftBehind:
    """A result that an earlier end of its run wrote, and beyond which the run was trained since.

    step: of its weights; 0 where nobody wrote it down. reached: the run's step now. checkpoint: the newest whole one,
    where it is of a later step. goes_on: a worker is at work, or one waits.
    """

    step: int
    reached: int
    checkpoint: Path | None
    goes_on: bool

    @property
    def words(self) -> str:
        """`of step 115; the run is at step 905`."""
        of = f"of step {self.step:,}" if self.step else "of an earlier end"
        return f"{of}; the run is at step {self.reached:,}"


def left_behind(run: Run) -> LeftBehind | None:
    """What is to be known of a result that is older than its run; None where it is the run's last word, or there is
    none. RunError, PlanError: as `run.plan()`.
    """
    folder, status = result_folder(run), run.status()
    if status.state == "finished" or not folder.is_dir():
        return None
    step, last = step_of_result(folder), run.last_checkpoint()
    reached = max(status.step, step_of(last) if last is not None else 0)
    if reached <= step:
        return None
    return LeftBehind(step, reached, last if last is not None and step_of(last) > step else None, not status.over)


def lost(run: Run) -> str:
    """Why the result of a finished run has to be written again, in a few words; "" where it is as it was written, or
    no checkpoint is left to write it from. RunError, PlanError: as `run.plan()`.
    """
    folder = result_folder(run)
    reason = damage_of(folder) if folder.is_dir() else "it is gone"
    return reason if reason and run.last_checkpoint() is not None else ""


def refused_to_answer(run: Run) -> list[Refused]:
    """Checkpoints that are newer than the newest one whose weights are whole, each with the reason; the weights are
    read, and of what is beside them only the names and sizes.
    """
    return refused(run.checkpoints_path, reason_of=lambda folder: damage(folder, contents=False) or damage_of(folder))


def unproven(folder: Path) -> str:
    """A sentence where a result is whole as far as it can be seen and carries no manifest; else ""."""
    return (
        ""
        if (folder / MANIFEST).exists()
        else f"{folder.name} has no {MANIFEST}: whether each bit is as it was written cannot be told."
    )


def require_undamaged(folder: Path) -> None:
    """Refuse weights that are not as they were written. ModelError says what is wrong, and what to do."""
    if reason := damage_of(folder):
        run = Run(folder.parent)
        mend = (
            f"`loratui resume {run.typed_anywhere}` writes it anew from the last checkpoint"
            if run.plan_path.is_file() and folder in (run.adapter_path, run.model_path) and run.last_checkpoint()
            else "Put it back from a copy"
        )
        meant = f"; if the change was meant, remove {MANIFEST} from the folder" if (folder / MANIFEST).exists() else ""
        raise ModelError(f"it is damaged: {reason}.", where=str(folder), hint=f"{mend}{meant}.")
