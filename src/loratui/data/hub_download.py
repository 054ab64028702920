"""Bring a dataset of the hub into its local cache: the files of one split and what is held out beside it, nothing else.

The hub's own client stores them, where every other tool finds them again. Which files a split has is read off the card
and the names before anything large is fetched.
"""

from __future__ import annotations

import tempfile
import urllib.parse
from collections.abc import Iterable
from pathlib import Path

from loratui.core.errors import DatasetError
from loratui.data.hub import HELD_OUT, splits_of
from loratui.data.open_file import data_kind
from loratui.hub.client import HubError, HubRefused, HubUnreached, ask, download, endpoint, offline

UNREACHED = (
    "there is no such file, and no dataset of this name on this machine; the hub cannot be reached.",
    "Check the connection, or the path.",
)


def fetch_dataset(id: str, *, split: str = "train", configuration: str = "") -> None:
    """Store the files of a split in the hub's cache. Raises DatasetError with the true reason where that cannot be."""
    if offline():
        raise DatasetError(
            (
                "there is no such file, and no dataset of this name in the hub's local cache; HF_HUB_OFFLINE forbids "
                "asking the hub."
            ),
            where=id,
            hint="Unset HF_HUB_OFFLINE, or give a file.",
        )
    try:
        about = ask(f"/api/datasets/{urllib.parse.quote(id)}")
    except HubError as error:
        raise _error(id, error) from error
    names = [
        str(item["rfilename"]) for item in about.get("siblings", []) if isinstance(item, dict) and item.get("rfilename")
    ]
    revision = str(about.get("sha") or "main")
    card = _download(id, revision, ["README.md"] if "README.md" in names else [])
    wanted = _wanted(id, names, card[0] if card else None, split, configuration)
    if not wanted:
        raise DatasetError(
            "this dataset holds no data files that loratui reads.",
            where=id,
            hint="JSON, CSV, Parquet, Arrow and text are read; datasets that are made by a script are not.",
        )
    _download(id, revision, wanted)


def _wanted(id: str, names: Iterable[str], card: Path | None, split: str, configuration: str) -> list[str]:
    """Names of the data files of the split, and of the one to evaluate on: as the cache will be read, on empty
    files.
    """
    with tempfile.TemporaryDirectory() as place:
        root = Path(place).resolve()
        files = []
        for name in names:
            path = (root / name).resolve()
            if not path.is_relative_to(root) or data_kind(path) in ("", "unknown"):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
            files.append(path)
        if card is not None:
            (root / "README.md").write_bytes(card.read_bytes())
        if not files:
            return []
        splits = splits_of(id, root, sorted(files), split, configuration)
        chosen = split if split in splits else next(iter(splits))
        held_out = next((name for name in HELD_OUT if name in splits and name != chosen), None)
        return [str(path.relative_to(root)) for name in (chosen, held_out) if name for path in splits[name]]


def _download(id: str, revision: str, names: list[str]) -> list[Path]:
    try:
        return [download(id, name, revision=revision, dataset=True) for name in names]
    except HubError as error:
        raise _error(id, error) from error
    except OSError as error:
        raise DatasetError(
            f"it cannot be stored: {error.strerror or error}.",
            where=id,
            hint="Is there room on the disk of the hub's cache (HF_HOME)?",
        ) from error


def _error(id: str, error: HubError) -> DatasetError:
    """What the hub's no means for a dataset."""
    if isinstance(error, HubUnreached):
        return DatasetError(UNREACHED[0], where=id, hint=UNREACHED[1])
    if not isinstance(error, HubRefused):
        return DatasetError(error.message, where=id, hint=error.hint)
    page = f"{endpoint()}/datasets/{id}"
    match error.reason:
        case "gated" if not error.has_token:
            return DatasetError(
                "this dataset is gated, and no token was found.",
                where=id,
                hint=f"Accept its terms at {page}, then run: hf auth login",
            )
        case "gated":
            return DatasetError(
                "this dataset is gated, and your account has no access to it yet.",
                where=id,
                hint=f"Accept its terms at {page}; where its owners decide, wait for them.",
            )
        case "unseen" | "file" | "revision":
            private = "" if error.has_token else " For a private dataset, run: hf auth login"
            return DatasetError(
                "there is no such file, and the hub knows no dataset of this name that you may see.",
                where=id,
                hint=f"Check the spelling.{private}",
            )
        case "status":
            return DatasetError(error.message, where=id, hint=error.hint)
