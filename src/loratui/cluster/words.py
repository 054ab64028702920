"""What Slurm's words for a job mean, in sentences."""

from __future__ import annotations

import time

from loratui.cluster.queue import Job

REASONS = {
    "Resources": "no nodes are free yet",
    "Priority": "others are before it",
    "Dependency": "another job has to end first",
    "BeginTime": "Slurm lets a job that was queued again wait for a while",
    "JobHeldUser": "it is held: `scontrol release` lets it go on",
    "JobHeldAdmin": "an administrator holds it",
    "PartitionTimeLimit": "it asks for more time than the partition gives, so it never begins",
    "PartitionNodeLimit": "it asks for more nodes than the partition gives, so it never begins",
    "PartitionConfig": "it asks for more than the partition has, so it never begins",
    "PartitionDown": "the partition is down",
    "PartitionInactive": "the partition takes no jobs now",
    "ReqNodeNotAvail": "the nodes that it needs are down or reserved",
    "AccountNotAllowed": "the partition is not for its account, so it never begins",
    "NodeDown": "a node that it needs is down",
    "BadConstraints": "no node is as it asks for, so it never begins",
    "QOSMaxJobsPerUserLimit": "you have as many jobs running as your QOS allows",
    "QOSMaxGRESPerUser": "you use as many GPUs as your QOS allows",
    "AssocGrpGRES": "your account uses as many GPUs as it may",
    "AssocMaxJobsLimit": "you have as many jobs running as your account allows",
    "launch failed requeued held": "its nodes could not begin it: it is held, `scontrol release` tries again",
}

KILLED = range(129, 128 + 65)
"""Exit statuses by which a shell and srun say that a signal killed what they began."""


def reason_words(reason: str) -> str:
    """Why a job waits; Slurm's own word where it says more."""
    known = REASONS.get(reason)
    return f"{known} ({reason})" if known else reason or "Slurm has not looked at it yet"


def clock(at: float) -> str:
    """`14:05`, with the date where it is another day."""
    then = time.localtime(at)
    same = time.strftime("%Y%m%d", then) == time.strftime("%Y%m%d")
    return time.strftime("%H:%M" if same else "%Y-%m-%d %H:%M", then)


def job_words(job: Job) -> str:
    """`waits in partition gpu: no nodes are free yet (Resources), expected to begin at 14:05`."""
    if job.life == "waiting":
        again = f"; it began {job.restarts} time{'' if job.restarts == 1 else 's'} before" if job.restarts else ""
        lost = f"; node {job.failed_node} was lost" if job.failed_node else ""
        expected = f", expected to begin at {clock(job.start)}" if job.start > time.time() else ""
        return f"waits in partition {job.partition}: {reason_words(job.reason)}{expected}{again}{lost}"
    where = f" on {job.nodes}" if job.nodes else ""
    if job.life == "running":
        until = f", until {clock(job.end)} at most" if job.end > time.time() else ""
        return f"is {job.state.lower()}{where}{until}"
    return f"is over: {end_words(job)}"


def end_words(job: Job) -> str:
    """How a job ended, with where: `its node n2 failed`, `it reached its time limit on n1`."""
    where = f" on {job.nodes}" if job.nodes else ""
    if job.state == "NODE_FAIL":
        return f"a node failed ({job.failed_node or job.nodes or 'Slurm does not say which'})"
    if job.state == "CANCELLED":
        return f"it was cancelled{where}"
    if job.state == "FAILED":
        if job.signal:
            return f"it ended{where} by signal {job.signal}"
        killed = f" (killed by signal {job.exit_status - 128})" if job.exit_status in KILLED else ""
        return f"it ended{where} with exit status {job.exit_status}{killed}"
    known = {
        "TIMEOUT": f"it reached its time limit{where}",
        "OUT_OF_MEMORY": f"it used more host memory than it asked for{where} (cluster.memory_gib)",
        "PREEMPTED": f"it had to make room for another job{where}",
        "DEADLINE": f"its deadline passed{where}",
        "BOOT_FAIL": f"its node did not boot{where}",
        "COMPLETED": f"its script came to its end{where}",
    }
    return known.get(job.state, f"{job.state.lower()}{where}")
