"""What a tracker is to us, which there are, and what it is told of a run beside its figures."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from loratui.core.errors import InputError, LoratuiError
from loratui.core.near import near
from loratui.files import make_folder, read_document, read_object
from loratui.paths import home, runs_home
from loratui.runs.directory import Run
from loratui.runs.fingerprint import plan_values
from loratui.runs.origin import NAME as ORIGIN
from loratui.trackers.rows import Row, Said

NAMES = ("tensorboard", "wandb", "trackio", "mlflow")
MODULES = {"tensorboard": "tensorboard", "wandb": "wandb", "trackio": "trackio", "mlflow": "mlflow"}
PROJECT = "loratui"


@dataclass(frozen=True)
class Facts:
    """What is told of a run beside its figures. title: its name there, of harmless letters.

    identity: a word that stays the same for this run, wherever it is moved, and is no other's.
    """

    title: str
    identity: str
    run: str
    created: float
    plan: Mapping[str, Any]
    machine: Mapping[str, Any]
    data: Mapping[str, Any]
    """What it was trained on and with: revision or hashes of the data, and versions, as `fingerprint.json` has them."""
    plan_text: str
    project: str = PROJECT
    folder: Path = field(default_factory=Path)
    """Where a local copy lies."""

    def as_config(self) -> dict[str, Any]:
        """Everything but the figures, as one document."""
        named = {"run": self.run, "identity": self.identity}
        return {"plan": dict(self.plan), "machine": dict(self.machine), "data": dict(self.data), **named}


class Tracker(Protocol):
    """A copy of one run in one tracker, begun anew each time: what was copied of it before makes room."""

    def begin(self, facts: Facts) -> None:
        """Make it, in the place of every copy of this run that was made here before."""

    def row(self, row: Row) -> None:
        """Take up figures; steps never go back."""

    def said(self, said: Said) -> None:
        """Take up a sample."""

    def flush(self) -> None:
        """Let others see what was taken up."""

    def end(self, state: str) -> None:
        """It is over: finished, stopped, failed or lost."""

    @property
    def where(self) -> str:
        """Where it lies, and how it is looked at, in one or two sentences."""


def tracker(name: str) -> Tracker:
    """The tracker of this name. InputError where there is none, or its library is not installed."""
    require_installed(name)
    module = importlib.import_module(f"loratui.trackers.to_{name}")
    made: Tracker = module.make()
    return made


def require_installed(name: str) -> None:
    """InputError where there is no such tracker, or its library is not installed."""
    if name not in NAMES:
        meant = near(name, NAMES)
        hint = f"Did you mean {meant[0]}?" if meant else f"There are: {', '.join(NAMES)}."
        raise InputError(f"there is no tracker {name!r}.", hint=hint)
    if importlib.util.find_spec(MODULES[name]) is None:
        raise InputError(f"{name} is not installed.", hint=f"Install it with: pip install 'loratui[{name}]'")


def facts_of(run: Run, *, project: str = PROJECT, into: Path | None = None, name: str = "") -> Facts:
    """What a tracker is told of this run. into: where a local copy lies; else a folder of loratui's own for all runs.

    Raises LoratuiError where the run cannot be read, OSError where the folder cannot be made.
    """
    try:
        plan, text = plan_values(run.plan()), read_document(run.plan_path)
    except OSError as error:
        raise LoratuiError(f"its plan cannot be read: {error.strerror or error}.", where=run.name) from None
    folder = into or home() / "trackers" / name
    make_folder(folder)
    identity = _identity(run)
    title = run.name if run.place.parent == runs_home() else f"{run.name}-{identity[:6]}"
    letters = "".join(one if one.isascii() and (one.isalnum() or one in "._-") else "-" for one in title)[:100]
    return Facts(
        title=letters.lstrip(".-") or "run",
        identity=identity,
        run=str(run.place),
        created=run.created(),
        plan=plan,
        machine=run.machine(),
        data=run.fingerprint(),
        plan_text=text,
        project=project,
        folder=folder,
    )


def _identity(run: Run) -> str:
    try:
        named = str(read_object(run.path / ORIGIN)["run"])
    except (OSError, KeyError):
        named = str(run.place)
    return hashlib.sha256(named.encode("utf-8", "replace")).hexdigest()[:16]
