"""All runs of this machine, newest first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from loratui.core.errors import LoratuiError, RunError
from loratui.core.near import near
from loratui.core.plan import Plan
from loratui.paths import runs_home, without_tilde
from loratui.runs.directory import Run
from loratui.runs.folders import may_be_run as may_be_run
from loratui.runs.jobs import read_jobs
from loratui.runs.origin import NAME as ORIGIN
from loratui.runs.origin import is_foreign
from loratui.runs.stall import stall_words
from loratui.runs.status import State, Status
from loratui.runs.verdict import Ruin, ruin_of


@dataclass(frozen=True)
class RunSummary:
    """One line of the list."""

    run: Run
    status: Status
    plan: Plan | None
    """None where plan.toml is broken; `problem` says how."""
    created: float
    """Unix seconds at which the run began, whatever was mended or extended since."""
    problem: str = ""
    foreign: bool = False
    """Whether it was made elsewhere."""
    ruin: Ruin | None = None
    """Why a finished run's result is worth nothing; None where nothing says so."""

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def state(self) -> State:
        return self.status.state

    @property
    def words(self) -> str:
        """What a person should know of it: how it ended, what is wrong with its plan, or that it stands still."""
        return (
            (self.ruin.message if self.ruin else "") or self.status.message or self.problem or stall_words(self.status)
        )

    def as_json(self) -> dict[str, object]:
        """The object that `loratui runs --json` prints for this run."""
        return {
            "name": self.name,
            "path": str(self.run.path),
            "state": self.state,
            "worthless": self.ruin is not None,
            "step": self.status.step,
            "total": self.status.total,
            "loss": self.status.loss,
            "eta_seconds": self.status.eta_seconds,
            "message": self.words,
            "created": self.created,
            "pid": self.status.pid,
            "jobs": [job.id for job in read_jobs(self.run.path)],
            "foreign": self.foreign,
            "model": self.plan.model.id if self.plan else None,
            "dataset": self.plan.dataset.path if self.plan else None,
            "method": self.plan.method.kind if self.plan else None,
        }


def list_runs() -> list[RunSummary]:
    """Every run below `runs_home()`, the newest first; a broken one is listed with its problem."""
    return RunList().look()


class RunList:
    """The runs, looked at again and again: what cannot have changed since is not read a second time."""

    def __init__(self) -> None:
        self._known: dict[Path, tuple[tuple[object, ...], RunSummary]] = {}

    def look(self, most: int | None = None) -> list[RunSummary]:
        """The runs as they are now, the newest first. most: of so many, those whose folders were changed last are
        read.
        """
        home = runs_home()
        if not home.is_dir():
            return []
        folders = [path for path in home.iterdir() if may_be_run(path)]
        if most is not None and len(folders) > most:
            folders = sorted(folders, key=_changed, reverse=True)[:most]
        self._known = {path: self._look_at(path) for path in folders}
        return sorted((one for _, one in self._known.values()), key=lambda one: (-one.created, one.name))

    def _look_at(self, path: Path) -> tuple[tuple[object, ...], RunSummary]:
        run = Run(path)
        mark = tuple(_mark(file) for file in (run.plan_path, run.status_path, run.events_path, path / ORIGIN))
        known = self._known.get(path)
        if known is not None and known[0] == mark and known[1].status.over:
            return known
        if known is not None and known[0][0] == mark[0] and known[1].plan is not None:
            now = replace(known[1], status=run.status(), created=run.created(), foreign=is_foreign(run))
        else:
            now = summary(run)
        return mark, now


def _mark(path: Path) -> tuple[int, int, int] | None:
    """What tells a file's present content from others, without reading it; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def summary(run: Run) -> RunSummary:
    """One run as it is now."""
    try:
        plan, problem = run.plan(), ""
    except LoratuiError as error:
        plan, problem = None, error.sentence
    status = run.status()
    return RunSummary(run, status, plan, run.created(), problem, is_foreign(run), ruin_of(run, status))


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
    starts = [name for name in names if name.startswith(name_or_path)]
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
        f"there is no run {name_or_path}.", hint=f"{hint} One that was begun with --output is named by its directory."
    )
