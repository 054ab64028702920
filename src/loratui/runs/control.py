"""Signals to a run's worker: stop, save now, evaluate now."""

from __future__ import annotations

import os
import signal
import time

from loratui.core.errors import RunError
from loratui.runs.directory import Run
from loratui.runs.status import Status


def stop_run(run: Run) -> None:
    """Ask the worker to finish the step, save and stop. Returns at once; the status says when it has.

    Raises RunError when no worker of this machine holds the run.
    """
    _signal(run, signal.SIGTERM)


def save_now(run: Run) -> None:
    """Ask the worker for a checkpoint after the step in hand."""
    _signal(run, signal.SIGUSR1)


def evaluate_now(run: Run) -> None:
    """Ask the worker to evaluate on the held-out rows after the step in hand."""
    _signal(run, signal.SIGUSR2)


def wait_ended(run: Run, timeout: float) -> Status:
    """Wait until the run is over, or until `timeout` seconds have passed; the newest status."""
    until = time.monotonic() + timeout
    while True:
        status = run.status()
        if status.over or time.monotonic() >= until:
            return status
        time.sleep(0.1)


def _signal(run: Run, number: signal.Signals) -> None:
    status = run.status()
    if status.over:
        raise RunError(f"run {run.name} is not running: it is {status.state}.")
    if not status.pid:
        raise RunError(f"run {run.name} has no worker yet.", hint="Try again in a moment.")
    if status.host and status.host != os.uname().nodename:
        raise RunError(f"run {run.name} runs on {status.host}.", hint="Log in there to send it a signal.")
    try:
        os.kill(status.pid, number)
    except ProcessLookupError:
        raise RunError(f"the worker of run {run.name} is gone.") from None
    except PermissionError:
        raise RunError(f"the worker of run {run.name} belongs to another user.") from None
