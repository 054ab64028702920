"""Writing a file whole: a reader sees the old text or the new one, never half of either."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def write_whole(path: Path, text: str | bytes, *, durable: bool = False) -> None:
    """Replace `path` by `text` in one step. `durable` waits until the disk has it.

    Raises OSError, e.g. when the disk is full; the old file then stays as it was.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.new")
    try:
        with temporary.open("wb") as file:
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
