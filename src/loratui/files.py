"""Files of our own, read and written safely: whole or not at all, as private as their folder, and never a pipe, a
device or a link where a file should be.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import threading
from pathlib import Path
from typing import IO, Any

DOCUMENT_LIMIT_BYTES = 16 << 20
"""More than this no status, plan, draft or other document of ours has."""
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class FileFaultError(OSError):
    """A file that cannot be used: `strerror` says why in a few words, `filename` which."""

    def __init__(self, why: str, path: Path) -> None:
        super().__init__(errno.EINVAL, why, str(path))


def open_regular(path: Path) -> IO[bytes]:
    """A regular file, open for reading. Never waits: a named pipe, a device or a directory raises FileFaultError.

    Raises OSError as `open` does.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        found = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(found):
            raise FileFaultError(f"it is {kind_words(found)}, not a file", path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def open_own(path: Path, flags: int) -> int:
    """A descriptor to write a file of our own by, made as private as its folder where it is not there. A link, a pipe
    or a device is not written through: FileFaultError. Raises OSError as `os.open` does.
    """
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, _mode_in(path.parent))
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileFaultError(f"it is a link to {path.readlink()}", path) from None
        if error.errno == errno.ENXIO:
            raise FileFaultError("it is a named pipe, not a file", path) from None
        raise
    if not stat.S_ISREG(found := os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileFaultError(f"it is {kind_words(found)}, not a file", path)
    return descriptor


def read_document(path: Path, *, limit_bytes: int = DOCUMENT_LIMIT_BYTES) -> str:
    """A small text file, whole. FileFaultError where it is no file, too large or not UTF-8; OSError as `open` does."""
    with open_regular(path) as file:
        data = file.read(limit_bytes + 1)
    if len(data) > limit_bytes:
        raise FileFaultError(f"it has more than {limit_bytes >> 20} MiB", path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise FileFaultError(f"it is not UTF-8 text: byte {data[error.start]:#04x} in line {line}", path) from None


def read_object(path: Path, *, limit_bytes: int = DOCUMENT_LIMIT_BYTES) -> dict[str, Any]:
    """The JSON object of a file. FileFaultError where it holds none; else as `read_document` raises."""
    text = read_document(path, limit_bytes=limit_bytes)
    try:
        document = json.loads(text)
    except RecursionError:
        raise FileFaultError("its JSON is nested too deeply", path) from None
    except ValueError as error:  # numbers of thousands of digits raise it, too
        raise FileFaultError(f"it is not JSON: {error}", path) from None
    if not isinstance(document, dict):
        raise FileFaultError("it holds no JSON object", path)
    return document


def read_safetensors_header(path: Path, *, limit_bytes: int) -> tuple[dict[str, Any], int]:
    """What a safetensors file says of its tensors, by name, and at which byte they begin. Raises OSError, and
    ValueError where it says nothing that can be read.
    """
    with open_regular(path) as file:
        begin = file.read(8)
        length = int.from_bytes(begin, "little")
        if len(begin) < 8 or length > limit_bytes:
            raise ValueError("it is no safetensors file")
        try:
            header = json.loads(file.read(length))
        except RecursionError:
            raise ValueError("its header is nested too deeply") from None
    if not isinstance(header, dict):
        raise ValueError("its header holds no JSON object")
    return {name: entry for name, entry in header.items() if name != "__metadata__"}, 8 + length


def kind_words(mode: int) -> str:
    """What a file that is none is, by its mode."""
    if stat.S_ISDIR(mode):
        return "a directory"
    if stat.S_ISFIFO(mode):
        return "a named pipe"
    if stat.S_ISREG(mode):
        return "a file"
    return "a socket" if stat.S_ISSOCK(mode) else "a device"


def make_folder(path: Path, *, exist_ok: bool = True) -> None:
    """Make a folder of our own with those above it: for its owner alone, unless a shared folder holds it (its group
    may write there, or passes itself on): then as the umask says. Folders that are there stay as they are.

    Raises OSError.
    """
    if path.is_dir():
        if not exist_ok:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
        return
    if not path.parent.is_dir():
        make_folder(path.parent)
    try:
        path.mkdir(mode=0o777 if _is_shared(path.parent) else 0o700)
    except FileExistsError:
        if not (exist_ok and path.is_dir()):  # another process may have made it in between
            raise


def is_private(folder: Path) -> bool:
    """Whether nobody but its owner may look into a folder. Raises OSError."""
    return not folder.stat().st_mode & _OTHERS


def _is_shared(folder: Path) -> bool:
    mode = folder.stat().st_mode
    return bool(mode & stat.S_ISGID or (mode & stat.S_IWGRP and not mode & stat.S_ISVTX))


def _mode_in(folder: Path) -> int:
    """The mode that a new file gets, before the umask: its owner's alone in a folder of that kind."""
    try:
        return 0o600 if is_private(folder) else 0o666
    except OSError:
        return 0o600


def write_whole(path: Path, text: str | bytes, *, durable: bool = False) -> None:
    """Replace `path` by `text` in one step. `durable` waits until the disk has it. As private as its folder.

    Raises OSError, e.g. when the disk is full; the old file then stays as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    try:
        temporary.unlink(missing_ok=True)
        with os.fdopen(open_own(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL), "wb") as file:
            file.write(text.encode() if isinstance(text, str) else text)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def set_aside(path: Path) -> Path:
    """Give a file that cannot be used another name, `NAME.torn-1.EXT` or the next that is free, and return it.

    Raises OSError.
    """
    number = 1
    while (kept := path.with_name(f"{path.stem}.torn-{number}{path.suffix}")).exists():
        number += 1
    path.rename(kept)
    return kept
