"""The models that runs of this machine were made from, and those that they made: what one is likely to want again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from loratui.core.errors import ModelError
from loratui.models.find import find_model
from loratui.models.found import FoundModel
from loratui.runs.directory import Run
from loratui.runs.listing import RunList

LATEST_RUNS = 100
MOST = 12
"""Models that are offered: more than one remembers by name are no help."""


class UsedModel(NamedTuple):
    """A model with the name that a narrow list shows: of one that a run made, the run's name and which result."""

    name: str
    model: FoundModel


def used_models(runs: RunList | None = None) -> list[UsedModel]:
    """Models of the latest runs, the newest run's first: what it made (a whole or merged model), then what it was made
    from, as far as that is found without the network. The demo and runs of strangers are left out.

    Reads the runs' files: for a thread.
    """
    found: dict[str, UsedModel] = {}
    for one in (runs or RunList()).look(LATEST_RUNS):
        if one.foreign:
            continue
        for used in (*_made(one.run), *_base(one.plan.model.id if one.plan is not None else "")):
            found.setdefault(used.model.id, used)
        if len(found) >= MOST:
            break
    return list(found.values())[:MOST]


def _made(run: Run) -> Iterator[UsedModel]:
    for folder, what in ((run.merged_path, "merged by"), (run.model_path, "made by")):
        model = _found(str(folder)) if (folder / "config.json").is_file() else None
        if model is not None and model.weights:
            note = "; ".join(text for text in (f"{what} the run {run.name}", model.note) if text)
            yield UsedModel(f"{run.name}/{folder.name}", model._replace(note=note))


def _base(name: str) -> Iterator[UsedModel]:
    model = _found(name) if name not in ("", "demo") and (not Path(name).is_absolute() or Path(name).is_dir()) else None
    if model is not None:
        yield UsedModel("", model)


def _found(name: str) -> FoundModel | None:
    try:
        return find_model(name, online=False)
    except (ModelError, OSError):
        return None
