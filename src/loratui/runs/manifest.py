"""The manifest of a folder: every file's size and digest, written last; and whether the files are still those.

Checkpoints and results carry one with SHA-256; stored tokens, which are only made anew where they are damaged, one with
XXH3, which takes a quarter of the time. Nothing here needs torch.
"""

from __future__ import annotations

import hashlib
import os
import stat
import zipfile
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import xxhash
from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from loratui.files import read_safetensors_header, write_whole

MANIFEST = "manifest.json"
LARGEST_DOCUMENT = 1 << 28
"""Bytes of JSON that are read at most."""
HASHING_THREADS = 4

Digest = Literal["sha256", "xxh3_128"]
DIGESTS: dict[Digest, tuple[str, Callable[[], Any]]] = {
    "sha256": ("SHA-256", hashlib.sha256),
    "xxh3_128": ("XXH3", xxhash.xxh3_128),
}
"""Name for people, and what computes it. Either finds damage; only SHA-256 also tells whose file it is."""

Pending = Literal["", "evaluation"]
"""What was still to be done at a checkpoint's step when it was written."""


class FileFacts(BaseModel):
    """One file of a folder."""

    model_config = ConfigDict(frozen=True)
    size: int
    """Bytes."""
    sha256: str | None = None
    xxh3_128: str | None = None

    @model_validator(mode="after")
    def _has_one(self) -> FileFacts:
        if (self.sha256 is None) == (self.xxh3_128 is None):
            raise ValueError("a file has one digest")
        return self

    @property
    def digest(self) -> tuple[Digest, str]:
        """Which one it is, and what it was."""
        return ("sha256", self.sha256) if self.sha256 is not None else ("xxh3_128", self.xxh3_128 or "")


class Manifest(BaseModel):
    """`manifest.json` of a checkpoint or a result; names are relative to its folder, with slashes."""

    model_config = ConfigDict(frozen=True)
    version: int = 1
    step: int
    """Of the weights."""
    pending: Pending = ""
    files: dict[str, FileFacts]


def write_manifest(
    folder: Path, step: int, *, pending: Pending = "", without: Collection[str] = (), digest: Digest = "sha256"
) -> int:
    """Wait until the disk holds every file, and write the manifest last; the files' size in bytes. Raises OSError.

    Hashes are taken while the disk writes, file beside file. without: names that may change or go afterwards.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != MANIFEST]
    listed = [path for path in files if path.name not in without]
    with ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="manifest") as pool:
        synced = [pool.submit(sync, path) for path in files]
        facts = list(pool.map(partial(_facts, digest), listed))
        for one in synced:
            one.result()
    for place in {path.parent for path in files}:
        sync(place)
    manifest = Manifest(
        step=step,
        pending=pending,
        files={path.relative_to(folder).as_posix(): known for path, known in zip(listed, facts, strict=True)},
    )
    write_whole(folder / MANIFEST, manifest.model_dump_json(indent=1, exclude_none=True) + "\n", durable=True)
    return sum(known.size for known in facts)


def read_manifest(folder: Path) -> Manifest | None:
    """The manifest of a folder; None where it has none that can be understood."""
    path = folder / MANIFEST
    size = regular_size(path)
    if size is None or size > LARGEST_DOCUMENT:
        return None
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def difference(folder: Path, manifest: Manifest, *, contents: bool = True, links: bool = False) -> str:
    """In what a folder is not as its manifest says, in a few words; "" where it is.

    contents: read and compare every byte, file beside file, which takes about a second for two gigabytes of one file.
    What was read and has not been touched since is not read again by this process. links: files may be reached by one.
    """
    for name, facts in manifest.files.items():
        if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts:
            return f"its {MANIFEST} names a file outside of it"
        found = regular_size(folder / name, links=links)
        if found is None:
            return f"{name} is {'no regular file' if os.path.lexists(folder / name) else 'missing'}"
        if found != facts.size:
            return f"{name} has {found:,} bytes instead of {facts.size:,}"
    if not contents:
        return ""
    names = list(manifest.files)
    wanted = [manifest.files[name].digest for name in names]
    with ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="manifest") as pool:
        found_now = pool.map(_digest, (kind for kind, _ in wanted), (folder / name for name in names))
        for name, (kind, value), now in zip(names, wanted, found_now, strict=True):
            if now != value:
                pool.shutdown(cancel_futures=True)
                return f"{name} is not what was written (its {DIGESTS[kind][0]} differs)"
    return ""


def cannot_open(path: Path, *, contents: bool, links: bool = False) -> str:
    """Why a file of weights or states is no whole one, in a few words, as far as its own format tells; else ""."""
    size = regular_size(path, links=links)
    if size is None:
        return "is no regular file"
    try:
        if path.suffix == ".safetensors":
            return "" if _safetensors_size(path) == size else "is cut off or torn"
        with zipfile.ZipFile(path) as archive:  # torch.save's format; each part has its checksum
            bad = archive.testzip() if contents else None
    except (OSError, ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile):
        return "cannot be opened"
    return "" if bad is None else "is damaged (a checksum differs)"


def regular_size(path: Path, *, links: bool = False) -> int | None:
    """Bytes of a regular file; None for pipes, what is not there, and (unless `links`) links."""
    try:
        found = path.stat() if links else path.lstat()
    except (OSError, ValueError):  # ValueError: a name with a null character
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def sync(path: Path) -> None:
    """Wait until the disk holds a file, or a folder's names."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _safetensors_size(path: Path) -> int:
    """Bytes that the file must have by its own header."""
    header, begin = read_safetensors_header(path, limit_bytes=LARGEST_DOCUMENT)
    return int(begin + max((entry["data_offsets"][1] for entry in header.values()), default=0))


def _facts(digest: Digest, path: Path) -> FileFacts:
    return FileFacts.model_validate({"size": path.stat().st_size, digest: _digest(digest, path)})


_known: dict[tuple[Digest, int, int, int, int], str] = {}
"""Digests by kind, device, inode, size and time of change."""


def _digest(kind: Digest, path: Path) -> str:
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            key = (kind, facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns)
            if key not in _known:
                _known[key] = hashlib.file_digest(file, DIGESTS[kind][1]).hexdigest()
            return _known[key]
    except OSError:
        return ""
