"""Runs that a scheduler places: handed over, asked of, signalled and taken out, with commands that stand in for it."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import subprocess
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from checkpoint_damage import write_checkpoint
from slurm_stand_in import JOB, StandIn, make_stand_in, path_with

from loratui.cluster import queue, shared
from loratui.cluster.slurm import ClusterError
from loratui.core.errors import RunError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs import lock, start
from loratui.runs.control import cancel_run, evaluate_now, save_now, stop_run
from loratui.runs.directory import Run
from loratui.runs.events import EventTail
from loratui.runs.jobs import JobRecord, add_job, last_job, read_jobs
from loratui.runs.start import begin_run, create_run, rehearses, start_worker, wait_started
from loratui.runs.status import Status, read_status, signs_of_life, write_status
from loratui.runs.stop_note import who_asked
from loratui.runs.submit import JOB_NAME, script_for, submit_run


@pytest.fixture(autouse=True)
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    made = make_stand_in(tmp_path / "bin")
    monkeypatch.setenv("PATH", path_with(made))
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(shared, "_UNDECIDED", {})
    monkeypatch.setattr(shared, "NETWORK", frozenset())  # wherever the tests lie, a node is asked
    monkeypatch.setattr(queue, "PERIOD_SECONDS", 0.0)
    return made


def plan_for(**changes: Any) -> Plan:
    values = {"cluster.engine": "slurm", "cluster.gpus_per_node": 2}
    return with_values(Plan(), values | {key.replace("__", "."): value for key, value in changes.items()})


def written(run: Run) -> Status:
    """The status as it is written, whatever the scheduler says."""
    status = read_status(run.status_path)
    assert status is not None
    return status


# ── handing over ─────────────────────────────────────────────────────────────


def test_a_run_is_handed_over_whole(slurm: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SBATCH_PARTITION", "SLURM_JOB_ID", "SLURM_CONF", "HF_HOME"):
        monkeypatch.setenv(name, f"/{name}")
    plan = plan_for(cluster__account="nlp", cluster__time_limit_minutes=500, cluster__setup=["module load cuda"])
    began = time.time()
    run, pid = begin_run(plan, output=tmp_path / "my run")
    assert pid == 0 and slurm.asked("sbatch") == [f"--parsable {run.path / JOB_NAME}"]
    script = (run.path / JOB_NAME).read_text()
    assert (slurm.folder / "handed").read_text() == script, "written before it was handed over"
    for line in ("--partition=gpu", "--account=nlp", "--gpus-per-node=2", "--time=120", "--job-name=my-run"):
        assert f"#SBATCH {line}\n" in script
    assert f"loratui resume '{run.path}'\n" in script and "\nmodule load cuda\n" in script
    assert f"export LORATUI_HOME={tmp_path}/home\n" in script and "export HF_HOME=/HF_HOME\n" in script
    assert f"-m loratui.worker train '{run.path}' $rehearse" in script, "on a GPU it is rehearsed first"
    assert subprocess.run(["bash", "-n", run.path / JOB_NAME], check=False).returncode == 0
    environment = (slurm.folder / "environment").read_text()
    assert "SLURM_CONF=" in environment and "SBATCH_" not in environment and "SLURM_JOB_ID" not in environment
    assert (slurm.folder / "cwd").read_text() == "/\n"
    (job,) = read_jobs(run.path)
    assert (job.id, job.partition) == (JOB, "gpu") and began <= job.submitted <= time.time()
    assert written(run).state == "queued" and written(run).host == socket.gethostname()
    (event,) = EventTail(run.events_path).new_events()
    assert (event.type, event.fields["job"], event.fields["partition"]) == ("job", JOB, "gpu")


def test_it_waits_by_the_scheduler_s_word_and_whoever_waits_for_it_is_told(slurm: StandIn) -> None:
    run, _ = begin_run(plan_for())
    slurm.has("PENDING", state_reason="Resources")
    status = wait_started(run, 20)
    assert status.state == "queued" and f"Job {JOB} " in status.message and "no nodes are free yet" in status.message
    slurm.has("TIMEOUT", nodes="n1")
    assert wait_started(run, 20).state == "lost", "it began and ended while nobody looked"


def test_a_run_on_processors_is_not_rehearsed_and_one_on_several_nodes_is(slurm: StandIn) -> None:
    assert rehearses(plan_for()) and not rehearses(plan_for(cluster__gpus_per_node=0))
    assert "--rehearse" in script_for(plan_for(), Path("/runs/one"), rehearse=True)
    assert "--rehearse" in script_for(plan_for(cluster__nodes=2), Path("/runs/one"), rehearse=True)
    assert "--rehearse" not in script_for(plan_for(cluster__nodes=2), Path("/runs/one"), rehearse=False)
    with pytest.raises(ClusterError, match=r"there is no partition gpus\. Did you mean gpu"):
        script_for(plan_for(cluster__partition="gpus"), Path("/runs/one"))
    assert not slurm.asked("sbatch")


def test_a_refusal_comes_back_in_the_scheduler_s_words_and_the_run_says_so(slurm: StandIn, tmp_path: Path) -> None:
    slurm.answers("sbatch", 'echo "sbatch: error: Batch job submission failed: Invalid account" >&2; exit 1')
    with pytest.raises(ClusterError, match=r"Slurm refused the job: .*Invalid account.*cluster\.account"):
        begin_run(plan_for(), output=tmp_path / "run")
    run = Run(tmp_path / "run")
    assert read_jobs(run.path) == () and run.status().state == "failed"
    assert run.status().message.startswith("It was never started: ") and "Invalid account" in run.status().message


def test_what_the_cluster_cannot_give_makes_no_run(slurm: StandIn, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no node of partition gpu has 8 GPUs"):
        begin_run(plan_for(cluster__gpus_per_node=8), output=tmp_path / "run")
    slurm.answers("srun", "echo unseen")
    with pytest.raises(ClusterError, match="the nodes of partition gpu do not see"):
        begin_run(plan_for(), output=tmp_path / "run")
    assert not (tmp_path / "run").exists() and not slurm.asked("sbatch")


def test_what_could_not_be_found_out_is_said_and_kept(slurm: StandIn, tmp_path: Path) -> None:
    slurm.answers("srun", "exit 1")
    run, _ = begin_run(plan_for(cluster__qos="long"), output=tmp_path / "run")
    assert all("--qos=long" in call for call in slurm.asked("srun"))
    finding, job = EventTail(run.events_path).new_events()
    assert finding.fields["finding"] == "not-shared" and "no node was free to say" in finding.fields["message"]
    assert job.type == "job"


def test_it_goes_on_from_its_checkpoint_in_a_job_of_its_own(slurm: StandIn) -> None:
    run, _ = begin_run(plan_for())
    write_checkpoint(run.checkpoints_path / "checkpoint-4", 4)
    slurm.has("CANCELLED")
    write_status(run.status_path, Status(state="stopped", created=1.0, step=5, total=8))
    slurm.answers("sbatch", "echo 42")
    assert start_worker(run) == 0
    assert [one.id for one in read_jobs(run.path)] == [JOB, 42]
    assert (written(run).state, written(run).step, written(run).total) == ("queued", 4, 8)


def test_a_foreign_plan_s_shell_lines_are_not_run(slurm: StandIn) -> None:
    made = create_run(plan_for(cluster__setup=["touch /tmp/never"]))
    (made.path / "origin.json").write_text('{"run": "x", "proof": "y"}')
    with pytest.raises(RunError, match="runs shell lines"):
        submit_run(Run(made.path))
    assert not slurm.asked("sbatch") and not (made.path / JOB_NAME).exists()


def test_a_run_that_cannot_be_written_is_not_handed_over(slurm: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    run = create_run(plan_for())
    with run.lock_path.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        add_job(run.path, JobRecord(id=7, submitted=1.0))
        monkeypatch.setattr(lock, "LOCK_SECONDS", 0.1)
        monkeypatch.setattr(start, "DYING_SECONDS", 0.1)
        with pytest.raises(RunError, match="already has a worker"):
            submit_run(run)
        with pytest.raises(RunError, match=r"already has a worker \(job 7\)"):
            start_worker(run)
    (run.path / JOB_NAME).mkdir()
    with pytest.raises(RunError, match="the job cannot be written"):
        submit_run(run)
    assert not slurm.asked("sbatch") and [one.id for one in read_jobs(run.path)] == [7]


# ── signals ──────────────────────────────────────────────────────────────────


@pytest.fixture
def waiting(slurm: StandIn) -> Run:
    run, _ = begin_run(plan_for())
    slurm.has("PENDING", state_reason="Priority")
    return run


@pytest.fixture
def working(slurm: StandIn, waiting: Run) -> Run:
    slurm.has("RUNNING", nodes="n1", start_time=1.0)
    life = signs_of_life() | {"host": "n1"}
    write_status(waiting.status_path, Status(state="running", pid=os.getpid(), step=3, created=1.0, **life))
    return waiting


def test_signals_go_by_the_scheduler(slurm: StandIn, working: Run) -> None:
    save_now(working)
    evaluate_now(working)
    stop_run(working, "command")
    assert slurm.asked("scancel") == [f"--signal={name} {JOB}" for name in ("USR1", "USR2", "INT")]
    assert who_asked(working.path, 1.0) == "command", "the worker hears SIGINT from whomever"
    assert working.status().state == "running", "its worker says how it ends"


def test_one_that_waits_is_taken_out_of_the_queue(slurm: StandIn, waiting: Run) -> None:
    for ask in (save_now, evaluate_now):
        with pytest.raises(RunError, match=rf"waits: Job {JOB} .*Try again once it runs"):
            ask(waiting)
    assert not slurm.asked("scancel")
    stop_run(waiting, "command")
    assert slurm.asked("scancel") == [str(JOB)]
    status = written(waiting)
    assert status.state == "stopped" and status.ended > 0
    assert status.message == f"you took it out of the queue (job {JOB})"
    for ask in (partial(stop_run, by="command"), cancel_run):
        with pytest.raises(RunError, match="is not running: it is stopped"):
            ask(waiting)


def test_a_job_is_ended_at_once(slurm: StandIn, working: Run) -> None:
    cancel_run(working)
    assert slurm.asked("scancel") == [str(JOB)] and written(working).state == "running"
    slurm.has("CANCELLED", nodes="n1")
    write_status(working.status_path, written(working).model_copy(update={"heartbeat": time.time() - 60}))
    assert working.status().state == "stopped" and "There is no checkpoint yet" in working.status().message


def test_a_job_that_never_began_is_ended_with_a_word(waiting: Run) -> None:
    cancel_run(waiting)
    assert written(waiting).message == f"Job {JOB} was cancelled before it began."
    assert waiting.status().state == "stopped"


def test_what_slurm_does_not_pass_on_changes_nothing(slurm: StandIn, waiting: Run) -> None:
    slurm.answers("scancel", 'echo "scancel: error: Kill job error on job id 41: Access denied" >&2; exit 1')
    for ask in (partial(stop_run, by="command"), cancel_run):
        with pytest.raises(ClusterError, match=r"scancel failed: .*Access denied"):
            ask(waiting)
    assert written(waiting).state == "queued"


def test_a_word_that_cannot_be_written_is_told(waiting: Run) -> None:
    waiting.lock_path.unlink(missing_ok=True)
    waiting.lock_path.mkdir()
    with pytest.raises(RunError, match="it cannot be written"):
        stop_run(waiting, "command")


def test_a_run_of_this_machine_is_no_job(tmp_path: Path) -> None:
    run = create_run(Plan(), output=tmp_path / "run")
    with pytest.raises(RunError, match=r"is no job of a scheduler.*loratui stop .*saves and stops"):
        cancel_run(run)
    assert last_job(run.path) is None and json.loads(run.status_path.read_text())["state"] == "starting"
