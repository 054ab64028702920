"""All runs of this machine, newest first."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path, PurePath

from loratui.core.errors import RunError
from loratui.core.near import near
from loratui.paths import runs_home, without_tilde
from loratui.runs.directory import Run
from loratui.runs.elsewhere import places
from loratui.runs.folders import may_be_run as may_be_run
from loratui.runs.origin import is_foreign
from loratui.runs.summaries import Known, keep_summaries, marks_of, may_be_kept, read_summaries
from loratui.runs.summary import RunSummary as RunSummary
from loratui.runs.summary import summary as summary
from loratui.runs.verdict import ruin_of


def list_runs() -> list[RunSummary]:
    """Every run below `runs_home()`, and those that were begun elsewhere and are still there, the newest first; a
    broken one is listed with its problem.
    """
    return RunList().look()


class RunList:
    """The runs, looked at again and again: what cannot have changed since is not read a second time, by this process or
    by another.
    """

    def __init__(self) -> None:
        self._known: dict[Path, Known] | None = None

    def look(self, most: int | None = None) -> list[RunSummary]:
        """The runs as they are now, the newest first. most: of so many, those whose folders were changed last are
        read.
        """
        home = runs_home()
        inside = list(home.iterdir()) if home.is_dir() else []
        folders = [path for path in (*inside, *outside(home)) if may_be_run(path)]
        whole = most is None or len(folders) <= most
        if not whole:
            folders = sorted(folders, key=_changed, reverse=True)[:most]
        before = read_summaries() if self._known is None else self._known
        self._known = {path: _look_at(path, before.get(path)) for path in folders}
        if whole and any(now.lasting and now is not before.get(path) for path, now in self._known.items()):
            keep_summaries(self._known)
        return sorted((known.summary for known in self._known.values()), key=lambda one: (-one.created, one.name))


def _look_at(path: Path, known: Known | None) -> Known:
    run = Run(path)
    marks = marks_of(run)
    if known is not None and known.marks == marks and known.summary.status.over:
        return known
    if known is not None and known.marks[0] == marks[0] and known.summary.plan is not None:
        status = run.status()
        ruin = ruin_of(run, status)
        now = replace(known.summary, status=status, created=run.created(), foreign=is_foreign(run), ruin=ruin)
    else:
        now = summary(run)
    return Known(marks, now, may_be_kept(marks, now))


def outside(home: Path) -> list[Path]:
    """The folders elsewhere in which runs were begun, by whichever way they are reached."""
    return [path for path in places() if os.path.realpath(path.parent) != os.path.realpath(home)]


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def named_run(name: str) -> Run | None:
    """The run of exactly this name below loratui's home: a name comes before a folder of that name here, whichever
    command asks.
    """
    place = runs_home() / name
    return Run(place) if Path(name).name == name and may_be_run(place) else None


def find_run(name_or_path: str) -> Run:
    """The run of this name, or in this directory; `last` is the newest one. RunError naming the nearest when there is
    none.
    """
    if (named := named_run(name_or_path)) is not None:
        return named
    path = without_tilde(name_or_path)
    if may_be_run(path):
        return Run(path.absolute())
    names = [one.name for one in list_runs()]
    if name_or_path == "last":
        if names:
            return Run(runs_home() / names[0])
        raise RunError("there are no runs yet.", hint="Start one with `loratui`, or with `loratui train plan.toml`.")
    starts = [name for name in names if PurePath(name).name.startswith(name_or_path)]
    if len(starts) == 1 and name_or_path:
        return Run(runs_home() / starts[0])
    meant = near(name_or_path, names)
    hint = (
        f"Did you mean {meant[0]}?"
        if meant
        else f"`loratui runs` lists the {f'{len(names)} that there are' if len(names) > 1 else 'one that there is'}."
        if names
        else "There are no runs yet."
    )
    raise RunError(
        f"there is no run {name_or_path}.",
        hint=f"{hint} One that was begun with --output has its directory as its name.",
    )
