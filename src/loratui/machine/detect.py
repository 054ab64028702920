"""The whole machine in one document."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from loratui.core.hardware import Machine
from loratui.machine.host import read_host
from loratui.machine.nvml import NvmlReader
from loratui.machine.other_cards import OtherCards, other_cards
from loratui.machine.visible_devices import scheduler_of

SUBMITTERS = {"sbatch": "slurm", "qsub": "pbs", "bsub": "lsf", "oarsub": "oar"}
"""Command that hands a job to a batch scheduler."""


def detect_machine(runs_path: Path | str | None = None, *, timeout_seconds: float | None = None) -> Machine:
    """Host and GPUs now. Never raises: what is wrong with the GPUs is in `.problems`.

    runs_path: where runs will go, for the disk's figures. timeout_seconds: longest wait for the GPUs' driver.
    """
    reader = NvmlReader()
    try:
        return snapshot(reader, Path(runs_path) if runs_path else None, timeout_seconds=timeout_seconds)
    finally:
        reader.close()


def snapshot(
    reader: NvmlReader,
    runs_path: Path | None = None,
    *,
    timeout_seconds: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> Machine:
    """Host and GPUs now, through a reader that is already open."""
    environment = os.environ if environment is None else environment
    sample = reader.sample(timeout_seconds)
    others = OtherCards() if sample.gpus or sample.driver != "absent" else other_cards(environment)
    scheduler = scheduler_of(environment)
    notes = [*sample.notes, *others.notes]
    if not sample.gpus and not others.gpus and not scheduler:
        submitter = next((command for command in SUBMITTERS if shutil.which(command)), "")
        if submitter:
            scheduler = SUBMITTERS[submitter]
            notes.append(
                f"To train on a GPU of {scheduler}: "
                + (
                    "`loratui train PLAN --set cluster.engine=slurm` submits it as a job."
                    if scheduler == "slurm"
                    else f"plan here for that GPU, then start `loratui train PLAN` in a job ({submitter})."
                )
                + " To train on this machine, ignore this."
            )
    return Machine(
        host=read_host(runs_path),
        gpus=sample.gpus or others.gpus,
        vendor=others.vendor or "nvidia",
        links=sample.links,
        driver="works" if others.gpus else sample.driver,
        driver_version=sample.driver_version,
        cuda_version=sample.cuda_version,
        problems=others.problems if others.gpus else sample.problems,
        notes=tuple(notes),
        visible_devices=environment.get("CUDA_VISIBLE_DEVICES"),
        scheduler=scheduler,
        sampled_at=time.time(),
    )
