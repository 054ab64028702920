"""How the folders of the hub's cache are laid out."""

from __future__ import annotations

from pathlib import Path


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
    return max(
        (item for item in snapshots.iterdir() if item.is_dir()), key=lambda item: item.stat().st_mtime, default=None
    )
