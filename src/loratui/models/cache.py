"""Models in the hub's local cache, without the network."""

from __future__ import annotations

from pathlib import Path

from loratui.core.errors import ModelError
from loratui.hub.cache import snapshot
from loratui.hub.client import hub_cache
from loratui.models.folder import read_folder
from loratui.models.found import FoundModel, found_in_folder


def find_cached(id: str, revision: str = "") -> FoundModel | None:
    """The model of this hub id in the cache; None where its config.json is not there."""
    folder = snapshot(hub_cache() / f"models--{id.replace('/', '--')}", revision or "main")
    if folder is None or not (folder / "config.json").is_file():
        return None
    return found_in_folder(id, "cache", read_folder(folder, where=id))


def list_cached() -> list[FoundModel]:
    """Every causal language model in the cache, by name; others are passed over."""
    found = []
    for repo in _repositories(hub_cache()):
        try:
            model = find_cached(repo.name.removeprefix("models--").replace("--", "/"))
        except (ModelError, OSError):
            continue
        if model is not None:
            found.append(model)
    return found


def _repositories(root: Path) -> list[Path]:
    try:
        return sorted(item for item in root.iterdir() if item.name.startswith("models--") and item.is_dir())
    except OSError:
        return []
