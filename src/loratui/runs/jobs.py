"""The jobs by which a scheduler executes a run, and what the run's state is by the scheduler's word.

A run lives where its job does: no process number is asked for. Its files say what it does; the scheduler says whether
anybody still does it.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from loratui.cluster.job_script import FAILED_SETUP
from loratui.cluster.queue import PERIOD_SECONDS, Job, Queue, look
from loratui.cluster.words import clock, end_words, job_words
from loratui.files import open_own, open_regular, read_object, write_whole
from loratui.format import duration, one_line
from loratui.machine.boot import boot_id, since_boot
from loratui.runs.checkpoints import is_whole, step_of
from loratui.runs.status import Status

NAME = "jobs.json"
FRESH_SECONDS = 4.0
"""A worker whose heartbeat is no older lives, whatever the scheduler was last heard to say."""
SILENT_SECONDS = 30.0
"""A worker that has been silent for so long is told of, though its job goes on: it beats once a second."""
CLOCK_SLACK_SECONDS = 120.0
"""How far a node's clock may be from this one's."""
CLOCK_NAME = ".clock"
"""Made for an instant beside a run's status, to be told by the file system's own clock how old that is."""


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """One job that was submitted for a run. submitted: Unix seconds."""

    id: int
    submitted: float
    partition: str = ""


def read_jobs(folder: Path) -> tuple[JobRecord, ...]:
    """The jobs of a run, the newest last; none for a run that no scheduler was handed."""
    try:
        found = read_object(folder / NAME)["jobs"]
        return tuple(
            JobRecord(id=int(one["id"]), submitted=float(one["submitted"]), partition=str(one.get("partition", "")))
            for one in found
        )
    except (OSError, KeyError, TypeError, ValueError):
        return ()


def add_job(folder: Path, record: JobRecord) -> None:
    """Remember a job that was submitted. Raises OSError."""
    jobs = [asdict(one) for one in (*read_jobs(folder), record)]
    write_whole(folder / NAME, json.dumps({"scheduler": "slurm", "jobs": jobs}, indent=1) + "\n", durable=True)


def last_job(folder: Path) -> JobRecord | None:
    """The job that executes a run now, or was the last to; None where this machine took it over since."""
    found = read_jobs(folder)
    return found[-1] if found and found[-1].id else None


def no_job(folder: Path) -> None:
    """Remember that a worker of this machine takes a run over that a scheduler had. Raises OSError."""
    if last_job(folder) is not None:
        add_job(folder, JobRecord(id=0, submitted=time.time()))


def by_scheduler(
    status: Status, record: JobRecord, folder: Path, *, queue: Queue | None = None, now: float | None = None
) -> Status:
    """The status with its true state, for a run that is not over by its worker's word."""
    now = time.time() if now is None else now
    known = queue or look()
    job = known.job(record.id)
    if job is not None and job.submitted < record.submitted - CLOCK_SLACK_SECONDS:
        job = None  # a number that was used before
    if job is None:
        return _unknown(status, record, known, folder)
    if job.life == "running":
        if status.state != "queued":
            return _silent(status, job, silence(status, folder, now))
        if status.pid and job.start < status.heartbeat:  # its worker has left, and the job is not queued again yet
            return status
        begun = f"Job {job.id} began{f' on {job.nodes}' if job.nodes else ''}: its first words are still to come."
        return status.model_copy(update={"state": "starting", "message": begun})
    if status.state != "queued" and status.pid and abs(now - status.heartbeat) <= FRESH_SECONDS:
        return status
    if job.life == "waiting":
        told = f"Job {job.id} {job_words(job)}."
        if status.pid and status.state != "queued":
            where = f" on {job.ran_on or status.host}" if job.ran_on or status.host else ""
            told += f" Its worker{where} ended without a word: the node was lost, or somebody killed it."
        return status.model_copy(update={"state": "queued", "message": told, "eta_seconds": None})
    return _ended(status, job, folder)


def silence(status: Status, folder: Path, now: float) -> float:
    """For how many seconds a worker has said nothing; 0 where that cannot be told, or is no more than the clocks of two
    machines may be apart. Three clocks are asked in turn: the machine's, where the worker is of this one; that of the
    file system, on which both the status and a file of this moment lie; and the two machines'.
    """
    age = now - status.heartbeat
    if abs(age) <= SILENT_SECONDS:
        return 0.0
    if status.beat and status.boot and status.boot == boot_id():
        return since_boot() - status.beat
    by_files = _age(folder, status.heartbeat)
    if by_files is not None:
        return by_files
    return age if age > SILENT_SECONDS + CLOCK_SLACK_SECONDS else 0.0


@dataclass(frozen=True)
class _Look:
    """What one look at a status showed: its heartbeat, and its age then. at: seconds of this process's own clock."""

    heartbeat: float
    at: float
    age: float


_looks: dict[Path, _Look] = {}


def _age(folder: Path, heartbeat: float) -> float | None:
    """A status's age; who looks again and again has a file made once in ten seconds, and none while the worker beats:
    a shared file system has better to do.
    """
    now, last = time.monotonic(), _looks.get(folder)
    if last is not None and last.heartbeat == heartbeat and now - last.at < PERIOD_SECONDS:
        return last.age + now - last.at
    beats = last is not None and last.heartbeat != heartbeat and now - last.at <= SILENT_SECONDS
    age = 0.0 if beats else _age_by_files(folder)
    if age is not None:
        _looks[folder] = _Look(heartbeat, now, age)
    return age


def _age_by_files(folder: Path) -> float | None:
    """A status's age by the clock of its file system. The file that is made, and removed, also lets a file system that
    remembers what a folder holds look anew. None where no file can be made there.
    """
    clock = folder / f"{CLOCK_NAME}-{os.getpid()}"
    try:
        os.close(open_own(clock, os.O_WRONLY | os.O_CREAT))
        try:
            os.utime(clock)
            return max(0.0, clock.stat().st_mtime - (folder / "status.json").stat().st_mtime)
        finally:
            clock.unlink(missing_ok=True)
    except OSError:
        return None


def _silent(status: Status, job: Job, seconds: float) -> Status:
    """The status of a run whose job goes on by the scheduler's word, with what is to be said where its worker has been
    silent: where a step's daemon was killed, and its script's, Slurm may wait for them until the time limit.
    """
    if not status.pid or seconds <= SILENT_SECONDS:
        return status
    where = f" on {job.nodes}" if job.nodes else ""
    told = f"Job {job.id} runs{where}, but its worker has said nothing for {duration(seconds)}: it hangs, or is gone."
    return status.model_copy(
        update={"message": f"{told} `loratui stop --kill` ends the job, `loratui resume` goes on."}
    )


def _unknown(status: Status, record: JobRecord, known: Queue, folder: Path) -> Status:
    if known.problem:
        return status.model_copy(update={"message": f"{known.problem} The state is as the run last wrote it."})
    if known.asked <= record.submitted + 1:
        partition = record.partition or "(default)"
        waits = f"Job {record.id} was submitted to partition {partition} at {clock(record.submitted)}."
        return status if status.pid else status.model_copy(update={"state": "queued", "message": waits})
    told = "when it ended nobody looked, and Slurm has forgotten it since"
    return _gone(status, f"Its job {record.id} is over: {told}.", folder, state="lost")


def _ended(status: Status, job: Job, folder: Path) -> Status:
    saved = status.state == "queued" and bool(status.pid)
    words = f"Its job {job.id} is over: {end_words(job)}"
    if saved and job.state in ("FAILED", "COMPLETED"):
        words += "; it saved before, and was not queued again"
    failed = why = _setup_line(folder)
    if job.state == "FAILED" and not failed and _is_empty(folder / "worker.log"):
        why = f"Its log is empty: it may be that its node does not see {folder}."
    state = "stopped" if job.state == "CANCELLED" or saved else "failed" if failed else "lost"
    return _gone(status, f"{words}. {why}".strip(), folder, state=state)


def _gone(status: Status, words: str, folder: Path, *, state: str) -> Status:
    steps = [step_of(one) for one in (folder / "checkpoints").glob("checkpoint-*") if _whole(one)]
    kept = f"The last whole checkpoint is checkpoint-{max(steps)}" if steps else "There is no checkpoint yet"
    message = f"{words} {kept}; `loratui resume` submits it again."
    return status.model_copy(update={"state": state, "message": message, "eta_seconds": None})


def _whole(folder: Path) -> bool:
    return folder.name.removeprefix("checkpoint-").isdigit() and is_whole(folder)


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except OSError:
        return True


def _setup_line(folder: Path) -> str:
    """The line of the log that says which command of the set-up failed, where that was the last thing that happened."""
    try:
        with open_regular(folder / "worker.log") as file:
            file.seek(max(0, file.seek(0, 2) - 4096))
            lines = [line.strip() for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    except OSError:
        return ""
    told = next((line for line in reversed(lines[-4:]) if line.startswith(FAILED_SETUP)), "")
    return f"The set-up (cluster.setup) failed{one_line(told.removeprefix(FAILED_SETUP), 200)}." if told else ""
