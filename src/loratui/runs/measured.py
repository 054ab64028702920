"""What runs on this machine measured, remembered between sessions: `$LORATUI_HOME/state/measured.jsonl`, one object a
line.

The worker adds a line while its run goes and one when it ends; a run's last line counts. Runs that are deleted leave
theirs behind: what they measured stays true.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from loratui.core.measured import Measurement
from loratui.files import make_folder, open_own, open_regular, write_whole
from loratui.models.name import resolved_name
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


def as_asked(measurements: Iterable[Measurement], model: str) -> tuple[Measurement, ...]:
    """The same measurements; those of this model have its name as it was asked for.

    A run keeps the absolute path of a folder that is asked for by a relative one, by `~`, or by a link to it.
    """
    found, asked = tuple(measurements), resolved_name(model)
    same = {
        one for one in {each.model for each in found} if one == asked or (_placed(one) and resolved_name(one) == asked)
    }
    return tuple(replace(one, model=model) if one.model in same - {model} else one for one in found)


def _placed(model: str) -> bool:
    """Whether a run's model is a folder wherever one stands; a hub id is none, even where a folder has its name."""
    return model == "demo" or Path(model).is_absolute()


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
