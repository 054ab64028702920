"""One line of the list of runs."""

from __future__ import annotations

from dataclasses import dataclass

from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.runs.directory import Run
from loratui.runs.jobs import read_jobs
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
        """What the commands take for it: its path where it lies elsewhere. No two runs have the same."""
        return self.run.argument

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
            "dataset": self.plan.dataset.named if self.plan else None,
            "method": self.plan.method.kind if self.plan else None,
        }


def summary(run: Run) -> RunSummary:
    """One run as it is now."""
    try:
        plan, problem = run.plan(), ""
    except LoratuiError as error:
        plan, problem = None, error.sentence
    status = run.status()
    return RunSummary(run, status, plan, run.created(), problem, is_foreign(run), ruin_of(run, status))
