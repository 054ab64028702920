"""What stands in a file's place: Git LFS and git-annex pointers, named pipes, devices. Each is named, and never waited
for.
"""

from __future__ import annotations

import re
import stat
from pathlib import Path

from loratui.core.errors import DatasetError
from loratui.format import size

POINTER_BYTES = 1024
"""Pointers are smaller than this."""
LFS = b"version https://git-lfs.github.com/spec/"
ANNEX = re.compile(r"annex/objects/.*?(?:-s(\d+))?[-.\w]*--")


def require_file(path: Path) -> None:
    """DatasetError where a path is no file with content of its own."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        what = (
            "a named pipe"
            if stat.S_ISFIFO(mode)
            else "a device"
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
            else "a socket"
            if stat.S_ISSOCK(mode)
            else ""
        )
        words = f"this is {what}, not a file: rows are read more than once." if what else ""
        raise DatasetError(
            words or "this is neither a file nor a folder.", where=str(path), hint="Give a file with rows."
        )
    if path.stat().st_size >= POINTER_BYTES:
        return
    try:
        start = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"the file cannot be read: {error.strerror or error}.", where=str(path)) from error
    if start.startswith(LFS):
        found = re.search(rb"^size (\d+)\s*$", start, re.MULTILINE)
        of = f" of {size(int(found.group(1)))}" if found else ""
        raise DatasetError(
            f"this is a Git LFS pointer to a file{of}, not the file itself.",
            where=str(path),
            hint="Fetch it: git lfs pull",
        )
    if start[:1] in (b"/", b".") and (annexed := ANNEX.search(start.decode("utf-8", "replace"))):
        raise annex_error(path, annexed)


def require_no_annex_link(path: Path) -> None:
    """DatasetError where a path is a git-annex link whose file was not fetched."""
    if path.is_symlink() and (annexed := ANNEX.search(str(path.readlink()))):
        raise annex_error(path, annexed)


def annex_error(path: Path, found: re.Match[str]) -> DatasetError:
    """The sentence for a git-annex pointer."""
    of = f" of {size(int(found.group(1)))}" if found.group(1) else ""
    return DatasetError(
        f"this is a git-annex pointer to a file{of}, not the file itself.",
        where=str(path),
        hint=f"Fetch it: git annex get {path.name}",
    )
