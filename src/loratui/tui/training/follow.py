"""Following a run by its files alone: nothing here talks to the worker, so any number of screens may look on."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from loratui.core.diagnosis import diagnose
from loratui.core.early_stopping import UNDECIDED, undecided_afterwards
from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.experiments.standing import Standing, standing_of
from loratui.runs.directory import Run
from loratui.runs.events import EventTail
from loratui.runs.failure import SPOILT
from loratui.runs.follow import unreadable_words
from loratui.runs.stall import stall_words
from loratui.runs.status import Status
from loratui.tui.training.record import RunRecord

if TYPE_CHECKING:
    from loratui.core.diagnosis import Finding
    from loratui.runs.events import Finding as Told

DIAGNOSE_SECONDS = 5.0
LONG_BYTES = 8 << 20
"""A longer history is taken in by its outline."""
CHUNK_BYTES = 2 << 20
"""Read at once; a long history is taken in by several polls."""
ABSENT = (0, 0)
"""The mark of a file that is not there."""


class Shown(NamedTuple):
    """A finding as the monitor shows it. kind: a stable word. by: worker or curves. advice: what mends it first."""

    kind: str
    severity: str
    message: str
    step: int
    by: str
    advice: str = ""


@dataclass
class Followed:
    """A run and what is known of it. `poll` is slow work for a thread."""

    run: Run
    record: RunRecord = field(default_factory=RunRecord)
    status: Status = field(default_factory=Status)
    plan: Plan | None = None
    problem: str = ""
    """Why the run's plan cannot be read, as of the last poll; the one that was read before stays."""
    whole: bool = False
    """Whether the history was read to its present end."""
    findings: list[Finding] = field(default_factory=list)
    """What the curves show, the gravest first, with what would mend it."""

    gone: bool = False
    """Whether its folder was moved or removed, as of the last poll."""
    looked: bool = False
    """Whether its files have been looked at: before that its state is not known."""
    stall: str = ""
    """For how long no step has been made, and where the processes stand; empty where all is well."""
    trial: Standing | None = None
    """What it is in an experiment; None for a run that is no trial."""
    has_checkpoint: bool | None = None
    """Whether a whole checkpoint lies in the run's directory, as of the last poll; None before the first one."""

    def __post_init__(self) -> None:
        self._checkpoints_seen: tuple[object, ...] = ()
        self._tail = EventTail(self.run.events_path)
        self._seen: tuple[int, int] = (-1, -1)
        self._plan_seen: tuple[int, int] = (-1, -1)
        self._unreadable_before = 0
        self._diagnosed: tuple[object, ...] = ()
        self._diagnosed_at = 0.0

    @property
    def to_the_point(self) -> list[Finding]:
        """What the curves show, without what says nothing once its worker has found the run spoilt."""
        told = any(one.finding in SPOILT and one.severity == "error" for one in self.record.findings)
        return [seen for seen in self.findings if not told or seen.kind in SPOILT]

    @property
    def shown(self) -> list[Shown]:
        """What is told of the run, in its order: the worker's own findings, the newest first, then what the curves show
        beyond them.
        """
        told = [
            Shown(one.finding, one.severity, self._told_now(one), one.step, "worker")
            for one in reversed(self.record.findings)
        ]
        known = any(one.kind in SPOILT for one in told)
        seen = [one for one in self.to_the_point if not (known and one.kind in SPOILT)]  # its worker has said so
        return told + [
            Shown(
                one.kind, one.severity, one.message, one.since_step, "curves", one.fixes[0].advice if one.fixes else ""
            )
            for one in seen
        ]

    def _told_now(self, finding: Told) -> str:
        """A worker's sentence: what it foretold is past once the run is over."""
        if finding.finding != UNDECIDED or not self.status.over:
            return finding.message
        return undecided_afterwards(finding.message, finished=self.status.state == "finished")

    @property
    def warnings(self) -> list[str]:
        """What a person should know of the run beside its findings: that it stands still, or cannot be read whole."""
        lines = unreadable_words(self._unreadable_before + self._tail.unreadable_lines)
        return [words for words in (self.stall, lines) if words]

    def poll(self) -> bool:
        """Read what is new; whether anything is."""
        replanned = self._read_plan()
        before, stood, known = self.status, self.stall, len(self.warnings)
        self.status = self.run.status()
        self.gone = not self.run.path.is_dir()
        self.stall = stall_words(self.status)
        count = 0
        if _mark(self.run.events_path) != self._seen or not self.whole:
            self._seen = _mark(self.run.events_path)
            count = self._take_history() if self._tail.offset == 0 and self._seen[0] > LONG_BYTES else self._take_new()
        had_checkpoint, stood_as = self.has_checkpoint, self.trial
        self._look_for_its_experiment()
        self._look_for_checkpoints()
        diagnosed = self.whole and self._diagnose()
        self.looked = True
        news = count > 0 or replanned or diagnosed or self.stall != stood or len(self.warnings) != known
        news = news or self.trial != stood_as
        return news or _told(before) != _told(self.status) or self.has_checkpoint != had_checkpoint

    def _read_plan(self) -> bool:
        """Read the plan where its file changed: more epochs or a fix write it anew. Whether another is known now."""
        now, known = _mark(self.run.plan_path), self.plan is not None or bool(self.problem)
        if known and now in (self._plan_seen, ABSENT):  # that the folder is gone is told by itself
            return False
        self._plan_seen, before, problem = now, self.plan, self.problem
        try:
            self.plan, self.problem = self.run.plan(), ""
        except LoratuiError as error:
            self.problem = error.sentence
        return (self.plan, self.problem) != (before, problem)

    def _take_new(self) -> int:
        start = self._tail.offset
        count = self.record.take(self._tail.new_events(limit_bytes=CHUNK_BYTES))
        self.whole = self._tail.offset - start < CHUNK_BYTES // 2
        return count

    def _take_history(self) -> int:
        from loratui.tui.training.history import History

        try:
            history = History(self.run.events_path)
            count = self.record.take(history)
        except OSError:
            return 0
        self._tail = EventTail(self.run.events_path, offset=history.offset)
        self._unreadable_before = history.unreadable_lines
        return count

    def _diagnose(self) -> bool:
        """Whether something else is found than before."""
        over = self.status.over
        begun = self.record.started.time if self.record.started else 0.0  # one that begins anew ends where it ended
        now = (begun, self.record.step.step if self.record.step else 0, len(self.record.evals), over)
        due = time.monotonic() - self._diagnosed_at >= DIAGNOSE_SECONDS or over
        if self.plan is None or now == self._diagnosed or not due:
            return False

        self._diagnosed, self._diagnosed_at = now, time.monotonic()
        known, before = self.run.proposed(), self.findings
        curves = self.record.as_curves(finished=over, proposed=known.get("values"), bf16=known.get("bf16"))
        self.findings = diagnose(curves, self.plan)
        return self.findings != before

    def _look_for_its_experiment(self) -> None:
        try:
            self.trial = standing_of(self.run)
        except LoratuiError as error:
            self.trial = Standing(error.sentence, open=False)

    def _look_for_checkpoints(self) -> None:
        """Only where something may have changed: each one has a file that grows with the run."""
        try:
            changed = self.run.checkpoints_path.stat().st_mtime_ns
        except OSError:
            changed = 0
        seen = (changed, len(self.record.checkpoints), self.status.state)
        if seen != self._checkpoints_seen or not self.has_checkpoint:
            self._checkpoints_seen = seen
            self.has_checkpoint = self.run.last_checkpoint() is not None


def _mark(path: Path) -> tuple[int, int]:
    """What changes with a file: its size and when it was written (nanoseconds); `ABSENT` where there is none."""
    try:
        found = path.stat()
    except OSError:
        return ABSENT
    return found.st_size, found.st_mtime_ns


def _told(status: Status) -> tuple[object, ...]:
    """What of a status is shown; the heartbeat is not."""
    return status.state, status.step, status.total, status.message, status.phase, status.pid


def follow(path: str) -> Followed:
    """The run in this directory."""
    return Followed(Run(Path(path)))
