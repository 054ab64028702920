"""A dataset of the hub, from the local cache: which files its card names for a configuration and a split."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from loratui.core.errors import DatasetError
from loratui.data.found import DataFile, FoundDataset
from loratui.data.open_file import data_kind
from loratui.hub.cache import snapshot
from loratui.hub.client import hub_cache, hub_home
from loratui.paths import is_folder, without_tilde

HELD_OUT = ("validation", "test", "dev", "eval")
"""Splits to evaluate on: the first of these that there is."""


def datasets_cache() -> Path:
    """Folder where the datasets library keeps prepared tables."""
    if cache := os.environ.get("HF_DATASETS_CACHE"):
        return without_tilde(os.path.expandvars(cache))
    return hub_home() / "datasets"


def find_cached(id: str, *, split: str = "train", configuration: str = "") -> FoundDataset | None:
    """A hub dataset that is in the local cache; None where it is not. DatasetError where it lacks the split."""
    folder = snapshot(hub_cache() / f"datasets--{id.replace('/', '--')}")
    if folder is not None and (found := _from_snapshot(id, folder, split, configuration)):
        return found
    return _from_tables(id, split, configuration)


def splits_of(id: str, folder: Path, files: list[Path], split: str, configuration: str) -> dict[str, list[Path]]:
    """Split → files of a dataset's folder, by its card, else by names; DatasetError where the split is not among
    them.
    """
    splits = card_splits(folder, files, configuration) or _by_name(folder, files)
    if split not in splits and len(splits) != 1:
        raise DatasetError(
            f"there is no split {split!r}: it has {', '.join(splits)}.", where=id, hint="Set dataset.split."
        )
    return splits


def _from_snapshot(id: str, folder: Path, split: str, configuration: str) -> FoundDataset | None:
    files = sorted(item for item in folder.rglob("*") if item.is_file() and data_kind(item) not in ("", "unknown"))
    if not files:
        return None
    splits = splits_of(id, folder, files, split, configuration)
    split = split if split in splits else next(iter(splits))
    if not splits[split]:
        return None  # a cache that holds the card, or another part of it
    evaluation = next((splits[name] for name in HELD_OUT if name in splits and name != split), [])
    note = f"hub cache, split {split}" + (f", configuration {configuration}" if configuration else "")
    return FoundDataset(id, id.split("/")[-1], "hub", _files(splits[split]), _files(evaluation), note)


def _files(paths: Iterable[Path]) -> tuple[DataFile, ...]:
    return tuple(DataFile(path, data_kind(path), path.stat().st_size) for path in paths)


def card_splits(folder: Path, files: list[Path], configuration: str) -> dict[str, list[Path]]:
    """Split → files as the dataset's card (README.md) declares them, as far as they are there; empty where it declares
    none.
    """
    card = folder / "README.md"
    if not card.is_file():
        return {}
    match = re.match(r"\A\ufeff?---\s*\n(.*?)\n---", card.read_text("utf-8", "replace"), re.S)
    if not match:
        return {}
    import yaml  # many milliseconds that a local file need not wait for

    try:
        head = yaml.safe_load(match.group(1))
    except yaml.YAMLError:
        return {}
    configurations = head.get("configs") if isinstance(head, dict) else None
    if not isinstance(configurations, list) or not configurations:
        return {}
    names = [str(item.get("config_name", "default")) for item in configurations if isinstance(item, dict)]
    wanted = configuration or next(
        (str(item.get("config_name")) for item in configurations if isinstance(item, dict) and item.get("default")),
        "default" if "default" in names else names[0],
    )
    chosen = next(
        (
            item
            for item in configurations
            if isinstance(item, dict) and str(item.get("config_name", "default")) == wanted
        ),
        None,
    )
    if chosen is None:
        raise DatasetError(
            f"there is no configuration {wanted!r}: it has {', '.join(names)}.",
            where=folder.parents[1].name,
            hint="Set dataset.configuration.",
        )
    return _declared(folder, files, chosen.get("data_files"))


def _declared(folder: Path, files: list[Path], declared: Any) -> dict[str, list[Path]]:
    if isinstance(declared, str):
        declared = [{"split": "train", "path": declared}]
    splits: dict[str, list[Path]] = {}
    for item in declared if isinstance(declared, list) else []:
        if isinstance(item, str):
            item = {"split": "train", "path": item}
        if not isinstance(item, dict):
            continue
        patterns = item.get("path", [])
        wanted = [
            file
            for pattern in ([patterns] if isinstance(patterns, str) else patterns)
            for file in sorted(folder.glob(str(pattern)))
        ]
        splits.setdefault(str(item.get("split", "train")), []).extend(file for file in wanted if file in files)
    return splits


def _by_name(folder: Path, files: list[Path]) -> dict[str, list[Path]]:
    words = {
        "train": {"train", "training"},
        "validation": {"validation", "valid", "val", "dev"},
        "test": {"test", "testing", "eval", "evaluation"},
    }
    splits: dict[str, list[Path]] = {}
    for file in files:
        parts = set(re.split(r"[^a-z]+", str(file.relative_to(folder)).lower()))
        split = next((name for name, known in words.items() if parts & known), "train")
        splits.setdefault(split, []).append(file)
    return splits


def _from_tables(id: str, split: str, configuration: str) -> FoundDataset | None:
    """Tables that the datasets library prepared: `org___name/configuration/version/hash/name-split.arrow`."""
    root = datasets_cache() / id.replace("/", "___")
    tables = sorted(root.glob(f"{configuration or '*'}/*/*/*.arrow")) if is_folder(root) else []
    splits: dict[str, list[Path]] = {}
    for table in tables:
        name = re.sub(r"-\d{5}-of-\d{5}$", "", table.stem).rpartition("-")[2]
        splits.setdefault(name, []).append(table)
    if not splits:
        return None
    if split not in splits:
        raise DatasetError(
            f"there is no split {split!r}: it has {', '.join(splits)}.", where=id, hint="Set dataset.split."
        )
    chosen = [table for table in splits[split] if table.parent == splits[split][-1].parent]
    evaluation = [
        table
        for name in ("validation", "test")
        if name in splits and name != split
        for table in splits[name]
        if table.parent == chosen[0].parent
    ]
    return FoundDataset(
        id,
        id.split("/")[-1],
        "hub",
        _files(chosen),
        _files(evaluation),
        f"prepared tables of the datasets library, split {split}",
    )
