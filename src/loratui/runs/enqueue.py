"""Putting a run into this machine's queue: made now, started when it finds room."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from pathlib import Path

from loratui.core.errors import LoratuiError, RunError
from loratui.core.plan import Plan
from loratui.core.proposal import Proposal
from loratui.runs.beside import track
from loratui.runs.directory import Run
from loratui.runs.fingerprint import what_would_differ
from loratui.runs.recovery import allow
from loratui.runs.resume import resuming
from loratui.runs.start import create_run, require_planned_gpu, worker_environment
from loratui.runs.status import Status, read_status, signs_of_life, write_status
from loratui.runs.waiting import Waiting, changing


def queue_run(
    plan: Plan,
    *,
    output: Path | str | None = None,
    rehearse: bool | None = None,
    auto_recover: bool = False,
    trackers: Sequence[str] = (),
    seconds: float = 0.0,
    memory: int = 0,
) -> Run:
    """Make a run that waits for this machine, the last of those that do. seconds, memory: what is predicted for it, 0
    where nothing is. Raises as `begin_run` does; RunError where the queue cannot be written.
    """
    require_planned_gpu(plan)
    worker_environment(plan)  # a GPU that is not there is said now, not in the night
    run = create_run(plan, output=output)
    try:
        if auto_recover:
            allow(run)
        track(run, trackers)
        append(run, rehearse, seconds, memory)
    except (LoratuiError, OSError) as error:
        failed = Status(state="failed", created=time.time(), message=f"It was never queued: {error}")
        write_status(run.status_path, failed)
        raise
    return run


def predicted(proposal: Proposal) -> tuple[float, int]:
    """Seconds and bytes by which a run of this proposal waits; 0 seconds where its time cannot be told."""
    seconds = sum(proposal.time.whole_seconds) / 2 if proposal.time is not None else 0.0
    return seconds, proposal.memory.upper_bytes


def queue_again(
    run: Run, *, seconds: float = 0.0, memory: int = 0, until: int = 0, rehearse: bool | None = None
) -> None:
    """Let a run that is over and not finished wait for its turn to go on. until: the step after which it stops; 0: at
    its end. RunError where it cannot go on as it is.
    """
    with resuming(run):
        if run.status().state == "finished":
            raise RunError(
                f"run {run.name} is finished.", hint="`loratui resume RUN --extend EPOCHS` trains it longer."
            )
        if found := what_would_differ(run):
            raise RunError(
                f"run {run.name} would not go on as it began: {found[0]}",
                hint=f"`loratui resume {run.typed}` asks what to do.",
            )
        if run.plan().cluster.engine:
            raise RunError(
                f"run {run.name} is for a scheduler.", hint=f"`loratui resume {run.typed}` submits it again."
            )
        append(run, rehearse, seconds, memory, until)


def append(run: Run, rehearse: bool | None, seconds: float, memory: int, until: int = 0) -> None:
    """Put a run that no worker has at the end of the queue. RunError where that cannot be written."""
    before = read_status(run.status_path)
    kept = {name: getattr(before, name) for name in ("created", "step", "total", "loss", "epoch")} if before else {}
    with changing() as queue:
        write_status(run.status_path, Status(state="queued", **{**kept, **signs_of_life()}))
        queue[:] = [one for one in queue if one.path != str(run.place)]
        one = Waiting(
            path=str(run.place),
            host=socket.gethostname(),
            added=round(time.time(), 3),
            rehearse=rehearse,
            seconds=round(seconds, 1),
            memory=memory,
            until=until,
        )
        queue.append(one)
