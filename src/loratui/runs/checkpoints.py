"""Which checkpoints are whole: each carries a manifest of its files (size, SHA-256) and its step, written last.

Written before version 1 of the manifest, a checkpoint is checked as far as its files allow. Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
import struct
import zipfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from loratui.files import write_whole

MANIFEST = "manifest.json"
INCOMPLETE = "checkpoint-is-incomplete.txt"
"""Stands in a checkpoint while it is written; transformers' own name for it."""
STATE = "trainer_state.json"
ROTATED = ".rotated-"
"""First letters of a checkpoint's name while it is deleted to make room: half of one can never be taken for a whole."""
DAMAGED = "damaged"
"""First word of the names of checkpoints that were refused."""
LARGEST_DOCUMENT = 1 << 28
"""Bytes of JSON that are read at most."""
HASHING_THREADS = 4

Pending = Literal["", "evaluation"]
"""What was still to be done at the checkpoint's step when it was written."""


class FileFacts(BaseModel):
    """One file of a checkpoint."""

    model_config = ConfigDict(frozen=True)
    size: int
    """Bytes."""
    sha256: str


class Manifest(BaseModel):
    """`manifest.json` of a checkpoint; names are relative to its folder, with slashes."""

    model_config = ConfigDict(frozen=True)
    version: int = 1
    step: int
    pending: Pending = ""
    files: dict[str, FileFacts]


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
    """Wait until the disk holds every file, and write the manifest last; the files' size in bytes. Raises OSError.

    Hashes are taken while the disk writes, file beside file.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in (MANIFEST, INCOMPLETE)]
    with ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="seal") as pool:
        synced = [pool.submit(sync, path) for path in files]
        facts = list(pool.map(_facts, files))
        for one in synced:
            one.result()
    for place in {path.parent for path in files}:
        sync(place)
    manifest = Manifest(
        step=step,
        pending=pending,
        files={path.relative_to(folder).as_posix(): known for path, known in zip(files, facts, strict=True)},
    )
    write_whole(folder / MANIFEST, manifest.model_dump_json(indent=1) + "\n", durable=True)
    (folder / INCOMPLETE).unlink(missing_ok=True)
    sync(folder)
    sync(folder.parent)
    return sum(known.size for known in facts)


def sync_folder(folder: Path) -> None:
    """Wait until the disk holds every file of a folder, and their names."""
    for path in folder.rglob("*"):
        if path.is_file() or path.is_dir():
            sync(path)
    sync(folder)


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
    for name, facts in manifest.files.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            return f"its {MANIFEST} names a file outside of it"
        found = _regular_size(folder / name)
        if found is None:
            return f"{name} is {'no regular file' if os.path.lexists(folder / name) else 'missing'}"
        if found != facts.size:
            return f"{name} has {found:,} bytes instead of {facts.size:,}"
    if _state_step(folder) != step:
        return f"its {STATE} is not of step {step}"
    if contents:
        for name, facts in manifest.files.items():
            if _sha256(folder / name) != facts.sha256:
                return f"{name} is not what was written (its SHA-256 differs)"
    return ""


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a checkpoint; None where it has none that can be understood."""
    path = folder / MANIFEST
    size = _regular_size(path)
    if size is None or size > LARGEST_DOCUMENT:
        return None
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def pending(folder: Path) -> Pending:
    """What is still to be done at the checkpoint's step before the next one is made."""
    manifest = read_manifest(folder)
    return manifest.pending if manifest is not None else ""


def refused(place: Path, *, last: int | None = None) -> list[Refused]:
    """Checkpoints that are newer than the newest whole one, each with the reason, the newest first; every byte is read.

    last: those of later steps are not looked at. Half-written ones, which were never reported, are not told.
    """
    found = []
    for folder in sorted(_folders(place), key=step_of, reverse=True):
        if (last is not None and step_of(folder) > last) or (
            (folder / INCOMPLETE).exists() and not (folder / MANIFEST).exists()
        ):
            continue
        reason = damage(folder)
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
        if path.suffix in (".pt", ".pth", ".bin", ".safetensors") and (reason := _cannot_open(path, contents=contents)):
            return f"{path.name} {reason}"
    return ""


def _cannot_open(path: Path, *, contents: bool) -> str:
    size = _regular_size(path)
    if size is None:
        return "is no regular file"
    try:
        if path.suffix == ".safetensors":
            return "" if _safetensors_size(path) == size else "is cut off or torn"
        with zipfile.ZipFile(path) as archive:  # torch.save's format; each part has its checksum
            bad = archive.testzip() if contents else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, struct.error, zipfile.BadZipFile):
        return "cannot be opened"
    return "" if bad is None else "is damaged (a checksum differs)"


def _safetensors_size(path: Path) -> int:
    """Bytes that the file must have by its own header."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > LARGEST_DOCUMENT:
            raise ValueError("the header is too large")
        header = json.loads(file.read(length))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    return int(8 + length + max(ends, default=0))


def _state_step(folder: Path) -> int | None:
    """The step in `trainer_state.json`; None where it cannot be read."""
    path = folder / STATE
    size = _regular_size(path)
    if size is None or size > LARGEST_DOCUMENT:
        return None
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    step = state.get("global_step") if isinstance(state, dict) else None
    return step if isinstance(step, int) else None


def _regular_size(path: Path) -> int | None:
    """Bytes of a regular file; None for links, pipes and what is not there."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _facts(path: Path) -> FileFacts:
    return FileFacts(size=path.stat().st_size, sha256=_sha256(path))


_known: dict[tuple[int, int, int, int], str] = {}
"""SHA-256 by device, inode, size and time of change."""


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            key = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
            if key not in _known:
                _known[key] = hashlib.file_digest(file, "sha256").hexdigest()
            return _known[key]
    except OSError:
        return ""


def sync(path: Path) -> None:
    """Wait until the disk holds a file, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
