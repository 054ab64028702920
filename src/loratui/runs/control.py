"""Signals to a run's worker: stop, save now, evaluate now. To one that a scheduler placed they go by the scheduler."""

from __future__ import annotations

import os
import signal
import time

from loratui.cluster.submit import cancel, signal_job
from loratui.core.errors import RunError
from loratui.runs.directory import Run
from loratui.runs.jobs import last_job
from loratui.runs.lock import take_lock
from loratui.runs.status import Status, write_status
from loratui.runs.stop_note import UNQUEUED, Asker, note
from loratui.runs.waiting import changing


def stop_run(run: Run, by: Asker) -> None:
    """Ask the worker to finish the step, save and stop. Returns at once; the status says when it has. by: who asks, as
    it is told afterwards.

    One that waits in a queue is taken out of it. Raises RunError when no worker of this machine holds the run,
    ClusterError where the scheduler does not pass it on.
    """
    _signal(run, signal.SIGTERM, by)


def save_now(run: Run) -> None:
    """Ask the worker for a checkpoint after the step in hand."""
    _signal(run, signal.SIGUSR1)


def evaluate_now(run: Run) -> None:
    """Ask the worker to evaluate on the held-out rows after the step in hand."""
    _signal(run, signal.SIGUSR2)


def cancel_run(run: Run) -> None:
    """End a run's job at once: what is not saved is lost. RunError where no scheduler has it, or it is over."""
    status, job = run.status(), last_job(run.path)
    if status.over:
        raise RunError(f"run {run.name} is not running: it is {status.state}.")
    if job is None:
        raise RunError(f"run {run.name} is no job of a scheduler.", hint=f"`loratui stop {run.typed}` saves and stops.")
    cancel(job.id)
    if not status.pid:
        _write_stopped(run, status, f"Job {job.id} was cancelled before it began.")


def wait_ended(run: Run, timeout: float) -> Status:
    """Wait until the run is over, or until `timeout` seconds have passed; the newest status."""
    until = time.monotonic() + timeout
    while True:
        status = run.status()
        if status.over or time.monotonic() >= until:
            return status
        time.sleep(0.1)


def _signal(run: Run, number: signal.Signals, by: Asker | None = None) -> None:
    """by: who asks for a stop; None where the signal is for something else."""
    status = run.status()
    if status.over:
        raise RunError(f"run {run.name} is not running: it is {status.state}.")
    job = last_job(run.path)
    if job is not None:
        _signal_job(run, status, job.id, number, by)
        return
    if status.state == "queued":
        if by is None:
            raise RunError(f"run {run.name} waits: {status.message}", hint="Try again once it runs.")
        leave_queue(run, by)
        return
    if not status.pid:
        raise RunError(f"run {run.name} has no worker yet.", hint="Try again in a moment.")
    if status.host and status.host != os.uname().nodename:
        raise RunError(f"run {run.name} runs on {status.host}.", hint="Log in there to send it a signal.")
    if by is not None:
        note(run.path, status, by)
    try:
        os.kill(status.pid, number)
    except ProcessLookupError:
        raise RunError(f"the worker of run {run.name} is gone.") from None
    except PermissionError:
        raise RunError(f"the worker of run {run.name} belongs to another user.") from None


def leave_queue(run: Run, by: Asker) -> None:
    """Take a run out of this machine's queue: it is stopped then. by: who asks. RunError where it does not wait, or is
    being started at this moment.
    """
    with changing() as queue:
        found = next((one for one in queue if one.path == str(run.place)), None)
        if found is None:
            raise RunError(f"run {run.name} does not wait for this machine: it is {run.status().state}.")
        if found.starting:
            raise RunError(f"run {run.name} is being started.", hint="Try again in a moment.")
        queue.remove(found)
        _write_stopped(run, run.status(), UNQUEUED[by])


def _signal_job(run: Run, status: Status, job: int, number: signal.Signals, by: Asker | None) -> None:
    """A person's stop is SIGINT to a job: SIGTERM is the scheduler's own, after which the run goes on in the next."""
    if status.state == "queued" or not status.pid:
        if by is None:
            raise RunError(f"run {run.name} waits: {status.message}", hint="Try again once it runs.")
        cancel(job)
        _write_stopped(run, status, f"{UNQUEUED[by]} (job {job})")
        return
    if by is not None:
        note(run.path, status, by)
    names = {signal.SIGTERM: "INT", signal.SIGUSR1: "USR1", signal.SIGUSR2: "USR2"}
    signal_job(job, names[number])


def _write_stopped(run: Run, status: Status, message: str) -> None:
    try:
        with take_lock(run.lock_path):
            ended = {"state": "stopped", "message": message, "ended": round(time.time(), 3)}
            write_status(run.status_path, status.model_copy(update=ended))
    except OSError as error:
        raise RunError(f"it cannot be written: {error.strerror or error}.", where=str(run.place)) from None
