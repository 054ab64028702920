"""A run that mends itself unattended, and one that is asked to evaluate now."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_train_run import TIMEOUT, events_of, files, losses, plan_for  # noqa: F401 (a fixture among them)

from loratui.runs.control import evaluate_now, resume_run, stop_run, wait_ended
from loratui.runs.directory import Run
from loratui.runs.events import Eval, Finding
from loratui.runs.recovery import allow, left
from loratui.runs.start import create_run, start_worker, worker_environment

pytestmark = pytest.mark.worker

FULL_AT_STEP_7 = """
import sys, torch
from trl import SFTTrainer
original = SFTTrainer.training_step
def full(self, *arguments, **options):
    if self.state.global_step == 7:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
    return original(self, *arguments, **options)
SFTTrainer.training_step = full
from loratui.worker.train import main
sys.exit(main(sys.argv[1:]))
"""
"""A worker whose memory is full at one step; when it begins anew it is the real one."""


def worker(run: Run, code: str) -> int:
    with run.log_path.open("ab") as log:
        return subprocess.run(
            [sys.executable, "-c", code, str(run.path)], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env=worker_environment(run.plan()), timeout=TIMEOUT, check=False,
        ).returncode


def test_an_unattended_run_applies_the_first_fix_and_goes_on(files: Path, tmp_path: Path) -> None:  # noqa: F811
    run = create_run(plan_for(files, evaluation__every_steps=0), output=tmp_path / "run")
    allow(run)
    assert worker(run, FULL_AT_STEP_7) == 0
    assert run.status().state == "finished" and left(run) == 2
    before, after = run.path / "plan.1.toml", run.plan()
    assert before.is_file() and after != plan_for(files)
    assert after.training.batch_size * after.training.accumulation == 4, "the effective batch is kept"
    kinds = [event.type for event in events_of(run)]
    assert "oom" in kinds and "failed" not in kinds and kinds[-1] == "finished"
    mended = next(event for event in events_of(run) if isinstance(event, Finding) and event.finding == "recovered")
    assert "it goes on from checkpoint-5" in mended.message and "→" in mended.message
    assert sorted(losses(run)) == list(range(1, run.status().total + 1))


def test_without_leave_it_waits_for_a_person(files: Path, tmp_path: Path) -> None:  # noqa: F811
    run = create_run(plan_for(files, evaluation__every_steps=0), output=tmp_path / "run")
    assert worker(run, FULL_AT_STEP_7) == 1
    assert run.status().state == "failed" and not (run.path / "plan.1.toml").exists()
    run = create_run(plan_for(files, evaluation__every_steps=0), output=tmp_path / "spent")
    allow(run, 0)
    assert worker(run, FULL_AT_STEP_7) == 1


def test_a_run_evaluates_when_it_is_asked(files: Path, tmp_path: Path) -> None:  # noqa: F811
    run = create_run(plan_for(files, training__epochs=60.0, evaluation__every_steps=100_000, saving__every_steps=100_000), output=tmp_path / "run")
    start_worker(run)
    until = time.monotonic() + TIMEOUT
    while not losses(run) and time.monotonic() < until:
        time.sleep(0.1)
    evaluate_now(run)
    while not any(isinstance(event, Eval) for event in events_of(run)) and time.monotonic() < until:
        time.sleep(0.1)
    stop_run(run)
    wait_ended(run, TIMEOUT)
    found = [event for event in events_of(run) if isinstance(event, Eval)]
    assert len(found) == 1 and found[0].loss is not None and found[0].rows == 12


def test_a_run_that_was_moved_goes_on_from_where_it_lies(files: Path, tmp_path: Path) -> None:  # noqa: F811
    run = create_run(plan_for(files, training__epochs=20.0, evaluation__every_steps=0), output=tmp_path / "run")
    start_worker(run)
    until = time.monotonic() + TIMEOUT
    while len(losses(run)) < 8 and time.monotonic() < until:
        time.sleep(0.1)
    stop_run(run)
    assert wait_ended(run, TIMEOUT).state == "stopped"
    reached = max(losses(run))
    moved = Run((tmp_path / "run").rename(tmp_path / "elsewhere"))
    resume_run(moved)
    while len(losses(moved)) < reached + 5 and time.monotonic() < until:
        time.sleep(0.1)
    stop_run(moved)
    assert wait_ended(moved, TIMEOUT).state == "stopped"
    assert sorted(losses(moved)) == list(range(1, max(losses(moved)) + 1)) and max(losses(moved)) >= reached + 5
    assert not (tmp_path / "run").exists()
