"""A run whose process lives and makes no step: for how long, and where its processes stand."""

from __future__ import annotations

import socket
from collections import defaultdict

import psutil

from loratui.format import duration
from loratui.machine.boot import boot_id, since_boot
from loratui.runs.status import Status, is_alive

TIMES = 5.0
"""So many times what a step usually takes it has to have taken."""
LEAST_SECONDS = 30.0
"""And so long at least: a slow file system, or another user of the GPU, holds a step up for seconds."""
STEPPING = ("running", "stopping")
"""States in which steps are made: evaluations and saves take their time."""
WORKING = (*STEPPING, "rehearsing", "evaluating", "saving")
"""States in which a worker itself has no message: where there is one, the scheduler's word is behind it."""
STANDS = {
    psutil.STATUS_STOPPED: "stopped",
    psutil.STATUS_TRACING_STOP: "held by a debugger",
    psutil.STATUS_DISK_SLEEP: "waiting for the disk or a device",
    psutil.STATUS_RUNNING: "computing",
    psutil.STATUS_SLEEPING: "waiting",
    psutil.STATUS_IDLE: "waiting",
    psutil.STATUS_ZOMBIE: "dead",
}


def stall_words(status: Status) -> str:
    """`No step for 12 min; one usually takes 3 s. …`, for a run of this machine; of one that a scheduler places, what
    is amiss with its worker or with what is known of it. Empty where steps are made, or where that cannot be told.
    """
    if status.state in WORKING and status.message:
        return status.message
    here = status.host == socket.gethostname() and status.boot and status.boot == boot_id()
    if not here or status.state not in STEPPING or not (status.moved and status.step_seconds):
        return ""
    silent = since_boot() - status.moved
    if not silent >= TIMES * status.step_seconds or silent < LEAST_SECONDS or not is_alive(status.mark):
        return ""
    usual = duration(status.step_seconds) if status.step_seconds >= 1 else f"{status.step_seconds:.2g} s"
    return f"No step for {duration(silent)}; one usually takes {usual}. {_where_they_stand(status)}"


def _where_they_stand(status: Status) -> str:
    """What the processes of the run do, as the system tells, and what to do about it."""
    stands: dict[str, list[int]] = defaultdict(list)
    for process in _processes(status):
        try:
            stands[STANDS.get(process.status(), process.status())].append(process.pid)
        except psutil.Error:
            continue
    parts = [
        f"process {pids[0]} is {what}" if len(pids) == 1 else f"{len(pids)} processes are {what}"
        for what, pids in stands.items()
    ]
    words = ", ".join(parts)
    told = f"{words[:1].upper()}{words[1:]}."
    if stopped := stands.get("stopped"):
        return f"{told} `kill -CONT {' '.join(map(str, stopped))}` lets {'it' if len(stopped) == 1 else 'them'} go on."
    return told


def _processes(status: Status) -> list[psutil.Process]:
    """The worker, the one that watches over it, and all that they began."""
    found: dict[int, psutil.Process] = {}
    for pid in (status.watcher_pid, status.pid):
        try:
            process = psutil.Process(pid) if pid else None
        except psutil.Error:
            continue
        if process is not None:
            try:
                found |= {one.pid: one for one in (process, *process.children(recursive=True))}
            except psutil.Error:
                found[pid] = process
    return list(found.values())
