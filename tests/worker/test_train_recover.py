"""A run that mends itself unattended, and one that is asked to evaluate now."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner
from test_train_run import TIMEOUT, events_of, files, losses, plan_for  # noqa: F401 (a fixture among them)
from tiny_model import write_rows, write_tiny_model

from loratui.commands.tree import loratui
from loratui.core.errors import RunError
from loratui.core.plan_text import plan_to_toml
from loratui.runs.control import evaluate_now, stop_run, wait_ended
from loratui.runs.directory import Run
from loratui.runs.events import Eval, Event, Finding, Fix, FixOutcome, Step
from loratui.runs.failure import SPOILT
from loratui.runs.follow import follow_lines
from loratui.runs.recovery import allow, left
from loratui.runs.resume import change_and_resume, resume_run
from loratui.runs.start import create_run, start_worker, worker_command, worker_environment
from loratui.runs.status import write_status

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]

FULL_AT_STEP_7 = """
import os
if not os.path.exists(FULL_ONCE):
    import torch
    from trl import SFTTrainer
    original = SFTTrainer.training_step
    def full(self, *arguments, **options):
        if self.state.global_step == 7:
            open(FULL_ONCE, "w").close()
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return original(self, *arguments, **options)
    SFTTrainer.training_step = full
"""
"""Python reads this when it starts: the worker's memory is full at one step; when it begins anew it is the real one."""


def worker(run: Run, site: str = "") -> int:
    """The run's worker until it and whatever it became has ended; its exit status. site: what Python reads when it
    starts; in it FULL_ONCE is a path of the run's own.
    """
    environment = worker_environment(run.plan())
    if site:
        path = run.path.with_name(f"{run.name}-site")
        path.mkdir()
        (path / "sitecustomize.py").write_text(site.replace("FULL_ONCE", repr(str(path / "full"))))
        environment["PYTHONPATH"] = f"{path}:{environment.get('PYTHONPATH', '')}"
    with run.log_path.open("ab") as log:
        return subprocess.run(
            worker_command(run),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            timeout=TIMEOUT,
            check=False,
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
    fix = next(event for event in events_of(run) if isinstance(event, Fix))
    assert (fix.start, fix.from_step, fix.reason, fix.by, fix.at_step, fix.where) == (
        "checkpoint",
        5,
        "oom",
        "auto",
        7,
        "step",
    )
    assert fix.changes == {"training.batch_size": [2, 1], "training.accumulation": [2, 4]}
    outcome = next(event for event in events_of(run) if isinstance(event, FixOutcome))
    assert outcome.helped and outcome.step == 8
    assert sorted(losses(run)) == list(range(1, run.status().total + 1))


CALM = {
    "method__kind": "full",
    "training__learning_rate": 5e-3,
    "training__warmup_steps": 0,
    "training__max_steps": 40,
    "training__scheduler": "constant",
    "training__max_grad_norm": 0.0,
    "evaluation__every_steps": 0,
    "saving__keep": 20,
}


@pytest.fixture(scope="module")
def learnt(files: Path, ready_workers: None) -> Run:  # noqa: F811
    """A run that learnt for 40 steps."""
    run = create_run(plan_for(files, **CALM), output=files / "learnt")
    assert worker(run) == 0, run.log_path.read_text()[-3000:]
    return run


def test_a_whole_result_answers_with_the_cache_that_training_did_without(learnt: Run) -> None:
    assert json.loads((learnt.model_path / "config.json").read_text())["use_cache"] is True


def heated(learnt: Run, path: Path) -> Run:
    """It goes on at a rate at which it diverges."""
    shutil.copytree(learnt.path, path)
    run = Run(path)
    shutil.rmtree(run.model_path)
    write_status(run.status_path, run.status().model_copy(update={"state": "stopped"}))
    return run


def rates(events: Sequence[Event]) -> list[float]:
    return [event.learning_rate or 0.0 for event in events if isinstance(event, Step)]


def test_a_divergence_is_mended_and_the_next_steps_have_the_new_rate(learnt: Run, tmp_path: Path) -> None:
    run = heated(learnt, tmp_path / "run")
    allow(run)
    change_and_resume(run, {"training.learning_rate": 0.9, "training.max_steps": 75})
    assert wait_ended(run, TIMEOUT).state == "finished", run.log_path.read_text()[-3000:]
    events = events_of(run)
    found = next(event for event in events if isinstance(event, Finding) and event.severity == "error")
    hot, fix = (event for event in events if isinstance(event, Fix))
    assert found.finding in SPOILT and (fix.reason, fix.by, fix.start) == (found.finding, "auto", "anew")
    proposed = run.proposed()["values"]["training.learning_rate"]
    assert (
        fix.changes["training.learning_rate"] == [0.9, proposed]
        and proposed < 0.02
        and fix.set_aside[0] == "earlier/checkpoints"
    )
    between, after = events[events.index(hot) : events.index(fix)], events[events.index(fix) :]
    assert set(rates(between)) == {0.9} and set(rates(after)) == {proposed}, "in force from the first step on"
    assert [event.helped for event in after if isinstance(event, FixOutcome)] == [True]
    made = [event for event in after if isinstance(event, Step)]
    assert made[0].step == 1 and (made[-1].loss or 9) < (made[0].loss or 0), "it learns"
    card = (run.model_path / "README.md").read_text()
    assert "which helped" in card and f"highest {proposed:.3g}" in card, "the card tells the rate that was used"
    told = "\n".join(follow_lines(run))
    assert "changed unattended: training.learning_rate 0.9 → " in told and "the change helped" in told


BREAKS_STEP_8 = """
import sys
if any(part == "loratui.worker" for part in sys.orig_argv):
    import transformers
    original = transformers.Trainer.training_step
    def broken(self, *arguments, **options):
        loss = original(self, *arguments, **options)
        return loss * float("nan") if self.state.global_step == 7 else loss
    transformers.Trainer.training_step = broken
"""
"""Python reads this when it starts: the eighth step of every worker has no loss that is a number."""


def test_what_no_fix_mends_ends_with_status_1_and_no_fix_twice(files: Path, tmp_path: Path) -> None:  # noqa: F811
    """A site module breaks step 8 of every worker: three tries at most, each another, and then a person is waited
    for.
    """
    run = create_run(plan_for(files, evaluation__every_steps=0, training__max_steps=12), output=tmp_path / "run")
    allow(run)
    assert worker(run, BREAKS_STEP_8) == 1
    events = events_of(run)
    fixes = [event for event in events if isinstance(event, Fix)]
    outcomes = [event for event in events if isinstance(event, FixOutcome)]
    assert 1 <= len(fixes) <= 2 and len(outcomes) == len(fixes) and not any(one.helped for one in outcomes)
    assert len({json.dumps(fix.changes) for fix in fixes}) == len(fixes), "no fix twice"
    assert not any("training.max_length" in fix.changes for fix in fixes)
    status = run.status()
    assert status.state == "failed" and "waits for a person" in status.message and "again" in status.message
    assert (events[-1].type == "failed" and [step.name for step in run.checkpoints()] == ["checkpoint-5"]) or fixes[
        -1
    ].start == "anew"


def test_a_first_step_that_is_no_number_costs_no_restart(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    write_tiny_model(tmp_path / "model")
    write_rows(tmp_path / "rows.jsonl", 20)
    weights = load_file(tmp_path / "model" / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, tmp_path / "model" / "model.safetensors", {"format": "pt"})
    (tmp_path / "plan.toml").write_text(plan_to_toml(plan_for(tmp_path)))
    command = ["train", str(tmp_path / "plan.toml"), "--output", str(tmp_path / "run"), "--auto-recover"]
    done = CliRunner().invoke(loratui, command)
    run = Run(tmp_path / "run")
    assert done.exit_code == 1 and "waits for a person" in done.output, done.output
    events = events_of(run)
    assert sum(event.type == "started" for event in events) == 1 and not any(isinstance(event, Fix) for event in events)
    assert left(run) == 3 and run.status().state == "failed"


def test_a_person_mends_a_divergence_from_the_last_sound_checkpoint(learnt: Run, tmp_path: Path) -> None:
    """Back to what was sound, at the rate that is asked for; what was saved while it climbed is kept and never gone on
    from.
    """
    run = heated(learnt, tmp_path / "run")
    change_and_resume(run, {"training.learning_rate": 0.9, "training.max_steps": 200})
    status = wait_ended(run, TIMEOUT)
    assert status.state == "failed" and "diverged" in status.message, status
    last = run.last_checkpoint()
    assert (
        last is not None
        and int(last.name.removeprefix("checkpoint-")) <= 40
        and list(run.checkpoints_path.glob("diverged-*"))
    )
    change_and_resume(run, {"training.learning_rate": 1e-3, "training.max_steps": 90})
    assert wait_ended(run, TIMEOUT).state == "finished"
    events = events_of(run)
    fix = [event for event in events if isinstance(event, Fix)][-1]
    assert (
        fix.start == "checkpoint"
        and fix.reason in SPOILT
        and (fix.by, fix.from_step) == ("person", int(last.name.removeprefix("checkpoint-")))
    )
    after = [event for event in events[events.index(fix) :] if isinstance(event, Step)]
    assert after[0].step == fix.from_step + 1 and {event.learning_rate for event in after} == {1e-3}
    assert [event.helped for event in events if isinstance(event, FixOutcome)][-1]
    with pytest.raises(RunError, match="is finished"):
        change_and_resume(run, {"training.learning_rate": 5e-4})
    change_and_resume(run, {"training.learning_rate": 5e-4, "training.max_steps": 6}, restart=True)
    assert wait_ended(run, TIMEOUT).state == "finished"
    events = events_of(run)
    begun = [index for index, event in enumerate(events) if isinstance(event, Fix)][-1]
    again = [event for event in events[begun:] if isinstance(event, Step)]
    assert [event.step for event in again] == list(range(1, 7)) and {event.learning_rate for event in again} == {5e-4}
    assert (run.path / "earlier" / "model").is_dir() and run.model_path.is_dir(), "the first result is kept"


def test_a_change_that_ruins_the_held_out_loss_is_seen_at_the_next_evaluation(files: Path, tmp_path: Path) -> None:  # noqa: F811
    """Long before thirty steps have been made, and where patience would have called it finished."""
    settings = CALM | {"training__max_steps": 12, "evaluation__every_steps": 2, "evaluation__patience": 0}
    run = create_run(plan_for(files, **settings), output=tmp_path / "calm")
    assert worker(run) == 0, run.log_path.read_text()[-3000:]
    run = heated(run, tmp_path / "run")
    change_and_resume(run, {"training.learning_rate": 0.9, "training.max_steps": 40, "evaluation.patience": 1})
    status = wait_ended(run, TIMEOUT)
    assert status.state == "failed" and "held-out loss" in status.message, status
    events = events_of(run)
    found = [event for event in events if isinstance(event, Finding)][-1]
    assert found.finding == "diverged" and found.step <= 16 and found.fixes
    assert [event.helped for event in events if isinstance(event, FixOutcome)] == [False]
    last = run.last_checkpoint()
    assert last is not None and last.name == "checkpoint-12"
    allow(run)
    change_and_resume(run, {})
    assert wait_ended(run, TIMEOUT).state == "finished", run.log_path.read_text()[-3000:]
    assert [event.by for event in events_of(run) if isinstance(event, Fix)][-1] == "auto"


def test_without_leave_it_waits_for_a_person(files: Path, tmp_path: Path) -> None:  # noqa: F811
    run = create_run(plan_for(files, evaluation__every_steps=0), output=tmp_path / "run")
    assert worker(run, FULL_AT_STEP_7) == 1
    assert run.status().state == "failed" and not (run.path / "plan.1.toml").exists()
    run = create_run(plan_for(files, evaluation__every_steps=0), output=tmp_path / "spent")
    allow(run, 0)
    assert worker(run, FULL_AT_STEP_7) == 1


def test_a_run_evaluates_when_it_is_asked(files: Path, tmp_path: Path) -> None:  # noqa: F811
    run = create_run(
        plan_for(files, training__epochs=60.0, evaluation__every_steps=100_000, saving__every_steps=100_000),
        output=tmp_path / "run",
    )
    start_worker(run)
    until = time.monotonic() + TIMEOUT
    while not losses(run) and time.monotonic() < until:
        time.sleep(0.1)
    evaluate_now(run)
    while not any(isinstance(event, Eval) for event in events_of(run)) and time.monotonic() < until:
        time.sleep(0.1)
    stop_run(run, "command")
    wait_ended(run, TIMEOUT)
    found = [event for event in events_of(run) if isinstance(event, Eval)]
    assert len(found) == 1 and found[0].loss is not None and found[0].rows == 12


def test_a_run_that_was_moved_goes_on_from_where_it_lies(files: Path, tmp_path: Path) -> None:  # noqa: F811
    run = create_run(plan_for(files, training__epochs=20.0, evaluation__every_steps=0), output=tmp_path / "run")
    start_worker(run)
    until = time.monotonic() + TIMEOUT
    while len(losses(run)) < 8 and time.monotonic() < until:
        time.sleep(0.1)
    stop_run(run, "command")
    assert wait_ended(run, TIMEOUT).state == "stopped"
    reached = max(losses(run))
    moved = Run((tmp_path / "run").rename(tmp_path / "elsewhere"))
    resume_run(moved)
    while len(losses(moved)) < reached + 5 and time.monotonic() < until:
        time.sleep(0.1)
    stop_run(moved, "command")
    assert wait_ended(moved, TIMEOUT).state == "stopped"
    assert sorted(losses(moved)) == list(range(1, max(losses(moved)) + 1)) and max(losses(moved)) >= reached + 5
    assert not (tmp_path / "run").exists()
