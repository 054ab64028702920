"""An experiment is a directory, `$LORATUI_HOME/experiments/NAME`:

    plan.toml         the plan of which values vary
    experiment.json   what varies, the seeds, the steps of a trial; written once
    trials.jsonl      a line a trial: its values, its runs, its rungs and what they lost there, its state
    open              there while it goes on: the machine on which it does
    .lock             held by whoever brings it a step further

The trials themselves are runs like any other. What was decided is in these files before anything is done about it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from loratui.core.errors import RunError
from loratui.core.plan import Plan
from loratui.core.plan_text import whole_plan_from_toml, with_values
from loratui.files import open_own, read_document, read_object, write_whole
from loratui.paths import experiments_home, runs_home
from loratui.runs.directory import Run
from loratui.runs.lock import is_locked_within

LOCK_SECONDS = 20.0
OVER = ("best", "stopped", "failed", "too big")


class BusyError(RunError):
    """Somebody else brings the experiment further at this moment."""


@dataclass(frozen=True)
class Trial:
    """One setting. values: what differs from the plan. steps: of its rungs, in its own optimizer steps. runs: names,
    one a seed. rung: the one that it is on its way to, or where it ended. losses: held-out loss by run, of each rung
    that it reached. state: open, best (of the last rung's, it need not be the only one left), stopped (of the worse
    half), failed or too big (for this machine); why: in words. deaths: how often a run's worker died without a step
    further, and where.
    """

    number: int
    values: dict[str, Any]
    steps: list[int]
    runs: list[str]
    rung: int = 0
    losses: list[list[float]] = field(default_factory=list)
    state: str = "open"
    why: str = ""
    deaths: dict[str, list[int]] = field(default_factory=dict)
    seconds: float = 0.0
    memory: int = 0

    @property
    def until(self) -> int:
        """The step of the rung that it is on its way to."""
        return self.steps[self.rung]

    def with_(self, **changes: Any) -> Trial:
        """The trial with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Experiment:
    """An experiment's directory."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def open_path(self) -> Path:
        return self.path / "open"

    @property
    def trials_path(self) -> Path:
        return self.path / "trials.jsonl"

    def plan(self) -> Plan:
        """The plan of which values vary. RunError or PlanError where it cannot be read."""
        try:
            return whole_plan_from_toml(read_document(self.path / "plan.toml"), where=str(self.path / "plan.toml"))
        except OSError as error:
            raise self._unreadable("plan.toml", error) from None

    def facts(self) -> dict[str, Any]:
        """What varies (`vary`), the seeds (`seeds`), when it began. RunError where it cannot be read."""
        try:
            found = read_object(self.path / "experiment.json")
            if not isinstance(found["vary"], dict) or not isinstance(found["seeds"], list):
                raise ValueError("a value of another kind")
        except (OSError, KeyError, ValueError) as error:
            raise self._unreadable("experiment.json", error) from None
        return found

    def trials(self) -> list[Trial]:
        """Every trial. RunError where they cannot be read."""
        try:
            lines = read_document(self.trials_path).splitlines()
            return [Trial(**json.loads(line)) for line in lines if line.strip()]
        except (OSError, TypeError, ValueError) as error:
            raise self._unreadable("trials.jsonl", error) from None

    def write(self, trials: Sequence[Trial]) -> None:
        """Replace the trials' file whole; it is on the disk when this returns. Raises OSError."""
        lines = (json.dumps(asdict(one), ensure_ascii=False) for one in trials)
        write_whole(self.trials_path, "\n".join(lines) + "\n", durable=True)

    def plan_of(self, trial: Trial, seed: int) -> Plan:
        """The plan of a trial's run: its values, its seed, and the rows that all trials hold out."""
        plan = self.plan()
        return with_values(plan, {**trial.values, "training.seed": seed, "dataset.split_seed": plan.split_seed})

    def run(self, name: str) -> Run:
        """A trial's run."""
        return Run(runs_home() / name)

    @property
    def is_open(self) -> bool:
        """Whether it goes on, on whichever machine."""
        return self.open_path.exists()

    @contextlib.contextmanager
    def owned(self, seconds: float = LOCK_SECONDS) -> Iterator[None]:
        """Nobody else brings it further meanwhile. RunError where somebody does for so long, or it cannot be
        written.
        """
        try:
            lock = os.fdopen(open_own(self.path / ".lock", os.O_WRONLY | os.O_CREAT), "w")
            if not is_locked_within(lock, seconds):
                raise BusyError(
                    f"experiment {self.name} is being brought further just now.", hint="Try again in a moment."
                )
            with lock:
                yield
        except OSError as error:
            raise RunError(
                f"experiment {self.name} cannot be written: {error.strerror or error}.", where=str(self.path)
            ) from None

    def _unreadable(self, name: str, error: Exception) -> RunError:
        why = getattr(error, "strerror", None) or "it is not of this form"
        hint = "Its runs are whole: `loratui runs` lists them."
        return RunError(f"experiment {self.name} cannot be read: {why}.", where=str(self.path / name), hint=hint)


def experiments() -> list[Experiment]:
    """All experiments of this home, by name."""
    folder = experiments_home()
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [Experiment(one) for one in found if one.name[0] != "." and (one / "experiment.json").is_file()]


def open_here() -> list[Experiment]:
    """Those that go on on this machine."""
    found = []
    for path in experiments_home().glob("*/open"):
        with contextlib.suppress(OSError):
            if read_document(path).strip() == socket.gethostname():
                found.append(Experiment(path.parent))
    return found


def find_experiment(name: str) -> Experiment:
    """The experiment of this name, or the only one whose name begins so. RunError where there is none."""
    known = experiments()
    found = [one for one in known if one.name == name] or [one for one in known if one.name.startswith(name)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(one.name for one in (found or known)[-8:])
    words = f"{name!r} fits several experiments: {names}." if found else f"there is no experiment {name!r}."
    raise RunError(words, hint=f"There are: {names}." if known and not found else "`loratui try list` lists them.")
