"""Handing a run to the scheduler that its plan names."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from loratui.cluster.checks import job_minutes, require_possible
from loratui.cluster.choose import partition_of
from loratui.cluster.facts import Partition
from loratui.cluster.job_script import Script, script_text
from loratui.cluster.read import read_cluster
from loratui.cluster.shared import require_shared
from loratui.cluster.submit import submit
from loratui.core.errors import RunError
from loratui.core.plan import Plan
from loratui.files import write_whole
from loratui.paths import HOME_VARIABLE, home
from loratui.runs.directory import Run
from loratui.runs.events import append_event
from loratui.runs.folders import argument_of
from loratui.runs.jobs import JobRecord, add_job
from loratui.runs.lock import take_lock
from loratui.runs.origin import is_foreign
from loratui.runs.status import Status, signs_of_life, write_status
from loratui.runs.worker_settings import WORKER_SETTINGS

JOB_NAME = "job.sh"
PASSED_ON = ("LORATUI_CONFIG", "HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "PYTHONPATH")
"""Variables that a job has from whoever submits it, also where the cluster hands none over."""


def require_submittable(plan: Plan, folder: Path) -> tuple[Partition, str]:
    """The partition that the run will wait in, and what could not be found out, as a sentence. ClusterError for the
    first thing that cannot work. folder: where the run is, or will be.
    """
    section = plan.cluster
    partition = require_possible(section, read_cluster())
    extra = [f"--account={section.account}"] if section.account else []
    extra += [f"--qos={section.qos}"] if section.qos else []
    doubts = [require_shared(place, partition.name, extra=tuple(extra)) for place in (folder, Path(sys.executable))]
    return partition, next(filter(None, doubts), "")


def job_text(plan: Plan, folder: Path, partition: Partition, *, rehearse: bool = False) -> str:
    """The job script of a run in this folder."""
    environment = {HOME_VARIABLE: str(home())}
    environment |= {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    return script_text(
        Script(
            name=folder.name,
            argument=argument_of(folder),
            folder=folder,
            section=plan.cluster,
            partition=partition.name,
            command=[sys.executable, "-m", "loratui.worker", "train", str(folder)],
            watch=[sys.executable, "-m", "loratui.worker", "watch_step", str(folder)],
            minutes=job_minutes(plan.cluster, partition),
            rehearse=rehearse,
            environment=environment | WORKER_SETTINGS,
        )
    )


def script_for(plan: Plan, folder: Path, *, rehearse: bool = False) -> str:
    """The job script that a run of this plan would have, for reading. ClusterError where the partition is not there."""
    return job_text(plan, folder, partition_of(plan.cluster, read_cluster()), rehearse=rehearse)


def submit_run(run: Run, *, rehearse: bool = False, step: int = 0, total: int = 0) -> JobRecord:
    """Write the run's job script, hand it to the scheduler and remember the job. The run is queued from then on.

    step, total: how far it is. Raises ClusterError in the scheduler's own words, RunError where the run cannot be
    written or is somebody else's and brings shell lines.
    """
    plan = run.plan()
    if plan.cluster.setup and is_foreign(run):
        raise RunError(
            f"run {run.name} was not made here, and its plan runs shell lines (cluster.setup).",
            where=str(run.plan_path),
            hint="Read them; then start a run of your own with `loratui train`.",
        )
    partition, doubt = require_submittable(plan, run.place)
    try:
        with take_lock(run.lock_path):
            write_whole(run.path / JOB_NAME, job_text(plan, run.place, partition, rehearse=rehearse))
            submitted = time.time()
            record = JobRecord(id=submit(run.place / JOB_NAME), submitted=submitted, partition=partition.name)
            add_job(run.path, record)
            if doubt:
                append_event(run, "finding", finding="not-shared", severity="warning", message=doubt, step=step)
            append_event(run, "job", job=record.id, partition=partition.name, step=step)
            status = Status(state="queued", created=submitted, step=step, total=total, **signs_of_life())
            write_status(run.status_path, status)
    except OSError as error:
        raise RunError(f"the job cannot be written: {error.strerror or error}.", where=str(run.path)) from None
    return record
