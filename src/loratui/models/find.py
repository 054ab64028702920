"""Find a model: the demo, a local folder, the hub's local cache, the catalogue, or the hub itself."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from loratui.core.errors import ModelError
from loratui.core.near import near
from loratui.models.folder import read_folder
from loratui.models.found import FoundModel, found_in_folder
from loratui.models.shapes import learn, refusal
from loratui.paths import demo_model_path, is_folder, is_there, without_tilde

MOST_HERE = 12
"""Model folders of the working directory that are listed."""


def find_model(id: str, *, revision: str = "", online: bool = True) -> FoundModel:
    """The model of this id: `demo`, a folder, or a hub id (local cache, then catalogue, then the hub).

    A folder that holds only config.json is enough for planning. `online` False: never ask the hub. ModelError in one
    sentence where there is none, or where the hub says why not.
    """
    if not id.strip():
        raise ModelError("no model was named.", hint="Give a hub id, a local folder, or demo.")
    place = without_tilde(id)
    if id == "demo":  # also where a run or a folder of that name lies here, which ./demo names
        return _demo()
    if is_there(place):
        return _local(id, place)
    if not looks_like_hub_id(id):
        raise _missing_folder(id, place)
    from loratui.models.cache import find_cached
    from loratui.models.catalogue import find_entry

    found = find_cached(id, revision)
    if found is not None:
        return found
    entry = find_entry(id) if not revision else None
    if entry is not None:
        return entry
    if not online:
        raise ModelError(
            "this model is neither on this machine nor in the catalogue.", where=id, hint=f"Fetch it: hf download {id}"
        )
    from loratui.models.hub import fetch_model

    return fetch_model(id, revision)


def with_exact_shape(found: FoundModel, say: Callable[[str], None] = lambda sentence: None) -> FoundModel:
    """The same model, its real class read by a worker where the shape is a guess. Waits for it: seconds, once a model.

    say: told one sentence before the wait, and one where it failed; the guess then stays.
    """
    if found.spec.known:
        return found
    problem = refusal(found.config)
    if not problem:
        say(f"The family {found.spec.family} is new here: reading its real class once, in a few seconds.")
        try:
            return found._replace(spec=learn(found.config, found.id))
        except ModelError as error:
            problem = error.message
    say(f"The class could not be read, so parameters and memory stay a guess: {problem}")
    return found


def list_models() -> list[FoundModel]:
    """The demo, the hub's local cache and the catalogue, without the network; what cannot be read is passed over."""
    from loratui.models.cache import list_cached
    from loratui.models.catalogue import entries

    found: list[FoundModel] = []
    if (demo_model_path() / "config.json").is_file():
        found.append(_demo())
    cached = list_cached()
    names = {model.id for model in cached}
    return [*found, *cached, *(model for model in entries() if model.id not in names)]


def models_here() -> list[FoundModel]:
    """The models whose folders lie directly in the working directory, by name, MOST_HERE at most; what cannot be read
    is passed over. Their ids are whole paths, so that they are the same from anywhere.
    """
    try:
        names = sorted(entry.name for entry in os.scandir() if not entry.name.startswith("."))
    except OSError:
        return []
    folders = [Path(name).absolute() for name in names if is_there(Path(name, "config.json"))]
    found: list[FoundModel] = []
    for folder in folders[:MOST_HERE]:
        with suppress(ModelError):  # a config.json of something else
            found.append(_local(str(folder), folder))
    return found


def looks_like_hub_id(id: str) -> bool:
    """Whether a text has the form of a hub id: `name` or `owner/name`."""
    return re.fullmatch(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", id) is not None


def _demo() -> FoundModel:
    folder = demo_model_path()
    if not (folder / "config.json").is_file():
        raise ModelError(
            "the demo model is not in this installation.", where=str(folder), hint="Install loratui again."
        )
    return found_in_folder(
        "demo", "demo", read_folder(folder), "ships with loratui, made to learn one task in a minute"
    )


def _local(id: str, place: Path) -> FoundModel:
    if place.is_file():
        folder = place.parent
        hint = (
            f"Give its folder: {folder}"
            if (folder / "config.json").is_file()
            else "Give the folder of a model, or a hub id such as Qwen/Qwen3-0.6B."
        )
        raise ModelError("this is a file; a model is a folder with config.json and weights.", where=id, hint=hint)
    return found_in_folder(id, "folder", read_folder(place))


def _missing_folder(id: str, place: Path) -> ModelError:
    if not is_folder(place.parent):
        return ModelError("no such folder.", where=id, hint=f"There is no folder {place.parent} either.")
    names = [item.name for item in place.parent.iterdir() if item.is_dir()]
    meant = near(place.name, names, 3)
    return ModelError(
        "no such folder.",
        where=id,
        hint=f"Did you mean {' or '.join(meant)}?" if meant else "Give a hub id, a local folder, or demo.",
    )
