"""Runs that Slurm executes: submitted, followed, stopped, interrupted and gone on with, on one node and on two."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import stat
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from slurm_here import adapter_of, events_of, plan_for, said, same_adapter

from loratui.core.errors import RunError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.control import cancel_run, evaluate_now, save_now, stop_run
from loratui.runs.directory import Run
from loratui.runs.events import Checkpoint, Eval, Failed, Paused, Started, Step
from loratui.runs.jobs import last_job
from loratui.runs.resume import resume_run
from loratui.runs.start import begin_run, create_run, start_worker
from waiting import PATIENCE_SECONDS, wait_for

pytestmark = pytest.mark.timeout(600)  # each of several jobs begins with the imports of torch
LONG = {"training__epochs": 400.0, "saving__every_steps": 10}
INTERRUPTED = {"training__epochs": 60.0, "saving__every_steps": 60}
"""720 steps of some 10 ms: after the last interruption hundreds are left, however late it arrives."""
"""About a hundred steps: some ten seconds."""


def submitted(plan: Plan, folder: Path) -> Run:
    run, pid = begin_run(plan, output=folder, rehearse=False)
    assert pid == 0
    return run


def job_of(run: Run) -> int:
    job = last_job(run.path)
    assert job is not None
    return job.id


def slurm_state(run: Run) -> str:
    return said("squeue", "-h", "-t", "all", "-j", str(job_of(run)), "-o", "%T")


def wait_state(run: Run, *states: str, seconds: float = PATIENCE_SECONDS) -> None:
    def there() -> bool:
        status = run.status()
        assert status.state in states or not status.over, (status, run.log_path.read_text()[-3000:])
        return status.state in states

    wait_for(there, f"{states} of {run.name}", seconds)


def wait_step(run: Run, step: int) -> None:
    def there() -> bool:
        status = run.status()
        assert not status.over, (status, run.log_path.read_text()[-3000:])
        return status.step >= step

    wait_for(there, f"step {step}")


def begin_again(run: Run) -> None:
    """Slurm keeps a job that was queued again for two minutes: long for a test. Begun in the same second, it would be
    refused by a node that has just been told to end it.
    """
    number = str(job_of(run))
    wait_for(lambda: said("squeue", "-h", "-j", number, "-o", "%T %r") == "PENDING BeginTime", "the job queued again")
    said("scontrol", "update", f"JobId={number}", "StartTime=now+4")


def losses(run: Run) -> dict[int, float | None]:
    return {event.step: event.loss for event in events_of(run) if isinstance(event, Step)}


def local(plan: Plan) -> Plan:
    """The same training by a process of this machine."""
    return with_values(plan, {"cluster.engine": ""})


@pytest.fixture(scope="module")
def unbroken(slurm: Path, forking_interpreter: str) -> Run:
    """The long run, made here and at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "executable", forking_interpreter)
        patch.setenv("LORATUI_HOME", str(slurm / "home"))
        run = create_run(local(plan_for(slurm, **INTERRUPTED)), output=slurm / "uninterrupted")
        start_worker(run)
        wait_state(run, "finished")
    return run


def test_interrupted_at_random_moments_it_is_what_it_would_have_been(
    slurm: Path, own_home: Path, tmp_path: Path, unbroken: Run
) -> None:
    """Requeued by hand, made to wait for another job, and asked to save as Slurm does before a time limit."""
    dice = random.Random(18)
    run = submitted(plan_for(slurm, **INTERRUPTED), tmp_path / "run")
    assert slurm_state(run) in ("PENDING", "RUNNING", "CONFIGURING")
    wait_step(run, dice.randrange(2, 150))
    said("scontrol", "requeue", str(job_of(run)))
    begin_again(run)
    wait_step(run, dice.randrange(160, 290))
    said("sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--time=1", "--output=/dev/null", "--wrap=sleep 2")
    wait_for(lambda: slurm_state(run) == "PENDING", "the other job to push it out")
    begin_again(run)
    wait_step(run, dice.randrange(300, 430))
    said("scancel", "--signal=TERM", str(job_of(run)))  # as --signal does: the script goes on, and requeues its job
    wait_state(run, "queued")
    begin_again(run)
    wait_state(run, "finished")
    paused = [event for event in events_of(run) if isinstance(event, Paused)]
    assert len(paused) == 3 and all(event.nodes.startswith("n") for event in paused)
    saved = {int(event.path.rpartition("-")[2]) for event in events_of(run) if isinstance(event, Checkpoint)}
    assert {event.step for event in paused} <= saved, "what it says it saved is there"
    began = [event.step for event in events_of(run) if isinstance(event, Started)]
    # A job that was asked to save before its first step says that it paused where the one before it had.
    assert began[1:] == sorted({event.step for event in paused}), "nothing was made twice"
    assert same_adapter(run, unbroken) and losses(run) == losses(unbroken)


def test_signals_arrive_and_a_stop_saves(slurm: Path, own_home: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {**LONG, "evaluation__every_steps": 100_000}
    run = submitted(plan_for(slurm, **changes), tmp_path / "run")
    wait_step(run, 3)
    assert run.status().state in ("running", "saving") and slurm_state(run) == "RUNNING"
    save_now(run)
    wait_for(lambda: any(isinstance(event, Checkpoint) for event in events_of(run)), "a checkpoint")
    evaluate_now(run)
    wait_for(lambda: any(isinstance(event, Eval) and event.step for event in events_of(run)), "an evaluation")
    stop_run(run, "command")
    wait_state(run, "stopped")
    last = run.last_checkpoint()
    assert last is not None and last.name == f"checkpoint-{run.status().step}"
    wait_for(lambda: slurm_state(run) in ("COMPLETED", ""), "the job's own end")
    resume_run(run)
    assert run.status().state in ("queued", "starting") and len({job["id"] for job in jobs(run)}) == 2
    wait_step(run, run.status().step + 2)
    said("scancel", str(job_of(run)))
    wait_state(run, "stopped")
    assert "was cancelled" in run.status().message and "checkpoint-" in run.status().message


def jobs(run: Run) -> list[dict[str, Any]]:
    return list(json.loads((run.path / "jobs.json").read_text())["jobs"])


def test_one_that_waits_says_why_and_is_taken_out(slurm: Path, own_home: Path, tmp_path: Path) -> None:
    said("sbatch", "--nodes=2", "--exclusive", "--time=5", "--output=/dev/null", "--job-name=big", "--wrap=sleep 300")
    run = submitted(plan_for(slurm), tmp_path / "run")
    reasons = ("no nodes are free", "others are before it")
    wait_for(lambda: any(words in run.status().message for words in reasons), "the reason")
    assert run.status().state == "queued"
    with pytest.raises(RunError, match="waits"):
        save_now(run)
    stop_run(run, "command")
    assert run.status().state == "stopped" and "out of the queue" in run.status().message
    wait_for(lambda: slurm_state(run) in ("CANCELLED", ""), "a cancelled job")
    again = submitted(plan_for(slurm), tmp_path / "again")
    cancel_run(again)
    assert again.status().state == "stopped"
    said("scancel", "--name=big")
    wait_for(lambda: not said("squeue", "-h"), "an empty queue")


def test_a_set_up_that_fails_is_named(slurm: Path, own_home: Path, tmp_path: Path) -> None:
    setup = ["export GREETING=hello", "ls /no/such/module", "echo never"]
    run = submitted(plan_for(slurm, cluster__setup=setup), tmp_path / "run")
    wait_state(run, "failed")
    told = run.status().message
    assert "The set-up (cluster.setup) failed with status 2 at: ls /no/such/module" in told, told
    assert "never" not in run.log_path.read_text()


def test_a_lost_node_is_named(slurm: Path, own_home: Path, tmp_path: Path) -> None:
    run = submitted(plan_for(slurm, cluster__requeue=False, **LONG), tmp_path / "run")
    wait_step(run, 12)
    node = said("squeue", "-h", "-j", str(job_of(run)), "-o", "%N")
    end_at_once(run)  # as when the power fails: nobody is told
    said("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=power")
    try:
        wait_state(run, "lost")
        last = run.last_checkpoint()
        assert last is not None and f"a node failed ({node})" in run.status().message
        assert f"The last whole checkpoint is {last.name}" in run.status().message
    finally:
        said("scontrol", "update", f"NodeName={node}", "State=RESUME")


def test_one_that_was_killed_with_its_step_goes_on(slurm: Path, own_home: Path, tmp_path: Path) -> None:
    """kill -9 of the worker, of what begins it, and of Slurm's own step: seen, named, nothing that was saved lost."""
    run = submitted(plan_for(slurm, **LONG), tmp_path / "run")
    wait_step(run, 12)
    node = said("squeue", "-h", "-j", str(job_of(run)), "-o", "%N")
    end_at_once(run)
    said("scontrol", "requeue", str(job_of(run)))
    wait_state(run, "queued")
    told = run.status()  # Slurm takes the node off a job that waits anew; the worker wrote the host's own name
    assert (node in told.message or told.host in told.message) and "ended without a word" in told.message
    last = run.last_checkpoint()
    begin_again(run)
    wait_for(lambda: sum(isinstance(event, Started) for event in events_of(run)) == 2, "a second worker")
    assert last is not None and f'"resumed_from":"{last.name}"' in run.events_path.read_text()


def test_a_step_that_slurm_thinks_runs_is_ended(slurm: Path, own_home: Path, tmp_path: Path) -> None:
    """kill -9 of the step's daemon with all below it: Slurm itself would say RUNNING until the time limit."""
    run = submitted(plan_for(slurm, **LONG), tmp_path / "run")
    wait_step(run, 12)
    (daemon,) = step_daemons(run, "0")
    for process in (daemon, *daemon.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # what a daemon began goes with it
            process.kill()
    wait_state(run, "failed")
    told = run.status().message
    assert f"Slurm's step of job {job_of(run)} is gone on node n" in told and run.last_checkpoint() is not None, told
    wait_for(lambda: slurm_state(run) == "FAILED", "the job's end")
    wait_for(lambda: not processes_of(run), "nobody left behind")


def end_at_once(run: Run) -> None:
    """Kill the worker, what began it, and Slurm's own processes of the job, before any of them can say a word."""
    steps = step_daemons(run)
    assert steps
    for process in (*steps, *processes_of(run)):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def step_daemons(run: Run, step: str = "") -> list[psutil.Process]:
    """Slurm's daemons above this run's processes: a job of another Slurm may have the same number."""
    words = f"slurmstepd: [{job_of(run)}.{step}"
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter(["cmdline"]):
        if str(run.path) in (process.info["cmdline"] or []):
            with contextlib.suppress(psutil.NoSuchProcess):
                found |= {one.pid: one for one in process.parents() if words in " ".join(one.cmdline())}
    return list(found.values())


def processes_of(run: Run) -> list[psutil.Process]:
    """Its workers, not those that watch over them."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(run.path) in (process.info["cmdline"] or []) and "srun" not in (process.info["cmdline"] or [""])[0]
    ]


HYBRID: dict[str, Any] = {
    "cluster.gpus_per_node": 2,
    "hardware.parallelism": "hybrid",
    "training.accumulation": 1,
}
"""A copy on each node, divided among its two processes."""


@pytest.mark.parametrize("more", [{}, HYBRID], ids=["copies", "hybrid"])
def test_two_nodes_learn_what_one_process_does(
    slurm: Path,
    own_home: Path,
    tmp_path: Path,
    more: dict[str, Any],
    forking_interpreter: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import torch

    monkeypatch.setattr(sys, "executable", forking_interpreter)  # on the nodes too: what is learnt is asked
    plan = plan_for(slurm, lora__dropout=0.0)
    alone = create_run(local(plan), output=tmp_path / "alone")
    several = with_values(plan, {"cluster.nodes": 2, "training.batch_size": 1, **more})
    run, _ = begin_run(several, output=tmp_path / "two", rehearse=not more)
    start_worker(alone)
    wait_state(run, "finished", seconds=300.0)  # torch is started twice for a rehearsal
    wait_state(alone, "finished")
    ours, theirs = losses(run), losses(alone)
    assert ours.keys() == theirs.keys() and all(ours[step] == pytest.approx(theirs[step], abs=2e-5) for step in ours)
    one, two = adapter_of(run), adapter_of(alone)
    assert one.keys() == two.keys() and all(torch.allclose(one[name], two[name], atol=2e-4) for name in one)
    assert "n[1-2]" in said("scontrol", "show", "job", str(job_of(run)))
    assert [event.type for event in events_of(run)].count("rehearsal") == (not more), "on both nodes, and once"


def test_a_dead_rank_ends_the_run_on_both_nodes(slurm: Path, own_home: Path, tmp_path: Path) -> None:
    changes = {**LONG, "cluster__nodes": 2}
    run = submitted(plan_for(slurm, **changes), tmp_path / "run")
    wait_step(run, 12)
    victim = next(process for process in ranks_of(run) if process.environ()["RANK"] == "1")
    node = victim.environ()["SLURMD_NODENAME"]
    victim.send_signal(signal.SIGKILL)
    wait_state(run, "failed")
    wait_for(lambda: slurm_state(run) not in ("RUNNING", "COMPLETING"), "the job's end")
    failed = [event for event in events_of(run) if isinstance(event, Failed)]
    assert failed and f"is gone on node {node} without a word" in failed[-1].message, failed
    assert run.last_checkpoint() is not None
    wait_for(lambda: not processes_of(run), "nobody left behind")


def test_a_rank_that_dies_in_the_rehearsal_is_named_with_its_node(slurm: Path, own_home: Path, tmp_path: Path) -> None:
    run, _ = begin_run(plan_for(slurm, cluster__nodes=2), output=tmp_path / "run", rehearse=True)
    wait_for(lambda: run.status().state == "rehearsing" and len(ranks_of(run)) == 2, "both ranks")
    victim = next(process for process in ranks_of(run) if process.environ()["RANK"] == "1")
    assert "--rehearsal-into" in victim.cmdline()
    node = victim.environ()["SLURMD_NODENAME"]
    victim.send_signal(signal.SIGKILL)
    wait_state(run, "failed")
    told = run.status().message
    assert "ehearsal" in told and f"One of the 2 processes is gone on node {node} without a word" in told, told
    wait_for(lambda: slurm_state(run) not in ("RUNNING", "COMPLETING") and not processes_of(run), "the job's end")


def ranks_of(run: Run) -> list[psutil.Process]:
    found = []
    for process in processes_of(run):
        with contextlib.suppress(psutil.NoSuchProcess):  # it ended while it was looked at
            found += [process] if "RANK" in process.environ() else []
    return found


def test_slurm_is_asked_once_in_ten_seconds_by_whomever(
    slurm: Path, own_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loratui.cluster import queue
    from loratui.runs.listing import list_runs

    real = said("which", "squeue")
    counting = tmp_path / "bin"
    counting.mkdir()
    (counting / "squeue").write_text(f'#!/bin/sh\necho asked >> {tmp_path}/asked\nexec {real} "$@"\n')
    (counting / "squeue").chmod((counting / "squeue").stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{counting}:{os.environ['PATH']}")
    folders = []
    for number in range(500):
        folder = own_home / "runs" / f"run-{number:03}"
        folders.append(folder)
        if not number:
            first = create_run(plan_for(slurm), output=folder)
            first.status_path.write_text('{"state": "finished", "created": 1.0, "step": 4, "total": 4}')
            (folder / "jobs.json").write_text('{"jobs": [{"id": 7, "submitted": 1.0}]}')
            continue
        folder.mkdir()
        for name in ("plan.toml", "status.json", "jobs.json", "events.jsonl", "worker.log", "origin.json"):
            (folder / name).write_bytes((folders[0] / name).read_bytes())
    assert len(list_runs()) == 500
    assert not (tmp_path / "asked").exists(), "nobody asks of runs that are over"
    for folder in folders[:50]:
        (folder / "status.json").write_text('{"state": "queued", "created": 1.0}')
        (folder / "jobs.json").write_text(json.dumps({"jobs": [{"id": 900_000, "submitted": time.time() - 60}]}))
    began = time.monotonic()
    for _ in range(3):
        assert sum(one.state == "lost" for one in list_runs()) == 50
    most = 1 + int((time.monotonic() - began) / queue.PERIOD_SECONDS)
    assert 1 <= (tmp_path / "asked").read_text().count("asked") <= most
    kept = json.loads((own_home / "state" / "slurm-queue.json").read_text())
    assert queue.look().asked == kept["asked"] and re.fullmatch(r"\d+\.\d+", str(kept["asked"]))
