"""What runs on this machine measured, remembered between sessions: `$LORATUI_HOME/state/measured.jsonl`, one object a
line.

The worker adds a line while its run goes and one when it ends; a run's last line counts. Runs that are deleted leave
theirs behind: what they measured stays true.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from loratui.core.measured import Measurement
from loratui.files import make_folder, open_own, open_regular, write_whole
from loratui.paths import state_home

KEPT_RUNS = 500
LINES_BEFORE_CUTTING = 4 * KEPT_RUNS
_NAMES = {field.name for field in fields(Measurement)}


def measured_path() -> Path:
    """The file of this machine."""
    return state_home() / "measured.jsonl"


def read_measurements(path: Path | None = None) -> tuple[Measurement, ...]:
    """The last measurement of every run, oldest first; lines that cannot be understood are passed over (it is only a
    memory).
    """
    found: dict[str, Measurement] = {}
    for line in _lines(path or measured_path()):
        one = _decode(line)
        if one is not None:
            found.pop(one.run, None)
            found[one.run] = one
    return tuple(found.values())


def add_measurement(one: Measurement, path: Path | None = None) -> None:
    """Add a line in one write, so that several workers may do so at once. Raises OSError."""
    path = path or measured_path()
    make_folder(path.parent)
    descriptor = open_own(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, (json.dumps(asdict(one)) + "\n").encode())
    finally:
        os.close(descriptor)
    if len(_lines(path)) > LINES_BEFORE_CUTTING:
        kept = read_measurements(path)[-KEPT_RUNS:]
        write_whole(path, "".join(json.dumps(asdict(each)) + "\n" for each in kept))


def _lines(path: Path) -> list[bytes]:
    try:
        with open_regular(path) as file:
            return file.read().splitlines()
    except OSError:
        return []


def _decode(line: bytes) -> Measurement | None:
    try:
        values: dict[str, Any] = json.loads(line)
        one = Measurement(**{name: value for name, value in values.items() if name in _NAMES})
        return one if one.flops_per_step > 0 and one.seconds_per_step > 0 else None
    except (ValueError, TypeError, AttributeError):
        return None
