"""`python -m loratui.worker watch_step RUN_DIR`: begun by a job script beside Slurm's step, on the job's first node.

Where the daemon of a step (slurmstepd) is killed, what it began goes with it, and nobody tells srun: Slurm says RUNNING
until the time limit. What is left of the job on this node sees it: the run says so, and the job is ended.
"""

from __future__ import annotations

import argparse
import logging
import os
import re
import sys
import time
from pathlib import Path

import psutil

from loratui.cluster.slurm import ClusterError, ask
from loratui.core.errors import LoratuiError
from loratui.runs.directory import Run
from loratui.runs.jobs import CLOCK_SLACK_SECONDS
from loratui.runs.status import Status, read_status
from loratui.worker.training.ending import GONE, Ending, say
from loratui.worker.training.journal import Journal
from loratui.worker.training.processes import node_name

log = logging.getLogger("loratui")
PERIOD_SECONDS = 1.0
LEAVING_SECONDS = 10.0
"""How long srun may go on after this node's part of a run has ended that nobody can go on with."""
SAVING_SECONDS = 90.0
"""And after a run that ended well, whose processes on other nodes have longer to leave (`launch.END_SECONDS`)."""


def main(arguments: list[str]) -> int:
    """Look on until srun has ended; 0 where it ended by itself, 1 where it was ended here."""
    parser = argparse.ArgumentParser(prog="python -m loratui.worker watch_step")
    parser.add_argument("run", type=Path, help="directory of the run")
    run = Run(parser.parse_args(arguments).run.absolute())
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    script = os.getppid()
    watch = StepWatch(run, os.environ.get("SLURM_JOB_ID", ""), _began(script))
    while os.getppid() == script:
        time.sleep(PERIOD_SECONDS)
        steps = _children(script, "srun")
        if not steps and watch.task is not None:
            return 0
        if steps and watch.is_gone():
            watch.tell()
            watch.end(steps)
            return 1
    return 0


class StepWatch:
    """Whether the step's process on this node has ended without srun's knowing."""

    def __init__(self, run: Run, job: str, began: float) -> None:
        """job: Slurm's number of it. began: when its script did, in Unix seconds."""
        self.run, self.job, self._began = run, job, began
        self.task: psutil.Process | None = None
        """What srun began on this node; None until it was seen."""
        self._ended = 0.0
        self._beat: float | None = None
        self._heard = 0.0

    def is_gone(self) -> bool:
        """Whether the task has been gone for so long that srun should have ended, and no other node's process speaks
        for the run.
        """
        now = time.monotonic()
        status = self._status()
        beat = status.heartbeat if status else None
        if beat != self._beat:  # by this process's own clock, for the one that writes may be of another node
            self._beat, self._heard = beat, now
        if self.task is None:
            self.task = task_of(self.run.path, self.job)
            return False
        if _lives(self.task):
            self._ended = 0.0
            return False
        self._ended = self._ended or now
        if status is not None and (status.over or status.state == "queued"):
            return now - self._ended > (LEAVING_SECONDS if status.state == "failed" else SAVING_SECONDS)
        if daemon_lives(self.job):
            return False
        return min(now - self._ended, now - self._heard) > LEAVING_SECONDS

    def tell(self) -> None:
        """Say in the run what happened, where nobody has."""
        status = self._status()
        if status is not None and (status.over or status.state == "queued"):
            log.warning("the run is %s, and srun waits on for a step whose daemon is gone: it is ended", status.state)
            return
        where = f" on node {node_name()}" if node_name() else ""
        message = (
            f"Slurm's step of job {self.job} is gone{where} without a word: its daemon (slurmstepd) was killed or "
            "crashed, and what it began went with it."
        )
        log.error("%s", message)
        try:
            journal = Journal(self.run)
        except (LoratuiError, OSError) as error:
            log.error("the run cannot say so: %s", error)
            return
        say(self.run, journal, Ending("failed", message, GONE, step=journal.status.step, node=node_name()))

    def end(self, steps: list[psutil.Process]) -> None:
        """End srun, and with it the job; or let it go on in a next one where that was to be."""
        status = self._status()
        if status is not None and status.state == "queued":
            try:
                ask(["scontrol", "requeue", self.job])
                return
            except ClusterError as error:
                log.error("%s", error)
        for step in steps:
            for process in (step, *step.children(recursive=True)):
                try:
                    process.kill()
                except psutil.NoSuchProcess:
                    continue

    def _status(self) -> Status | None:
        """What this job's worker wrote; None before it has written anything."""
        status = read_status(self.run.status_path)
        earliest = self._began - CLOCK_SLACK_SECONDS
        return status if status is not None and status.pid and status.started >= earliest else None


def task_of(folder: Path, job: str) -> psutil.Process | None:
    """The process of this node that srun began for the run; None where there is none (yet)."""
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "train" not in words or str(folder) not in words or "srun" in words[0]:
            continue
        try:
            environment = process.environ()
        except psutil.Error:
            continue
        same = environment.get("SLURM_JOB_ID") == job and environment.get("SLURM_STEP_ID", "").isdigit()
        if same and environment.get("SLURMD_NODENAME", "") == node_name() and "RANK" not in environment:
            return process
    return None


def daemon_lives(job: str) -> bool:
    """Whether a daemon of one of the job's steps is seen on this node; one that is hidden from its user is not."""
    title = re.compile(rf"slurmstepd: \[{job}\.\d")  # those of the script and of what is outside have names
    return any(title.match(" ".join(one.info["cmdline"] or [])) for one in psutil.process_iter(["cmdline"]))


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _began(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return time.time()


def _children(pid: int, name: str) -> list[psutil.Process]:
    try:
        return [one for one in psutil.Process(pid).children() if one.name() == name]
    except psutil.Error:
        return []
