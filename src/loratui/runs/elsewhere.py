"""Runs that were begun in directories of their own (`loratui train --output`): `runs-elsewhere.jsonl` in the state
folder, a path a line.

Lines are only added. A folder that is gone is passed over, for its disk may come back; nothing else rests on the file,
and it may be removed at any time.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from loratui.files import make_folder, open_own, read_document
from loratui.paths import state_home

LIMIT_BYTES = 16 << 20


def remember(place: Path) -> None:
    """Let a run that begins in this folder be listed. Raises OSError."""
    if place in places():
        return
    make_folder(_path().parent)
    with os.fdopen(open_own(_path(), os.O_WRONLY | os.O_APPEND | os.O_CREAT), "a", encoding="utf-8") as file:
        file.write(json.dumps(str(place)) + "\n")


def places() -> list[Path]:
    """Every folder in which one was begun, each once, whether it is still there or not; a line that cannot be read is
    passed over.
    """
    try:
        lines = read_document(_path(), limit_bytes=LIMIT_BYTES).splitlines()
    except OSError:
        return []
    found: dict[Path, None] = {}
    for line in lines:
        try:
            text = json.loads(line)
        except ValueError:
            continue  # torn by a full disk
        if isinstance(text, str) and Path(text).is_absolute():
            found[Path(text)] = None
    return list(found)


def _path() -> Path:
    return state_home() / "runs-elsewhere.jsonl"
