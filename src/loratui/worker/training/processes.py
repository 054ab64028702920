"""The processes of a run: how many there are, the command that begins them, and how they are ended."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence

import psutil

from loratui.core.plan import Plan
from loratui.files import write_whole
from loratui.runs.directory import Run


def process_count(plan: Plan) -> int:
    """Processes that train together: one for each GPU."""
    return max(1, len(plan.hardware.devices))


def is_launched() -> bool:
    """Whether a launcher began this process as one of several."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def launched(run: Run, plan: Plan, arguments: Sequence[str]) -> list[str]:
    """The command that trains this run in its processes: plain Python for one, accelerate's launcher for several.

    The launcher reads its settings from the run's directory: a person's own defaults for it do not count.
    """
    count = process_count(plan)
    command = ["-m", "loratui.worker", "train", str(run.place), *arguments]
    if count == 1:
        return [sys.executable, *command]
    path = run.place / "accelerate.json"
    write_whole(path, json.dumps(launcher_settings(count), indent=1) + "\n")
    return [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(path), *command]


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
