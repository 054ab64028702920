"""All runs of this machine, newest first."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from loratui.core.errors import LoratuiError, RunError
from loratui.core.plan import Plan
from loratui.paths import runs_home
from loratui.runs.directory import Run
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
            "foreign": self.foreign,
            "model": self.plan.model.id if self.plan else None,
            "dataset": self.plan.dataset.path if self.plan else None,
            "method": self.plan.method.kind if self.plan else None,
        }


def list_runs() -> list[RunSummary]:
    """Every run below `runs_home()`, the newest first; a broken one is listed with its problem."""
    home = runs_home()
    if not home.is_dir():
        return []
    found = [summary(Run(path)) for path in home.iterdir() if may_be_run(path)]
    return sorted(found, key=lambda one: (-one.created, one.name))


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


def summary(run: Run) -> RunSummary:
    """One run as it is now."""
    try:
        plan, problem = run.plan(), ""
    except LoratuiError as error:
        plan, problem = None, error.sentence
    status = run.status()
    return RunSummary(run, status, plan, run.created(), problem, is_foreign(run), ruin_of(run, status))


def find_run(name_or_path: str) -> Run:
    """The run of this name, or in this directory; `last` is the newest one. RunError naming the nearest when there is
    none.
    """
    path = Path(name_or_path).expanduser()
    if path.name == name_or_path and may_be_run(runs_home() / name_or_path):
        return Run(runs_home() / name_or_path)
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
    near = get_close_matches(name_or_path, names, n=1)
    hint = (
        f"Did you mean {near[0]}?"
        if near
        else f"`loratui runs` lists the {f'{len(names)} that there are' if len(names) > 1 else 'one that there is'}."
        if names
        else "There are no runs yet."
    )
    raise RunError(f"there is no run {name_or_path}.", hint=hint)
