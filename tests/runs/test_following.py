"""A run as printed lines, signals to its worker, what went wrong in it, and what may be gone on from."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from plain_course import course_of

from loratui.core.errors import RunError
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_from_toml, plan_to_toml, with_values
from loratui.runs import lock, recovery
from loratui.runs.continuation import change, continuation
from loratui.runs.control import evaluate_now, stop_run, wait_ended
from loratui.runs.course import read_course, sound_until
from loratui.runs.directory import Run
from loratui.runs.events import Event, EventTail, append_event, make
from loratui.runs.failure import (
    Trouble,
    failed_fixes,
    pending_fix,
    standing_words,
    still_standing,
    trouble_of,
    was_tried,
)
from loratui.runs.fingerprint import differences
from loratui.runs.follow import event_line, follow_lines
from loratui.runs.lock import take_lock
from loratui.runs.resume import change_and_resume, extend_run
from loratui.runs.start import create_run
from loratui.runs.status import Status, own_mark, write_status
from loratui.runs.votes import TIE, Preferences, Vote, add_vote, preferences, read_votes, tally


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return create_run(Plan(), output=tmp_path / "run")


def holds(run: Run, **changes: Any) -> None:
    """The run's status names this very process as its worker."""
    mark = own_mark()
    values = {
        "state": "running",
        "pid": mark.pid,
        "process_started": mark.started,
        "process_ticks": mark.ticks,
        "boot": mark.boot,
        "host": mark.host,
        **changes,
    }
    write_status(run.status_path, Status.model_validate(values))


def checkpoint(run: Run, step: int) -> Path:
    folder = run.checkpoints_path / f"checkpoint-{step}"
    folder.mkdir(parents=True)
    (folder / "scheduler.pt").write_bytes(b"x")
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    return folder


# Lines


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            make("started", 0, total_steps=9, examples=5, parameters_trainable=4_816_896, device="CPU"),
            "started: 9 steps, 5 rows, 4,816,896 trained parameters, on CPU",
        ),
        (
            make("started", 0, total_steps=9, examples=5, device="CPU", resumed_from="checkpoint-3", step=3),
            "continued from checkpoint-3 at step 3: 9 steps, 5 rows, 0 trained parameters, on CPU",
        ),
        (make("phase", 0, message="loading the model"), "loading the model"),
        (
            make("data", 0, examples=8, eval_examples=2, tokens=4000, trained_tokens=1500, cut=3, unusable=1),
            "8 rows to train on, 2 held out, 4,000 tokens (1,500 learnt from); 3 cut to the maximum length; 1 unusable",
        ),
        (
            make("rehearsal", 0, memory_peak=3 * 2**30, seconds_per_step=1.25, longest_tokens=700),
            "rehearsal passed: peak 3.00 GiB, 1.25 s a step, longest row 700 tokens",
        ),
        (
            make("eval", 0, step=4, loss=1.5, token_accuracy=0.5, rouge_l=0.25, best=True),
            "evaluation at step 4: loss 1.5000  token accuracy 0.500  ROUGE-L 0.250  (best so far)",
        ),
        (make("eval", 0, step=4), "evaluation at step 4: loss –"),
        (make("sample", 0, prompt="Who\n are you?", answer="x" * 300), f"  Who are you? → {'x' * 99}…"),
        (make("checkpoint", 0, path="checkpoints/checkpoint-4"), "saved checkpoints/checkpoint-4"),
        (make("finding", 0, severity="error", message="it broke"), "error: it broke"),
        (
            make("fix", 0, by="auto", changes={"lora.r": [16, 8]}, message="It goes on."),
            "changed unattended: lora.r 16 → 8. It goes on.",
        ),
        (make("fix", 0, message="It starts anew."), "changed: nothing in the plan. It starts anew."),
        (make("fix_outcome", 0, helped=True, message="it fell"), "the change helped: it fell"),
        (make("fix_outcome", 0, message="it rose"), "the change did not help: it rose"),
        (make("oom", 0, where="step", message="2 GiB wanted"), "out of memory (step): 2 GiB wanted"),
        (make("failed", 0, message="no disk"), "failed: no disk"),
        (make("stopped", 0, step=7), "stopped at step 7"),
        (make("stopped", 0, step=7, reason="asked to"), "stopped at step 7: asked to"),
        (make("some later kind", 0), ""),
    ],
    ids=lambda value: value.type if isinstance(value, Event) else "",
)
def test_an_event_is_one_line(event: Event, line: str) -> None:
    assert event_line(event) == line


def test_steps_come_at_their_pace_and_the_last_is_never_lost(run: Run) -> None:
    append_event(run, "started", total_steps=5, examples=1, device="CPU")
    with run.events_path.open("a") as file:
        for number, time in enumerate((100.0, 100.1, 100.2, 101.5, 101.6), 1):
            step = make("step", time, step=number, loss=1.0, tokens_per_second=1234.0, memory_peak=2**30, eta=75.0)
            file.write(step.model_dump_json(exclude_none=True) + "\n")
    append_event(run, "saved by some later version")
    write_status(run.status_path, Status(state="failed", message="the disk\x1b[31m is full"))
    lines = list(follow_lines(run))
    assert [line.split()[1] for line in lines if line.startswith("step")] == ["1/5", "4/5", "5/5"]
    assert "1,234 tokens/s  1.00 GiB  1 min 15 s left" in lines[1]
    assert lines[-1] == "failed: the disk␛[31m is full", "what no event told is told by the status"


# Signals


@pytest.mark.parametrize(
    ("status", "says"),
    [
        ({"state": "finished"}, "is not running: it is finished"),
        ({"pid": 0, "state": "starting"}, "has no worker yet"),
        ({"host": "node-7.invalid"}, "runs on node-7.invalid"),
    ],
)
def test_no_signal_without_a_worker_here(run: Run, status: dict[str, Any], says: str) -> None:
    holds(run, **status, created=time.time(), heartbeat=time.time())
    with pytest.raises(RunError, match=says):
        stop_run(run, "command")


@pytest.mark.parametrize(("error", "says"), [(ProcessLookupError, "is gone"), (PermissionError, "another user")])
def test_a_signal_that_does_not_arrive(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: type[OSError], says: str
) -> None:
    def kill(pid: int, number: int) -> None:
        raise error

    holds(run)
    monkeypatch.setattr(os, "kill", kill)
    with pytest.raises(RunError, match=says):
        evaluate_now(run)


def test_waiting_ends_with_the_time_while_the_run_goes_on(run: Run) -> None:
    holds(run)
    assert wait_ended(run, 0.15).state == "running"


def test_a_held_run_is_refused_and_free_again_after(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "LOCK_SECONDS", 0.1)
    code = (
        "import fcntl, sys; file = open(sys.argv[1], 'a'); fcntl.flock(file, fcntl.LOCK_EX)\n"
        "print('held', flush=True); input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(run.lock_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    with pytest.raises(RunError, match="already has a worker"):
        take_lock(run.lock_path)
    other.communicate("\n", timeout=120)
    take_lock(run.lock_path).close()


# What went wrong


def test_the_trouble_is_what_ended_the_last_worker() -> None:
    started = make("started", 0)
    oom = make("oom", 1, where="step", step=3)
    failed = make("failed", 2, code="out-of-memory", where="load", step=3)
    nan = make("finding", 1, finding="loss-nan", severity="error", step=5)
    hint = make("finding", 1, finding="overfitting", severity="error", step=5)
    fix = make("fix", 3, changes={"lora.r": [16, 8]})
    assert trouble_of([started, oom, failed]) == Trouble("oom", 3, "step"), "the cause, not its consequence"
    assert trouble_of([started, hint, failed]) == Trouble("out-of-memory", 3, "load")
    assert trouble_of([started, nan]) == Trouble("loss-nan", 5)
    assert trouble_of([started, oom, fix]) is None and trouble_of([started, oom, started]) is None
    assert pending_fix([started, oom, fix, started]) == fix
    assert pending_fix([fix, make("fix_outcome", 4, helped=True)]) is None


def test_a_course_forgets_the_steps_that_a_later_worker_did_again(run: Run) -> None:
    append_event(run, "started", total_steps=6)
    append_event(run, "data", examples=9, eval_examples=3, trained_tokens=700)
    for number in range(1, 5):
        append_event(run, "step", step=number, epoch=number / 2, loss=float(number), grad_norm=None)
    append_event(run, "eval", step=2, loss=2.5)
    append_event(run, "eval", step=4, loss=4.5)
    append_event(run, "started", step=2)
    append_event(run, "step", step=3, epoch=1.5, loss=0.5, grad_norm=1.0)
    course = read_course(run)
    assert [(step.step, step.loss) for step in course.steps] == [(1, 1.0), (2, 2.0), (3, 0.5)]
    curves = course.curves(bf16=True)
    assert (list(curves.eval_steps), curves.total_steps, curves.steps_per_epoch) == ([2], 6, 2)
    assert curves.eval_rows == 3 and curves.trained_tokens == 700 and curves.bf16 is True


def course_with(loss: float = 1.0, grad_norm: float = 1.0, at: int = 30) -> list[Event]:
    sound = [make("step", 0, step=number, loss=2.0 - number / 100, grad_norm=1.0) for number in range(1, at)]
    return [*sound, make("step", 0, step=at, loss=loss, grad_norm=grad_norm)]


def test_weights_are_sound_until_the_step_before_the_trouble() -> None:
    assert sound_until(course_of(course_with()), precision="bf16") is None
    assert sound_until(course_of(course_with(loss=math.nan)), precision="bf16") == 28
    assert sound_until(course_of(course_with(grad_norm=math.inf)), precision="bf16") == 28
    assert sound_until(course_of(course_with(grad_norm=math.inf)), precision="fp16") is None, "float16 skips that step"
    assert sound_until(course_of(course_with(loss=math.nan, at=1)), precision="bf16") == 0


# Going on


def test_it_goes_on_from_the_last_sound_checkpoint_and_keeps_the_spoilt(run: Run) -> None:
    for step in (10, 25, 40):
        checkpoint(run, step)
    with run.events_path.open("a") as file:
        file.writelines(event.model_dump_json(exclude_none=True) + "\n" for event in course_with(loss=math.nan))
    how = continuation(run, {"training.learning_rate": 1e-5})
    assert how.start == "checkpoint" and how.from_step == 25
    assert how.words == "It goes on from step 25 (what was saved later is spoilt). Kept, but set aside: checkpoint-40."
    told = change(run, how)
    assert [folder.name for folder in run.checkpoints()] == ["checkpoint-10", "checkpoint-25"]
    assert told["set_aside"] == ["checkpoints/diverged-40"] and (run.path / "checkpoints" / "diverged-40").is_dir()
    assert run.plan().training.learning_rate == 1e-5
    assert plan_from_toml((run.path / "plan.1.toml").read_text()) == Plan()


def test_a_new_shape_starts_anew_and_nothing_is_lost(run: Run) -> None:
    checkpoint(run, 10)
    how = continuation(run, {"lora.r": 8})
    assert how.start == "anew" and how.checkpoint is None
    told = change(run, how)
    assert told["set_aside"] == ["earlier/checkpoints"] and run.checkpoints() == []
    assert (run.path / "earlier" / "checkpoints" / "checkpoint-10" / "trainer_state.json").exists()
    checkpoint(run, 4)
    assert change(run, continuation(run, {}, restart=True))["set_aside"] == ["earlier-2/checkpoints"]


def test_without_a_sound_checkpoint_it_begins_again_and_says_why(run: Run) -> None:
    assert "there is no checkpoint yet" in continuation(run, {}).because
    checkpoint(run, 40)
    how = continuation(run, {}, sound=0)
    assert (how.start, how.because) == (
        "anew",
        "checkpoint-40 was written after the loss began to climb, and there is none from before",
    )


def test_a_checkpoint_beyond_the_new_last_step_is_set_aside(run: Run) -> None:
    for step in (10, 40):
        checkpoint(run, step)
    how = continuation(run, {"training.max_steps": 20})
    assert (how.start, how.from_step) == ("checkpoint", 10)
    assert change(run, how)["set_aside"] == ["checkpoints/later-40"]
    assert [folder.name for folder in run.checkpoints()] == ["checkpoint-10"]


def test_a_disk_that_takes_nothing_leaves_the_plan(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("loratui.runs.continuation.write_whole", full)
    with pytest.raises(RunError, match="No space left"):
        change(run, continuation(run, {"training.learning_rate": 1e-5}))
    assert run.plan() == Plan()


def test_what_differs_is_told_in_words() -> None:
    before = {"data": {"train": "a", "held_out": "b"}, "model": "x", "versions": {"torch": "2.8"}}
    now = {"data": {"train": "c", "held_out": "d"}, "model": "y", "versions": {"torch": "2.8"}}
    assert differences(before, now) == [
        "the training rows changed",
        "the held-out rows changed",
        "the base model changed",
    ]
    assert differences(before, {}) == [], "what is not known is not compared"


# Small files of a run


def test_leave_to_mend_itself(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not recovery.allowed(run) and recovery.left(run) == 0
    recovery.allow(run)
    assert recovery.allowed(run) and recovery.left(run) == recovery.TIMES
    recovery.allow(run, 0)
    assert recovery.allowed(run) and recovery.left(run) == 0
    (run.path / recovery.NAME).write_text('{"left": ')
    assert recovery.left(run) == 0, "a torn file is no leave"
    with pytest.raises(RunError, match="cannot be written"):
        recovery.allow(Run(run.path / "gone"))


def test_votes_are_counted_for_each_side(run: Run) -> None:
    assert tally(run) == {}
    for winner in ("adapter", "adapter", "base", TIE):
        add_vote(run, Vote("Who?", ("base", "adapter"), winner))
    with (run.path / "votes.jsonl").open("a") as file:
        file.write('{"winner": "base"}\n{"tor')
    assert tally(run) == {"base": 1, "adapter": 2, TIE: 1}
    assert preferences(read_votes(run)) == Preferences([], ties=1, unusable=3, equal=0), "these have no answers"
    with pytest.raises(RunError, match="vote cannot be kept"):
        add_vote(Run(run.path / "gone"), Vote("Who?", ("base",), TIE))


def test_a_plan_change_is_told_once_in_the_events(run: Run) -> None:
    append_event(run, "fix", **change(run, continuation(run, with_changes := {"lora.dropout": 0.1})))
    (told,) = EventTail(run.events_path).new_events()
    assert with_values(Plan(), with_changes) == run.plan() and event_line(told).startswith("changed: lora.dropout")


def test_what_cannot_be_gone_on_with_is_refused_with_the_way_out(run: Run) -> None:
    checkpoint(run, 3)
    write_status(run.status_path, Status(state="finished"))
    with pytest.raises(RunError, match="is finished") as error:
        change_and_resume(run, {"saving.keep": 9})
    assert error.value.hint is not None and "--anew" in error.value.hint
    holds(run)
    with pytest.raises(RunError, match="still going"):
        extend_run(run, 1)
    write_status(run.status_path, Status(state="stopped"))
    run.plan_path.write_text(plan_to_toml(with_values(Plan(), {"training.max_steps": 5})))
    with pytest.raises(RunError, match="counts steps") as error:
        extend_run(run, 1)
    assert error.value.hint == "Give a higher one: --set training.max_steps=…"
    assert run.plan().training.epochs == Plan().training.epochs, "nothing was changed"


def test_a_fix_that_did_not_help_is_known_by_what_it_left_and_not_tried_again() -> None:
    clip = make("fix", 1.0, changes={"training.max_grad_norm": [1.0, 0.3]}, start="anew", reason="diverged")
    lower = make("fix", 3.0, changes={"training.learning_rate": [0.9, 0.3]}, start="checkpoint", reason="diverged")
    events = [clip, make("fix_outcome", 2.0, helped=False), lower, make("fix_outcome", 4.0, helped=True)]
    failed = failed_fixes(events)
    assert failed == [clip]
    assert was_tried(failed, {"training.max_grad_norm": 0.3}, True) and not was_tried(failed, {}, False)
    assert not was_tried(failed, {"training.learning_rate": 0.3}, False), "that one helped"
    assert not was_tried([lower], {"training.learning_rate": 0.3}, True), "anew it has not been tried"
    plan = with_values(Plan(), {"training.max_grad_norm": 0.3, "training.learning_rate": 0.3})
    standing = still_standing(plan, failed)
    assert standing_words(standing) == (
        "Still in the plan, though it did not help: training.max_grad_norm 0.3 (it was 1)."
    )
    assert [one.may_go_back for one in standing] == [True]
    assert [one.may_go_back for one in still_standing(plan, [lower])] == [False], "a higher rate diverged before"
    assert still_standing(Plan(), failed) == [], "it has been put back"


def test_a_result_that_is_not_the_last_steps_says_so() -> None:
    best = event_line(make("finished", 1.0, step=30, seconds=1.0, result="adapter", result_step=12))
    assert best.endswith("the result is in adapter, with the weights of step 12, whose evaluation was best")
    assert event_line(make("finished", 1.0, step=30, seconds=1.0, result="adapter", result_step=30)).endswith("adapter")
