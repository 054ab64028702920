"""Going on with a run that ended: as it is, with a change to its plan, or for more epochs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from threading import get_ident
from typing import Any

from loratui.core.errors import RunError
from loratui.core.plan import Plan
from loratui.runs.checkpoints import refused
from loratui.runs.continuation import change, continuation, may_begin, why_no_checkpoint
from loratui.runs.course import read_course
from loratui.runs.directory import Run
from loratui.runs.events import append_event
from loratui.runs.failure import Trouble, trouble_of
from loratui.runs.history import since_last_start
from loratui.runs.lock import take_lock
from loratui.runs.own import require_own
from loratui.runs.result import lost
from loratui.runs.start import start_worker

RESUME_LOCK = ".resume.lock"
"""Held by whoever resumes a run, from the first look at it until its worker is started."""
_RESUMING: set[tuple[str, int]] = set()
"""Runs that a thread of this process is resuming."""


@contextmanager
def resuming(run: Run) -> Iterator[None]:
    """Nobody else resumes the run meanwhile, and no worker is at work: what is looked at now is still so when it is
    acted on. RunError where somebody does, or one is. Whoever holds it already may take it again.
    """
    mine = (str(run.place), get_ident())
    if mine in _RESUMING:
        yield
        return
    require_own(run)
    try:
        lock = take_lock(run.path / RESUME_LOCK)
    except RunError:
        raise RunError(
            f"another resume of run {run.name} is under way.", hint=f"Watch it with `loratui attach {run.typed}`."
        ) from None
    except OSError as error:
        raise RunError(f"it cannot be written: {error.strerror or error}.", where=str(run.place)) from None
    with lock:
        _RESUMING.add(mine)
        try:
            require_over(run)
            require_own(run)
            yield
        finally:
            _RESUMING.discard(mine)


def resume_run(run: Run) -> int:
    """Start a worker that continues from the last whole checkpoint (from the beginning where there is none); its
    process id.

    Of a finished run, only a result that is gone or damaged is written again. Raises RunError when the run is still
    going or is finished.
    """
    with resuming(run):
        if run.status().state == "finished" and not lost(run):
            raise finished(run)
        return start_worker(run)


def finished(run: Run) -> RunError:
    """What to say where a finished run would only go on from its end."""
    return RunError(
        f"run {run.name} is finished.",
        hint=(
            "`--anew` trains it again from the base, `--extend 1` for one more epoch; or start a new run with "
            "lora.adapter set to its adapter."
        ),
    )


def require_over(run: Run) -> None:
    """RunError while a worker is at work."""
    status = run.status()
    if not status.over:
        raise RunError(
            f"run {run.name} is still going ({status.state}).", hint=f"Watch it with `loratui attach {run.typed}`."
        )


def change_and_resume(
    run: Run,
    changes: Mapping[str, Any],
    *,
    restart: bool = False,
    reason: str = "",
    at_step: int = 0,
    sound: int | None = None,
) -> int:
    """Apply a fix (dotted plan keys and values) and go on where the changes allow; the new worker's process id.

    `core.plan_change` decides: from the last sound checkpoint, from its weights alone, or anew from the base, as
    `restart` always does. What is not gone on from is set aside. The plan as it was stays as `plan.1.toml`,
    `plan.2.toml`, …, and a `fix` event tells of it. reason, at_step: the finding's kind and where the trouble was; else
    what ended the last worker. sound: the last step whose weights are sound, where the finding knows it. PlanError when
    a value is not allowed, RunError when the run is still going, or is finished and would only go on from its end
    without becoming longer.
    """
    with resuming(run):
        state = run.status().state
        how = continuation(run, changes, restart=restart, sound=sound) if state == "finished" else None
        if how is not None and not may_begin(state, how.start, longer=how.longer):
            raise finished(run)
        _change(run, changes, restart=restart, sound=sound, reason=reason, at_step=at_step)
        return start_worker(run)


def _change(
    run: Run,
    changes: Mapping[str, Any],
    *,
    restart: bool = False,
    sound: int | None = None,
    reason: str = "",
    at_step: int = 0,
) -> None:
    with take_lock(run.lock_path):
        trouble = Trouble(reason, at_step) if reason else trouble_of(since_last_start(run.events_path)) or Trouble("")
        damaged = () if restart else refused(run.checkpoints_path)
        how = continuation(run, changes, restart=restart, sound=sound, damaged=damaged)
        append_event(
            run,
            "fix",
            **change(run, how),
            reason=trouble.reason,
            at_step=trouble.step,
            where=trouble.where,
            by="person",
        )


def extend_run(run: Run, epochs: float) -> int:
    """Train a finished or stopped run for more epochs from its last checkpoint; the worker's process id.

    The schedule is stretched: the learning rate goes up again to where the longer schedule is at that step. A plan
    that counts steps gets as many more as these epochs have.
    """
    with resuming(run):
        plan = run.plan()
        if run.last_checkpoint() is None:
            raise RunError(f"run {run.name} has no checkpoint to go on from ({why_no_checkpoint(run)}).")
        _change(run, longer(run, plan, epochs))
        return start_worker(run)


def longer(run: Run, plan: Plan, epochs: float) -> dict[str, Any]:
    """The changes that train a run for more epochs: more of them, or their steps where the plan counts steps."""
    steps = plan.training.max_steps
    if not steps:
        return {"training.epochs": plan.training.epochs + epochs}
    made = read_course(run).last()
    if made is None or made.epoch <= 0:
        raise RunError(
            f"run {run.name} counts steps (training.max_steps = {steps}), and how many an epoch has is not known.",
            hint="Give a higher one: --set training.max_steps=…",
        )
    return {"training.max_steps": max(steps, made.step) + max(1, round(epochs * made.step / made.epoch))}
