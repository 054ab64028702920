"""Where the hub's own tools keep what they fetched, and how its folders are laid out."""

from __future__ import annotations

import os
from pathlib import Path


def hub_cache() -> Path:
    """Folder where the hub's own tools keep what they fetched (HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME honoured)."""
    if cache := os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(cache).expanduser()
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    return Path(home).expanduser() / "hub"


def snapshot(repo: Path, revision: str = "main") -> Path | None:
    """The newest snapshot folder of a repository in the hub's cache, or the one of a revision."""
    snapshots = repo / "snapshots"
    try:
        commit = (repo / "refs" / revision).read_text().strip()
    except OSError:
        commit = revision
    if (snapshots / commit).is_dir():
        return snapshots / commit
    if not snapshots.is_dir() or revision != "main":
        return None
    return max((item for item in snapshots.iterdir() if item.is_dir()), key=lambda item: item.stat().st_mtime, default=None)
