"""How much faster this processor is in bfloat16: measured once (`workers/processor.py`), and remembered by processor
and torch: `$LORATUI_HOME/state/processors/HASH.json` (a home may be that of many computers).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from loratui.core.architecture import ModelSpec
from loratui.core.hardware import Device
from loratui.core.processor_formats import LEAST_WIDTH, Gains
from loratui.files import make_folder, read_object, write_whole
from loratui.paths import state_home

VERSION = 1
GIVEN = "LORATUI_CPU_BF16"
"""Environment variable: the factor, from a person who knows it (1: no gain); nothing is measured then. What is no
number above 0 is not heeded, and `loratui doctor` says so."""


def known_gains(cpu_name: str, instructions: str) -> Gains:
    """What was measured of this processor with the installed torch, or is given by the environment; nothing where
    neither is so.
    """
    if (given := given_gain()) is not None:
        return ((LEAST_WIDTH, given),)
    if not instructions or not any(_folder().glob("*.json")):  # the key takes torch's version, which is slow to find
        return ()
    try:
        kept = read_object(_path(cpu_name))
    except OSError:  # not measured yet, or not to be read: it is measured again
        return ()
    return gains_from(kept) if kept.get("version") == VERSION else ()


def given_gain() -> float | None:
    """The factor that the environment gives; None where it gives none."""
    with contextlib.suppress(ValueError):
        if 0 < (factor := float(os.environ.get(GIVEN, ""))) < float("inf"):
            return factor
    return None


def gains_from(document: Mapping[str, Any]) -> Gains:
    """Gains out of a file or a message; nothing where it is of another form."""
    try:
        found = tuple(sorted((int(width), float(gain)) for width, gain in document["bf16_gains"]))
    except (KeyError, TypeError, ValueError):
        return ()
    return found if all(width > 0 and 0 < gain < float("inf") for width, gain in found) else ()


def unmeasured(device: Device, spec: ModelSpec) -> bool:
    """Whether a measurement would tell in which format to train this model on this processor."""
    instructed = device.kind == "cpu" and bool(device.bf16_instructions)
    return instructed and not device.bf16_gains and spec.hidden_size >= LEAST_WIDTH


def remember(cpu_name: str, gains: Gains) -> None:
    """Keep what was measured. A full disk costs a measurement next time."""
    path = _path(cpu_name)
    document = {"version": VERSION, "cpu": cpu_name, "torch": torch_version(), "bf16_gains": gains}
    with contextlib.suppress(OSError):
        make_folder(path.parent)
        write_whole(path, json.dumps(document) + "\n")


def _path(cpu_name: str) -> Path:
    key = hashlib.sha256(f"{cpu_name}\n{torch_version()}".encode()).hexdigest()[:24]
    return _folder() / f"{key}.json"


def _folder() -> Path:
    return state_home() / "processors"


@cache
def torch_version() -> str:
    """Version of the installed torch, which is not imported; empty where there is none."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("torch")
    except PackageNotFoundError:
        return ""
