"""The jobs of a person, asked of `squeue` at most once in ten seconds, however many processes and runs look.

Schedulers are shared: what one process asked lies in a file for all others. How a job ended stays there for as long as
somebody may ask: Slurm itself forgets after minutes.
"""

from __future__ import annotations

import contextlib
import fcntl
import getpass
import json
import os
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from loratui.cluster.slurm import ClusterError, ask
from loratui.files import make_folder, open_own, read_object, write_whole
from loratui.paths import state_home

PERIOD_SECONDS = 10.0
REMEMBERED = 5_000
"""Ended jobs that are remembered, the newest first."""
Life = Literal["waiting", "running", "over"]
WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
OVER = frozenset(
    {
        "COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "BOOT_FAIL", "DEADLINE",
        "PREEMPTED", "REVOKED",
    }
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job as Slurm sees it. Times are Unix seconds, 0 where they are not known."""

    id: int
    name: str = ""
    state: str = ""
    """Slurm's own word, e.g. `PENDING`, `NODE_FAIL`."""
    reason: str = ""
    """Why it waits, in Slurm's word."""
    partition: str = ""
    account: str = ""
    nodes: str = ""
    """Nodes that it runs or ran on, e.g. `n[1-2]`."""
    failed_node: str = ""
    ran_on: str = ""
    """Of a job that waits again: the nodes that it was last seen to run on."""
    submitted: float = 0.0
    start: float = 0.0
    """When it began; of a waiting job, when Slurm expects it to."""
    end: float = 0.0
    """When it ended, or will be ended."""
    restarts: int = 0
    exit_status: int = 0
    signal: int = 0

    @property
    def life(self) -> Life:
        """Whether it waits, runs, or is over."""
        return "waiting" if self.state in WAITING else "over" if self.state in OVER else "running"


@dataclass(frozen=True)
class Queue:
    """What was known at `asked` (Unix seconds). problem: why Slurm could not be asked; empty: it was."""

    asked: float
    jobs: dict[int, Job]
    problem: str = ""

    def job(self, number: int) -> Job | None:
        """The job; None where Slurm knows none of this number (any more)."""
        return self.jobs.get(number)


def look(*, now: float | None = None) -> Queue:
    """The person's jobs, at most ten seconds old, and every ended one that was ever seen. Never raises."""
    now = time.time() if now is None else now
    kept = _read()
    if kept is not None and 0 <= now - kept.asked < PERIOD_SECONDS:
        return kept
    try:
        make_folder(_path().parent)
        with os.fdopen(open_own(_path().with_suffix(".lock"), os.O_WRONLY | os.O_CREAT), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept = _read()  # somebody else may have asked while this one waited
            now = max(now, time.time())
            if kept is not None and 0 <= now - kept.asked < PERIOD_SECONDS:
                return kept
            fresh = _asked(kept, now)
            with contextlib.suppress(OSError):
                _write(fresh)
            return fresh
    except OSError:  # a home that cannot be written to remembers nothing
        return _asked(kept, now)


def _asked(kept: Queue | None, now: float) -> Queue:
    ended = {number: job for number, job in (kept.jobs if kept else {}).items() if job.life == "over"}
    try:
        found = parse_jobs(ask(["squeue", "--json", "--user", getpass.getuser(), "--states", "all"]))
    except ClusterError as error:
        return Queue(now, kept.jobs if kept else {}, error.sentence)
    before = kept.jobs if kept else {}
    seen = [replace(job, ran_on=_ran_on(before.get(job.id))) if job.life == "waiting" else job for job in found]
    jobs = {**ended, **{job.id: job for job in seen}}
    newest = sorted(jobs.values(), key=lambda job: (job.life == "over", -job.submitted))[:REMEMBERED]
    return Queue(now, {job.id: job for job in newest})


def _ran_on(before: Job | None) -> str:
    return (before.nodes or before.ran_on) if before is not None else ""


def _path() -> Path:
    return state_home() / "slurm-queue.json"


def _read() -> Queue | None:
    try:
        kept = read_object(_path())
        jobs = [Job(**fields) for fields in kept["jobs"]]
        return Queue(float(kept["asked"]), {job.id: job for job in jobs}, str(kept.get("problem", "")))
    except (OSError, KeyError, TypeError, ValueError):
        return None


def _write(queue: Queue) -> None:
    document = {"asked": queue.asked, "problem": queue.problem, "jobs": [asdict(job) for job in queue.jobs.values()]}
    write_whole(_path(), json.dumps(document) + "\n")


def parse_jobs(text: str) -> list[Job]:
    """The jobs of `squeue --json`, of Slurm 21.08 and of those since, whose numbers and states have another form.

    Raises ClusterError where it is no such JSON.
    """
    try:
        document = json.loads(text)
        found = [_job(one) for one in document["jobs"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ClusterError(f"what squeue --json printed cannot be read: {error}.") from None
    latest: dict[int, Job] = {}
    for job in found:  # a federation names a job several times
        if job.id not in latest or latest[job.id].submitted <= job.submitted:
            latest[job.id] = job
    return list(latest.values())


def _job(one: dict[str, Any]) -> Job:
    states = one.get("job_state", "")
    words = [str(word) for word in states] if isinstance(states, list) else [str(states)]
    state = words[0] if words else ""
    if "COMPLETING" in words and state in OVER:
        state = "COMPLETING"
    exits = one.get("exit_code", 0)
    status, killed = _exit(exits)
    return Job(
        id=int(_number(one["job_id"])),
        name=str(one.get("name", "")),
        state="REQUEUED" if any(word.startswith("REQUEUE") for word in words) and state in OVER else state,
        reason=str(one.get("state_reason", "") or "").replace("None", ""),
        partition=str(one.get("partition", "")),
        account=str(one.get("account", "")),
        nodes=str(one.get("nodes", "") or ""),
        failed_node=str(one.get("failed_node", "") or ""),
        submitted=_number(one.get("submit_time", 0)),
        start=_number(one.get("start_time", 0)),
        end=_number(one.get("end_time", 0)),
        restarts=int(_number(one.get("restart_cnt", 0))),
        exit_status=status,
        signal=killed,
    )


def _number(value: Any) -> float:
    """A number, plain or as `{"set": true, "infinite": false, "number": 5}`; 0 for none."""
    if isinstance(value, dict):
        return float(value.get("number") or 0) if value.get("set", True) and not value.get("infinite") else 0.0
    return float(value or 0)


def _exit(value: Any) -> tuple[int, int]:
    """Exit status and signal of a job: a wait status, or the object that later versions make of it."""
    if isinstance(value, dict):
        killed = value.get("signal", {})
        number = killed.get("id", killed.get("signal_id", 0)) if isinstance(killed, dict) else killed
        return int(_number(value.get("return_code", 0))), int(_number(number))
    status = int(value or 0)
    return status >> 8, status & 0x7F
