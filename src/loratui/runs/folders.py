"""Which folders are runs, by their names alone: for whoever asks at the start and must not wait for what reads them."""

from __future__ import annotations

from pathlib import Path

from loratui.paths import runs_home


def may_be_run(path: Path) -> bool:
    """Whether a run lies there, or what is left of one: it is listed with what is wrong with it."""
    try:
        return path.is_dir() and any(_is_there(path / name) for name in ("plan.toml", "status.json"))
    except PermissionError:
        return True
    except OSError:
        return False


def _is_there(path: Path) -> bool:
    """Whether something has this name, a broken link too. PermissionError where nobody may look."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def any_run() -> bool:
    """Whether there is a run of this machine."""
    try:
        return any(may_be_run(path) for path in runs_home().iterdir())
    except OSError:
        return False
