"""The jobs of a run as they are written and read, and what a run's state is by the scheduler's word."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from checkpoint_damage import write_checkpoint

from loratui.cluster.queue import Job, Queue
from loratui.machine.boot import boot_id, since_boot
from loratui.runs import jobs
from loratui.runs.directory import Run
from loratui.runs.jobs import NAME, JobRecord, add_job, by_scheduler, last_job, no_job, read_jobs, silence
from loratui.runs.stall import stall_words
from loratui.runs.status import Status, write_status

FIRST, SECOND = JobRecord(id=7, submitted=500.0, partition="gpu"), JobRecord(id=9, submitted=600.5)


def test_jobs_come_back_as_they_were_written_and_the_newest_is_last(tmp_path: Path) -> None:
    assert read_jobs(tmp_path) == () and last_job(tmp_path) is None
    add_job(tmp_path, FIRST)
    add_job(tmp_path, SECOND)
    assert read_jobs(tmp_path) == (FIRST, SECOND) and last_job(tmp_path) == SECOND


def test_a_worker_of_this_machine_takes_a_run_over_from_the_scheduler(tmp_path: Path) -> None:
    no_job(tmp_path)
    assert not (tmp_path / NAME).exists(), "a run that no scheduler had needs no word of it"
    add_job(tmp_path, FIRST)
    no_job(tmp_path)
    assert last_job(tmp_path) is None and read_jobs(tmp_path)[0] == FIRST
    add_job(tmp_path, SECOND)
    assert last_job(tmp_path) == SECOND


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"jobs": 5}',
        '{"jobs": [{"id": 7, "subm',
        '{"jobs": [{"id": 7}]}',
        '{"jobs": [{"id": "", "submitted": 1}]}',
    ],
)
def test_a_torn_record_names_no_job_and_a_new_one_is_kept(text: str, tmp_path: Path) -> None:
    (tmp_path / NAME).write_text(text)
    assert read_jobs(tmp_path) == () and last_job(tmp_path) is None
    add_job(tmp_path, FIRST)
    assert read_jobs(tmp_path) == (FIRST,)


def at(state: str, **fields: object) -> Queue:
    return Queue(1000.0, {7: Job(id=7, state=state, submitted=500.0, **fields)})  # type: ignore[arg-type]


def judged(status: Status, queue: Queue, folder: Path) -> Status:
    return by_scheduler(status, JobRecord(id=7, submitted=500.0, partition="gpu"), folder, queue=queue, now=1000.0)


def test_a_run_s_state_is_the_scheduler_s_word(tmp_path: Path) -> None:
    waits, works = Status(state="queued"), Status(state="running", pid=5, step=9, heartbeat=900.0, host="n1")
    assert judged(waits, Queue(499.0, {}), tmp_path).state == "queued", "asked before it was submitted"
    assert judged(waits, at("RUNNING", nodes="n1"), tmp_path).state == "starting"
    assert judged(works, at("RUNNING", nodes="n1"), tmp_path) == works
    queued = judged(works, at("PENDING", reason="BeginTime", ran_on="n1"), tmp_path)
    assert queued.state == "queued" and "Its worker on n1 ended without a word" in queued.message
    alive = works.model_copy(update={"heartbeat": 999.0})
    assert judged(alive, at("CANCELLED"), tmp_path) == alive, "it is saving still"
    for state, fields, words in (
        ("NODE_FAIL", {"nodes": "n[1-2]", "failed_node": "n2"}, "a node failed (n2)"),
        ("TIMEOUT", {"nodes": "n1"}, "it reached its time limit on n1"),
        ("OUT_OF_MEMORY", {"nodes": "n1"}, "more host memory than it asked for on n1"),
        ("FAILED", {"nodes": "n1", "signal": 9}, "it ended on n1 by signal 9"),
    ):
        lost = judged(works, at(state, **fields), tmp_path)
        assert lost.state == "lost" and words in lost.message and "There is no checkpoint yet" in lost.message
    unseen = judged(works, at("FAILED", nodes="n1", exit_status=1), tmp_path)
    assert f"Its log is empty: it may be that its node does not see {tmp_path}." in unseen.message
    (tmp_path / "worker.log").write_text("loratui: the set-up failed with status 1 at: module load x\n")
    failed = judged(works, at("FAILED", nodes="n1", exit_status=1), tmp_path)
    assert failed.state == "failed" and "(cluster.setup) failed with status 1 at: module load x." in failed.message
    assert judged(works, at("CANCELLED", nodes="n1"), tmp_path).state == "stopped"
    gone = judged(works, Queue(1000.0, {}), tmp_path)
    assert gone.state == "lost" and "Slurm has forgotten it since" in gone.message
    silent = judged(works, Queue(1000.0, {}, "Slurm does not answer."), tmp_path)
    assert silent.state == "running" and silent.message.startswith("Slurm does not answer.")
    again = Queue(1000.0, {7: Job(id=7, state="COMPLETED", submitted=1.0)})
    assert "forgotten" in judged(works, again, tmp_path).message, "a number that was used before is another job"


def test_the_last_whole_checkpoint_is_named_with_the_way_back(tmp_path: Path) -> None:
    works = Status(state="running", pid=5, step=9, heartbeat=900.0, host="n1", eta_seconds=60.0)
    for step in (4, 8):
        write_checkpoint(tmp_path / "checkpoints" / f"checkpoint-{step}", step)
    (tmp_path / "checkpoints" / "checkpoint-new").mkdir()
    lost = judged(works, at("TIMEOUT", nodes="n1"), tmp_path)
    assert "The last whole checkpoint is checkpoint-8; `loratui resume` submits it again." in lost.message
    assert lost.eta_seconds is None
    (tmp_path / "checkpoints" / "checkpoint-8" / "optimizer.pt").unlink()
    assert "checkpoint is checkpoint-4;" in judged(works, at("TIMEOUT"), tmp_path).message


def test_one_that_saved_and_was_not_queued_again_is_stopped(tmp_path: Path) -> None:
    saved = Status(state="queued", pid=5, step=9, heartbeat=900.0, host="n1")
    ended = judged(saved, at("FAILED", nodes="n1", exit_status=75), tmp_path)
    assert ended.state == "stopped" and "it saved before, and was not queued again" in ended.message


def test_between_two_jobs_the_status_is_as_the_worker_left_it(tmp_path: Path) -> None:
    saved = Status(state="queued", pid=5, step=9, heartbeat=900.0, host="n1")
    leaving = at("RUNNING", start=800.0, nodes="n1")
    assert judged(saved, leaving, tmp_path) == saved, "its worker has left, and the job is not queued again yet"
    begun = judged(saved, at("RUNNING", start=950.0), tmp_path)
    assert begun.state == "starting" and begun.message == "Job 7 began: its first words are still to come."


def test_a_queue_of_before_the_submission_knows_nothing_of_the_job(tmp_path: Path) -> None:
    waits = judged(Status(state="starting"), Queue(499.0, {}), tmp_path)
    assert waits.state == "queued" and waits.message.startswith("Job 7 was submitted to partition gpu at ")
    works = Status(state="running", pid=5, heartbeat=900.0)
    assert judged(works, Queue(499.0, {}), tmp_path) == works


def test_a_run_asks_the_scheduler_of_its_last_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))  # no Slurm here
    run = Run(tmp_path)
    write_status(run.status_path, Status(state="queued", created=500.0))
    add_job(run.path, FIRST)
    assert run.status().state == "queued" and "there is no command squeue here" in run.status().message
    no_job(run.path)
    assert run.status().state == "lost", "no scheduler has it, and nobody of this machine took it"


RUNS = Queue(1000.0, {7: Job(id=7, state="RUNNING", nodes="n[1-2]", submitted=500.0, start=510.0)})
FRESH = Status(state="running", pid=9, host="n1", heartbeat=995.0, created=500.0)


def of_another_machine(folder: Path, heartbeat: float, seconds_old: float) -> Status:
    """A status that a node wrote so long ago by the file system's clock, whatever the node's own said."""
    status = FRESH.model_copy(update={"heartbeat": heartbeat, "boot": "another", "beat": 5.0})
    path = Run(folder).status_path
    write_status(path, status)
    written = time.time() - seconds_old
    os.utime(path, (written, written))
    return status


def test_a_worker_that_is_silent_in_a_running_job_is_told_of(tmp_path: Path) -> None:
    assert judged(FRESH, RUNS, tmp_path).message == ""
    late = judged(FRESH.model_copy(update={"heartbeat": 700.0}), RUNS, tmp_path)
    assert late.state == "running", "Slurm says so"
    assert "Job 7 runs on n[1-2], but its worker has said nothing for 5 min" in late.message, late.message
    assert stall_words(late) == late.message and stall_words(FRESH) == "", "whoever follows the run is told"


def test_how_long_it_is_silent_is_told_by_the_file_system_s_clock(tmp_path: Path) -> None:
    told = judged(of_another_machine(tmp_path, heartbeat=960.0, seconds_old=45.0), RUNS, tmp_path)
    assert "its worker has said nothing for 45 s" in told.message, told.message
    jobs._looks.clear()  # as another process
    for heartbeat in (700.0, 1300.0):  # a node's clock that is minutes wrong
        assert not judged(of_another_machine(tmp_path, heartbeat, seconds_old=2.0), RUNS, tmp_path).message
    jobs._looks.clear()
    ahead = judged(of_another_machine(tmp_path, heartbeat=1300.0, seconds_old=200.0), RUNS, tmp_path)
    assert "said nothing for 3 min" in ahead.message
    assert [path.name for path in tmp_path.iterdir()] == ["status.json"], "nothing is left there"


def test_who_looks_on_makes_few_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Path] = []
    by_files = jobs._age_by_files
    monkeypatch.setattr(jobs, "_age_by_files", lambda folder: made.append(folder) or by_files(folder))
    for beat in range(20):  # a clock that is minutes wrong, and a worker that beats
        assert not judged(of_another_machine(tmp_path, 700.0 + beat, seconds_old=0.0), RUNS, tmp_path).message
    for _ in range(20):
        judged(of_another_machine(tmp_path, 719.0, seconds_old=50.0), RUNS, tmp_path)
    assert len(made) == 1
    monkeypatch.setattr(jobs, "PERIOD_SECONDS", 0.0)
    assert "nothing for 50 s" in judged(of_another_machine(tmp_path, 719.0, seconds_old=50.0), RUNS, tmp_path).message


def test_where_no_file_can_be_made_the_clocks_may_be_apart(tmp_path: Path) -> None:
    assert silence(FRESH.model_copy(update={"heartbeat": 900.0}), tmp_path / "none", 1000.0) == 0
    assert silence(FRESH.model_copy(update={"heartbeat": 800.0}), tmp_path / "none", 1000.0) == 200
    same = FRESH.model_copy(update={"heartbeat": 900.0, "boot": boot_id(), "beat": since_boot() - 50})
    assert not boot_id() or 49 < silence(same, tmp_path / "none", 1000.0) < 60
