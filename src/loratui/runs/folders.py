"""Which folders are runs, by their names alone: for whoever asks at the start and must not wait for what reads them."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from loratui.paths import runs_home
from loratui.runs.elsewhere import places


def may_be_run(path: Path) -> bool:
    """Whether a run lies there, or what is left of one: it is listed with what is wrong with it."""
    try:
        return path.is_dir() and any(_is_there(path / name) for name in ("plan.toml", "status.json"))
    except PermissionError:
        return True
    except OSError:
        return False


def argument_of(place: Path) -> str:
    """What the commands take for a run in this folder, from anywhere: its name, or its path where it lies outside
    `runs_home()`. Not quoted.
    """
    home = runs_home()
    inside = place.parent == home or os.path.realpath(place.parent) == os.path.realpath(home)
    return place.name if inside else str(place.absolute())


def typed_here(place: Path) -> str:
    """The same as one types it in a shell that stands where this process does: quoted, and no longer than it must be.

    Not for what is kept and read from elsewhere.
    """
    argument = argument_of(place)
    try:
        here = Path.cwd()
    except OSError:  # it was removed
        return shlex.quote(argument)
    if argument == place.name or here == Path(here.anchor) or here not in (path := Path(argument)).parents:
        return shlex.quote(argument)
    near = str(path.relative_to(here))
    if near.startswith("~"):  # ./~ is read as ~
        return shlex.quote(argument)
    return shlex.quote(near if "/" in near and not near.startswith("-") else f"./{near}")


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
        inside = list(runs_home().iterdir())
    except OSError:
        inside = []
    return any(may_be_run(path) for path in (*inside, *places()))
