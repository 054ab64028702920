"""Who can be asked of a server, and under which name. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from loratui.core.errors import InputError
from loratui.paths import demo_model_path
from loratui.runs.result import require_undamaged
from loratui.workers.protocol import ADAPTER, BASE
from loratui.workers.target import Target, held_alike


@dataclass(frozen=True)
class Model:
    """Who can be asked, and under which name."""

    name: str
    side: str
    words: str
    """base, adapter or checkpoint."""


def offered(targets: Sequence[Target]) -> tuple[list[Model], dict[str, str], dict[str, Path]]:
    """Who can be asked by which name, what is loaded at once, and what when it is first asked for. InputError where
    two cannot be held on one base, or have one name.
    """
    first = targets[0]
    base = first.load.base
    base = "demo" if base == str(demo_model_path()) else Path(base).name if Path(base).is_dir() else base
    if any(name_of(target) == base for target in targets if ADAPTER in target.load.sides):
        base = f"{base}-base"  # a run that is called as its base is
    models, sides, later = [Model(base, BASE, "base")], {BASE: ""}, dict[str, Path]()
    for target in targets:
        if why := held_alike(first, target):
            raise InputError(why, hint="Serve it by itself, at another port.")
        folder = target.load.sides.get(ADAPTER, "")
        if not folder:
            continue
        require_undamaged(Path(folder))
        name = name_of(target)
        if any(one.name == name for one in models):
            raise InputError(f"two of them have the name {name}.", hint="Name each once.")
        models.append(Model(name, name, "adapter"))
        sides[name] = folder
        for checkpoint, path in target.checkpoints.items():
            models.append(Model(f"{name}/{checkpoint}", f"{name}/{checkpoint}", "checkpoint"))
            later[f"{name}/{checkpoint}"] = path
    return models, sides, later


def name_of(target: Target) -> str:
    """What a run or an adapter is called here."""
    return target.title if target.run is not None else Path(target.title).name
