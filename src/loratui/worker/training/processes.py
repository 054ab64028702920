"""The processes of a run: how many there are, the command that begins them, and how they are ended."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence

import psutil

from loratui.cluster.slurm import ClusterError, ask
from loratui.core.division import node_count
from loratui.core.errors import WorkerError
from loratui.core.plan import Plan
from loratui.files import write_whole
from loratui.runs.directory import Run

MEETING_SECONDS = 1800
"""How long the launchers of several nodes wait for each other: the first may rehearse, or load slowly, before."""


def process_count(plan: Plan) -> int:
    """Processes that train together: one for each GPU."""
    return plan.processes


def is_launched() -> bool:
    """Whether a launcher began this process as one of several."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def launched(run: Run, plan: Plan, arguments: Sequence[str], *, rehearsal: bool = False) -> list[str]:
    """The command that trains this run in its processes: plain Python for one, accelerate's launcher for several.

    The launcher reads its settings from the run's directory: a person's own defaults for it do not count. rehearsal:
    the launchers of several nodes meet for it apart from those of the training.
    """
    count = process_count(plan)
    command = ["-m", "loratui.worker", "train", str(run.place), *arguments]
    if count == 1:
        return [sys.executable, *command]
    if node_count(plan) > 1:
        return [sys.executable, "-m", "torch.distributed.run", *meeting(plan, rehearsal=rehearsal), *command]
    path = run.place / "accelerate.json"
    write_whole(path, json.dumps(launcher_settings(count), indent=1) + "\n")
    return [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(path), *command]


def node_number() -> int:
    """Number of this node in the scheduler's job; 0 is the first one, or the only one."""
    return int(os.environ.get("SLURM_NODEID", "0"))


def node_name() -> str:
    """Name of this node as the scheduler has it; empty outside a job."""
    return os.environ.get("SLURMD_NODENAME", "")


def job_nodes() -> tuple[str, ...]:
    """The names of the nodes of the scheduler's job; none outside one, or where it does not spell them out."""
    listed = os.environ.get("SLURM_JOB_NODELIST", "")
    try:
        return tuple(ask(["scontrol", "show", "hostnames", listed]).split()) if listed else ()
    except ClusterError:
        return ()


def meeting(plan: Plan, *, rehearsal: bool = False) -> list[str]:
    """torchrun's options by which the launchers of all nodes find each other: on the first (c10d), once.

    accelerate's launcher refuses a port that another launcher of this computer has opened, and cannot be told who hosts
    the meeting: torchrun itself is begun.
    """
    place = os.environ.get("LORATUI_MEETING", "")
    if not place:
        raise WorkerError(
            f"this run trains on {node_count(plan)} nodes, and LORATUI_MEETING does not say where they meet.",
            hint="Submit it with `loratui train` or `loratui resume`: its job script says it.",
        )
    if rehearsal:  # its own port (`job_script.PORTS`): the launcher that opened it may not have ended yet
        host, _, port = place.rpartition(":")
        place = f"{host}:{int(port) + 1}"
    number = f"{os.environ.get('SLURM_JOB_ID', '0')}-{os.environ.get('SLURM_RESTART_COUNT', '0')}"
    return [
        f"--nnodes={node_count(plan)}",
        f"--nproc-per-node={process_count(plan) // node_count(plan)}",
        "--rdzv-backend=c10d",
        f"--rdzv-endpoint={place}",
        f"--rdzv-id=loratui-{number}{'-rehearsal' * rehearsal}",
        f"--rdzv-conf=is_host={'1' if node_number() == 0 else '0'},join_timeout={MEETING_SECONDS}",
        "--max-restarts=0",
    ]


def launcher_environment(plan: Plan) -> dict[str, str]:
    """What a launcher's environment has beside that of its processes: in a job, signals reach it too, and are none of
    its business.
    """
    found = {"ACCELERATE_MIXED_PRECISION": "no"} if node_count(plan) > 1 else {}
    return found | ({"PET_SIGNALS_TO_HANDLE": "SIGHUP"} if "SLURM_JOB_ID" in os.environ else {})


DEATH_SIGNAL = 1
"""Linux's PR_SET_PDEATHSIG."""


def end_with_parent() -> None:
    """In a job, a process of several ends with the one that began it, which may be killed without a word: nothing
    trains on that nobody watches. The scheduler sees to that only where it has cgroups.
    """
    if "SLURM_JOB_ID" in os.environ:
        ctypes.CDLL(None).prctl(DEATH_SIGNAL, signal.SIGKILL)


def hear_nothing() -> None:
    """Between fork and exec of a launcher in a job: the signals that a scheduler sends to everybody end it not."""
    end_with_parent()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)


def launcher_settings(count: int) -> dict[str, object]:
    """accelerate's configuration: so many processes on this machine, any free port, and nothing that the plan
    decides.
    """
    return {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "MULTI_GPU",
        "num_processes": count,
        "num_machines": 1,
        "machine_rank": 0,
        "main_process_port": 0,
        "mixed_precision": "no",
        "gpu_ids": "all",
        "use_cpu": False,
        "debug": False,
        "main_training_function": "main",
        "same_network": True,
        "rdzv_backend": "static",
        "downcast_bf16": "no",
        "enable_cpu_affinity": False,
    }


def end_with_children(process: subprocess.Popen[bytes]) -> None:
    """Kill a launcher and everything that it began, each of which leads a session of its own."""
    try:
        launcher = psutil.Process(process.pid)
        everyone = [*launcher.children(recursive=True), launcher]
    except psutil.NoSuchProcess:
        return
    for one in everyone:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
