"""Which checkpoints are whole: each carries a manifest of its files (size, SHA-256) and its step, written last.

Written before version 1 of the manifest, a checkpoint is checked as far as its files allow. Nothing here needs torch.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from loratui.runs.manifest import (
    LARGEST_DOCUMENT,
    MANIFEST,
    Pending,
    cannot_open,
    difference,
    read_manifest,
    regular_size,
    sync,
    write_manifest,
)

INCOMPLETE = "checkpoint-is-incomplete.txt"
"""Stands in a checkpoint while it is written; transformers' own name for it."""
STATE = "trainer_state.json"
ROTATED = ".rotated-"
"""First letters of a checkpoint's name while it is deleted to make room: half of one can never be taken for a whole."""
DAMAGED = "damaged"
"""First word of the names of checkpoints that were refused."""


@dataclass(frozen=True)
class Refused:
    """A checkpoint that must not be gone on from, and why, in a few words."""

    folder: Path
    reason: str

    @property
    def sentence(self) -> str:
        return f"{self.folder.name} is refused: {self.reason}."


def step_of(checkpoint: Path) -> int:
    """The step that a checkpoint's folder, set aside or not, is of: the first number in its name."""
    numbers = [part for part in checkpoint.name.split("-") if part.isdigit()]
    return int(numbers[0]) if numbers else 0


# ── writing ──────────────────────────────────────────────────────────────────


def begin(folder: Path) -> None:
    """Mark a folder as a checkpoint that is not whole yet. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        (folder / INCOMPLETE).touch()
    except OSError:
        if not any(folder.iterdir()):
            folder.rmdir()
        raise
    (folder / MANIFEST).unlink(missing_ok=True)


def seal(folder: Path, step: int, *, pending: Pending = "") -> int:
    """Write the manifest last, once the disk holds every file; the files' size in bytes. Raises OSError."""
    size_bytes = write_manifest(folder, step, pending=pending, without=(INCOMPLETE,))
    (folder / INCOMPLETE).unlink(missing_ok=True)
    sync(folder)
    sync(folder.parent)
    return size_bytes


def rotate(place: Path, keep: int, *, protected: Sequence[Path] = ()) -> None:
    """Delete the oldest checkpoints until `keep` are left; never the newest, nor a protected one."""
    found = sorted((one for one in _folders(place) if not one.is_symlink()), key=step_of)
    kept = {one.resolve() for one in protected} | {one.resolve() for one in found[-1:]}
    loose = [one for one in found if one.resolve() not in kept]
    for folder in loose[: max(0, len(found) - max(keep, len(kept)))]:
        delete(folder)


def delete(folder: Path) -> None:
    """Delete a checkpoint: it counts no more from the first moment on."""
    gone = folder.rename(folder.with_name(f"{ROTATED}{folder.name}-{os.getpid()}"))
    shutil.rmtree(gone, ignore_errors=True)


def remove_unfinished(place: Path) -> list[Path]:
    """Delete what a killed worker left half written or half deleted; those checkpoints that were half written."""
    for folder in place.glob(f"{ROTATED}*"):
        shutil.rmtree(folder, ignore_errors=True)
    broken = [one for one in _folders(place) if (one / INCOMPLETE).exists() and not (one / MANIFEST).exists()]
    for folder in broken:
        if not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)
    return broken


# ── reading ──────────────────────────────────────────────────────────────────


def is_whole(folder: Path) -> bool:
    """Whether a checkpoint was written to its end and not half deleted since, as far as names and sizes tell.

    One of before the manifests: its last file is complete JSON.
    """
    if (folder / MANIFEST).exists():
        return not damage(folder, contents=False)
    return (
        not (folder / INCOMPLETE).exists() and (folder / "scheduler.pt").is_file() and _state_step(folder) is not None
    )


def damage(folder: Path, *, contents: bool = True) -> str:
    """Why a checkpoint must not be gone on from, in a few words; "" where nothing speaks against it.

    contents: read and compare every byte, which takes about a second for two gigabytes. What was read and has not been
    touched since is not read again by this process.
    """
    manifest = read_manifest(folder)
    if manifest is None and (folder / MANIFEST).exists():
        return f"its {MANIFEST} cannot be read"
    if manifest is None:
        return _damage_without_manifest(folder, contents=contents)
    step = step_of(folder)
    if manifest.step != step:
        return f"its {MANIFEST} is of step {manifest.step}"
    if reason := difference(folder, manifest, contents=False):
        return reason
    if _state_step(folder) != step:
        return f"its {STATE} is not of step {step}"
    return difference(folder, manifest) if contents else ""


def pending(folder: Path) -> Pending:
    """What is still to be done at the checkpoint's step before the next one is made."""
    manifest = read_manifest(folder)
    return manifest.pending if manifest is not None else ""


def refused(place: Path, *, last: int | None = None, reason_of: Callable[[Path], str] | None = None) -> list[Refused]:
    """Checkpoints that are newer than the newest whole one, each with the reason, the newest first; every byte is read.

    last: those of later steps are not looked at. reason_of: what is asked instead of `damage`. Half-written ones, which
    were never reported, are not told.
    """
    found = []
    for folder in sorted(_folders(place), key=step_of, reverse=True):
        if (last is not None and step_of(folder) > last) or (
            (folder / INCOMPLETE).exists() and not (folder / MANIFEST).exists()
        ):
            continue
        reason = (reason_of or damage)(folder)
        if not reason:
            break
        found.append(Refused(folder, reason))
    return found


# ── parts ────────────────────────────────────────────────────────────────────


def _folders(place: Path) -> Iterator[Path]:
    """Everything that is named as a checkpoint."""
    for folder in place.glob("checkpoint-*"):
        if folder.name.removeprefix("checkpoint-").isdigit() and folder.is_dir():
            yield folder


def _damage_without_manifest(folder: Path, *, contents: bool) -> str:
    """As far as it can be seen: files that must be there, what opens them, and the step."""
    if (folder / INCOMPLETE).exists():
        return "it was not written to its end"
    step = _state_step(folder)
    if step is None:
        return f"its {STATE} cannot be read"
    if step != step_of(folder):
        return f"its {STATE} is of step {step}"
    for what, names in (
        ("scheduler.pt", ("scheduler.pt",)),
        ("the optimizer's state", ("optimizer.pt", "optimizer.bin")),
        ("the state of chance", ("rng_state.pth", "rng_state_0.pth")),
        (
            "weights",
            (
                "adapter_model.safetensors",
                "model.safetensors",
                "model.safetensors.index.json",
                "pytorch_model_fsdp.bin",
            ),
        ),
    ):
        if not any((folder / name).exists() for name in names):
            return f"{what} {'are' if what == 'weights' else 'is'} missing"
    for path in sorted(folder.iterdir()):
        if path.suffix in (".pt", ".pth", ".bin", ".safetensors") and (reason := cannot_open(path, contents=contents)):
            return f"{path.name} {reason}"
    return ""


def _state_step(folder: Path) -> int | None:
    """The step in `trainer_state.json`; None where it cannot be read."""
    path = folder / STATE
    size = regular_size(path)
    if size is None or size > LARGEST_DOCUMENT:
        return None
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    step = state.get("global_step") if isinstance(state, dict) else None
    return step if isinstance(step, int) else None
