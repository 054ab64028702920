"""Going on with a run that ended: as it is, with a change to its plan, or for more epochs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from loratui.core.errors import RunError
from loratui.runs.changing import change, continuation, may_begin
from loratui.runs.directory import Run
from loratui.runs.events import EventTail, append_event
from loratui.runs.failure import Trouble, trouble_of
from loratui.runs.lock import take_lock
from loratui.runs.start import start_worker


def resume_run(run: Run) -> int:
    """Start a worker that continues from the last whole checkpoint (from the beginning where there is none); its
    process id.

    Raises RunError when the run is still going or is finished.
    """
    _require_over(run)
    if run.status().state == "finished":
        raise _finished(run)
    return start_worker(run)


def _finished(run: Run) -> RunError:
    return RunError(
        f"run {run.name} is finished.",
        hint=(
            "`--anew` trains it again from the base, `--extend` for more epochs; or start a new run with lora.adapter "
            "set to its adapter."
        ),
    )


def _require_over(run: Run) -> None:
    status = run.status()
    if not status.over:
        raise RunError(
            f"run {run.name} is still going ({status.state}).", hint=f"Watch it with `loratui attach {run.name}`."
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

    `core.continuing` decides: from the last sound checkpoint, from its weights alone, or anew from the base, as
    `restart` always does. What is not gone on from is set aside. The plan as it was stays as `plan.1.toml`,
    `plan.2.toml`, …, and a `fix` event tells of it. reason, at_step: the finding's kind and where the trouble was; else
    what ended the last worker. sound: the last step whose weights are sound, where the finding knows it. PlanError when
    a value is not allowed, RunError when the run is still going, or is finished and would only go on from its end.
    """
    _require_over(run)
    state = run.status().state
    if state == "finished" and not may_begin(state, continuation(run, changes, restart=restart, sound=sound).start):
        raise _finished(run)
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
        trouble = (
            Trouble(reason, at_step) if reason else trouble_of(EventTail(run.events_path).new_events()) or Trouble("")
        )
        how = continuation(run, changes, restart=restart, sound=sound)
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

    The schedule is stretched: the learning rate goes up again to where the longer schedule is at that step.
    """
    plan = run.plan()
    if run.last_checkpoint() is None:
        raise RunError(f"run {run.name} has no checkpoint to go on from.")
    status = run.status()
    if not status.over:
        raise RunError(f"run {run.name} is still going ({status.state}).")
    if plan.training.max_steps:
        raise RunError(
            f"run {run.name} counts steps, not epochs (training.max_steps = {plan.training.max_steps}).",
            hint="Raise training.max_steps instead.",
        )
    _change(run, {"training.epochs": plan.training.epochs + epochs})
    return start_worker(run)
