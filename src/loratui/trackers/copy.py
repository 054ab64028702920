"""A run copied into a tracker, whole or as it goes on; one process at a time, and nothing twice."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from loratui.core.errors import RunError
from loratui.files import make_folder, open_own
from loratui.runs.directory import Run
from loratui.runs.events import Eval, EventTail, Started, Step
from loratui.trackers.rows import Replay, Row, row_of
from loratui.trackers.tracker import PROJECT, Tracker, facts_of, tracker

POLL_SECONDS = 2.0


@contextlib.contextmanager
def only_one(run: Run, name: str, *, wait: bool) -> Iterator[None]:
    """Nobody else copies this run into this tracker meanwhile. RunError where somebody does, unless one waits."""
    folder = run.path / "trackers"
    make_folder(folder)
    with os.fdopen(open_own(folder / f".{name}.lock", os.O_WRONLY | os.O_CREAT), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise RunError(
                f"run {run.name} is being copied to {name} already.", hint="Its follower goes on until the run is over."
            ) from None
        yield


class Copy:
    """One run's copy in one tracker. `renew` begins it anew, `grow` takes up what came since."""

    def __init__(self, run: Run, name: str, *, project: str = PROJECT, into: Path | None = None) -> None:
        self.run, self.name = run, name
        self._project, self._into = project, into
        self._tracker: Tracker | None = None
        self._tail = EventTail(run.events_path)
        self._step = 0
        self._evals: set[int] = set()
        self.rows = 0

    @property
    def where(self) -> str:
        """Where the copy lies; empty before there is one."""
        return self._tracker.where if self._tracker is not None else ""

    def renew(self) -> None:
        """Copy everything that counts so far; an earlier copy makes room for this one."""
        if self._tracker is not None:
            self._tracker.end("superseded")
        facts = facts_of(self.run, project=self._project, into=self._into, name=self.name)
        self._tracker = tracker(self.name)
        self._tracker.begin(facts)
        self._step, self._evals, self.rows = 0, set(), 0
        replay = Replay(self.run.events_path)
        for row in replay:
            self._take(row)
        self._tracker.flush()
        self._tail = EventTail(self.run.events_path, offset=replay.offset)

    def grow(self) -> None:
        """Take up what the run told since; where it went back to an earlier step, everything anew."""
        assert self._tracker is not None
        news = False
        for event in self._tail.stream():
            back = (
                (isinstance(event, Started) and event.step < self._step)
                or (isinstance(event, Step) and event.step <= self._step)
                or (isinstance(event, Eval) and event.step in self._evals)
            )
            if back:
                self.renew()
                return
            if (row := row_of(event)) is not None:
                self._take(row, isinstance(event, Eval))
                news = True
        if news:
            self._tracker.flush()

    def end(self) -> None:
        """The run is over: say so there."""
        assert self._tracker is not None
        self._tracker.end(self.run.status().state)

    def _take(self, row: Any, evaluation: bool | None = None) -> None:
        assert self._tracker is not None
        if not isinstance(row, Row):
            self._tracker.said(row)
            return
        if evaluation is None:
            evaluation = any(name.startswith("eval/") for name in row.values)
        if evaluation:
            self._evals.add(row.step)
        self._step = max(self._step, row.step)
        self._tracker.row(row)
        self.rows += 1


def export(run: Run, name: str, *, project: str = PROJECT, into: Path | None = None) -> Copy:
    """Copy a run as it is now, whole. Raises LoratuiError, OSError."""
    with only_one(run, name, wait=False):
        copy = Copy(run, name, project=project, into=into)
        copy.renew()
        copy.end()
        return copy


def follow(run: Run, name: str, *, project: str = PROJECT) -> None:
    """Copy a run as it goes on, until it is over. Raises LoratuiError, OSError."""
    with only_one(run, name, wait=True):
        copy = Copy(run, name, project=project)
        copy.renew()
        while run.path.is_dir():
            over = run.status().over
            copy.grow()
            if over:
                break
            time.sleep(POLL_SECONDS)
        copy.end()
