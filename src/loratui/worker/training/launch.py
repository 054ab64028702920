"""A run on several GPUs: a launcher begins one process for each, and this one watches over them.

It is the run's process id until they have begun and after they have ended: what one of them could not say (it was
killed, or it is not the one that writes) is said here, and a run that may mend itself begins anew here. On several
nodes each has a launcher and one that watches; the first node's is the one that says.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import time
from types import FrameType

from loratui.cluster.job_script import GOES_ON
from loratui.core.division import node_count
from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.machine.memory_kills import read_kills
from loratui.runs.directory import Run
from loratui.runs.status import read_status
from loratui.runs.stop_note import who_asked
from loratui.worker.training.ending import (
    FELLOW_LOST,
    Ending,
    ending_of,
    has_left,
    leave,
    say,
    take_left,
)
from loratui.worker.training.gone import NODE_RANKS, PATIENCE_SECONDS, cause_of, gone, silent
from loratui.worker.training.journal import WATCHED, Journal
from loratui.worker.training.outcome import left as left_for_next
from loratui.worker.training.processes import (
    end_with_children,
    hear_nothing,
    launched,
    launcher_environment,
    node_name,
    node_number,
    process_count,
)
from loratui.worker.training.rehearse import before as rehearse_before
from loratui.worker.training.rehearse import begin as begin_rehearsal
from loratui.worker.training.rehearse import clear
from loratui.worker.training.signals import HEEDED, Requests, StopRequestedError, requeued_job

log = logging.getLogger("loratui")
END_SECONDS = 60.0
"""How much longer the processes of another node may take to end once the run is over: nothing is lost by then."""
PERIOD_SECONDS = 0.2


class _Watch:
    """Passes signals on to the process that writes, and ends all where one has failed."""

    def __init__(self, run: Run, requests: Requests, *, beside: bool = False) -> None:
        """beside: on another node than the first, which alone begins and ends the run."""
        self.run, self.requests, self.beside = run, requests, beside
        self.stopped = ""
        self._began = time.time()

    def install(self) -> None:
        """Take the signals over."""
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        status = self.run.status() if "SLURM_JOB_ID" not in os.environ else read_status(self.run.status_path)
        if status is not None and status.pid not in (0, os.getpid()) and not status.over:
            if "SLURM_JOB_ID" in os.environ:
                return  # a scheduler's signal reaches every process of the job
            try:
                os.kill(status.pid, number)
            except ProcessLookupError:
                log.warning("process %d ended before it could be told of signal %d", status.pid, number)
        elif number in (signal.SIGTERM, signal.SIGINT):  # nobody has begun to train: there is nothing to save
            self.requests.heed(number)
            self.stopped = self.requests.reason

    def wait(self, process: subprocess.Popen[bytes]) -> int:
        """Watch the launcher until it ends; its exit status."""
        failed_since = 0.0
        while process.poll() is None:
            time.sleep(PERIOD_SECONDS)
            if self.stopped or (failed_since and time.monotonic() - failed_since > PATIENCE_SECONDS):
                end_with_children(process)
            elif not failed_since and has_left(self.run):
                failed_since = time.monotonic()
            elif not failed_since and self.beside and self._is_over():
                failed_since = time.monotonic() + END_SECONDS
        return process.returncode

    def _is_over(self) -> bool:
        status = read_status(self.run.status_path)
        return status is not None and status.ended > self._began


def train_together(run: Run, plan: Plan, *, rehearse: bool, until: int = 0) -> int:
    """Execute a run of several processes; 0 finished or stopped as asked, 1 failed, 75 left for its next job. until:
    the step after which it stops; 0: none.
    """
    requests = Requests(requeued=requeued_job(plan), until=until)
    requests.hold()
    if node_number() and node_count(plan) > 1:
        return _beside(run, plan, requests, rehearse=rehearse)
    try:
        journal = Journal(run)
    except (LoratuiError, OSError) as error:
        log.error("%s", error)
        return 1
    take_left(run)
    requests.who_asked = lambda: who_asked(run.path, journal.status.created)
    try:
        requests.install()
        clear(run)
        if rehearse:
            rehearse_before(run, journal)
        journal.phase("start", f"Starting {process_count(plan)} processes", state="starting")
        watch, kills, began = _Watch(run, requests), read_kills(), journal.status.created
        watch.install()
        process = _begin(run, plan, requests.until)
        journal.hand_over()
        code = watch.wait(process)
    except StopRequestedError as error:
        return _stopped(journal, requests, str(error))
    except BaseException as error:  # noqa: BLE001 (whatever it is, the run has to say so)
        return say(run, journal, ending_of(error, journal))
    status = read_status(run.status_path)
    if status is not None and status.created != began:
        log.info("somebody started this run anew: what becomes of it is theirs to say")
        return 0 if code == 0 else 1
    if not has_left(run) and status is not None:
        if status.state == "queued":
            return GOES_ON
        if status.over:
            return 0 if status.state in ("finished", "stopped") else 1
    if not watch.stopped and silent(run, code):
        leave(run, NODE_RANKS, gone(plan, kills, nodes=(node_name(),)))
    cause, unheard = cause_of(run) if node_count(plan) > 1 else (take_left(run), ())
    try:
        journal = Journal(run)
    except (LoratuiError, OSError) as error:
        log.error("%s", error)
        return 1
    if watch.stopped:
        return _stopped(journal, requests, watch.stopped)
    if cause is None or cause.code == FELLOW_LOST:
        log.info("the launcher ended with status %d", code)
        here = (node_name(),) if node_count(plan) == 1 else unheard
        cause = gone(plan, kills, step=journal.status.step, nodes=here)
    return say(run, journal, cause)


def _begin(run: Run, plan: Plan, until: int) -> subprocess.Popen[bytes]:
    """Start the launcher of this node."""
    in_job = "SLURM_JOB_ID" in os.environ
    return subprocess.Popen(
        launched(run, plan, ["--until", str(until)] if until else []),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env=os.environ | {WATCHED: str(os.getpid())} | launcher_environment(plan),
        preexec_fn=hear_nothing if in_job else None,
    )


def _beside(run: Run, plan: Plan, requests: Requests, *, rehearse: bool) -> int:
    """Watch over the processes of another node than the first, which alone speaks for the run."""
    watch, kills = _Watch(run, requests, beside=True), read_kills()
    watch.install()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEEDED)
    try:
        code = watch.wait(begin_rehearsal(run)) if rehearse else 0
        if code == 0 and not watch.stopped:
            code = watch.wait(_begin(run, plan, requests.until))
    except LoratuiError as error:
        log.error("%s", error)
        return leave(run, NODE_RANKS + node_number(), Ending("failed", str(error)))
    if not watch.stopped and silent(run, code):
        return leave(run, NODE_RANKS + node_number(), gone(plan, kills, nodes=(node_name(),)))
    return 0 if code == 0 or watch.stopped else 1


def _stopped(journal: Journal, requests: Requests, reason: str) -> int:
    """Say that it was stopped before anybody trained."""
    outcome = left_for_next(journal, requests, journal.status.step, reason)
    journal.close(outcome.state, outcome.message)
    return GOES_ON if outcome.state == "queued" else 0
