"""Kills at chosen places: a worker strikes itself down at the n-th operation of a phase, or is struck from outside.

`put` is called in the worker (a fork of the test's process) with what WORLD_STRIKE says; `STRIKES` are what can happen.
Afterwards every step, every evaluation, the end and the adapter's bytes must be those of an undisturbed run.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from forked import start_forked
from tiny_model import write_contrary_rows, write_rows, write_tiny_model

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs import resume
from loratui.runs.checkpoints import damage
from loratui.runs.control import wait_ended
from loratui.runs.directory import Run
from loratui.runs.events import Checkpoint, Eval, EventTail, Finished, Step
from loratui.runs.start import create_run

TIMEOUT = 240.0
ORDER = "WORLD_STRIKE"
PHASES = {"checkpoint": "_save_checkpoint", "evaluation": "_evaluate"}
"""The trainer's methods; the phase `result` is the session's end."""
MEASURED = ("loss", "perplexity", "token_accuracy", "exact_match", "rouge_l", "generated", "rows", "best")
"""What of an evaluation must be equal."""


# ── in the worker ────────────────────────────────────────────────────────────


def put(session: Any) -> None:
    """Count the operations of each phase, and strike at the one that the order names."""
    order = json.loads(os.environ[ORDER])
    counts: Counter[str] = Counter()
    inside: list[str] = []
    renamed = False

    def point(what: str) -> None:
        nonlocal renamed
        if threading.current_thread().name == "heartbeat" or not inside:
            return
        phases = [inside[-1]]
        if what == "rename":
            renamed = True
        elif what == "fsync" and renamed:
            renamed = False
            phases.append("rename")
        for phase in phases:
            counts[phase] += 1
            if phase == order.get("phase") and counts[phase] == order["at"]:
                os.kill(os.getpid(), order["signal"])

    def audited(event: str, arguments: tuple[Any, ...]) -> None:
        if inside and event in ("os.rename", "os.remove", "os.mkdir", "os.rmdir"):
            point("rename" if event == "os.rename" else event)
        elif inside and event == "open" and isinstance(arguments[2], int) and arguments[2] & os.O_ACCMODE:
            point(event)

    def around(owner: Any, name: str, phase: str) -> None:
        original = getattr(owner, name)

        def wrapped(*arguments: Any, **options: Any) -> Any:
            inside.append(phase)
            try:
                return original(*arguments, **options)
            finally:
                inside.pop()

        setattr(owner, name, wrapped)

    def pointed(owner: Any, name: str, what: str, *, torn: int | None = None) -> None:
        """Before and after a call; torn: which argument names the file that the call writes, which is cut in half."""
        original = getattr(owner, name)

        def wrapped(*arguments: Any, **options: Any) -> Any:
            point(what)
            done = original(*arguments, **options)
            if inside and torn is not None and counts[inside[-1]] + 1 == order.get("at", 0):
                file = Path(arguments[torn])
                if order["phase"] == inside[-1] and order["signal"] == signal.SIGKILL:
                    os.truncate(file, file.stat().st_size // 2)
            point(f"{what} done")
            return done

        setattr(owner, name, wrapped)

    import peft.peft_model
    import torch
    import transformers

    sys.addaudithook(audited)
    pointed(os, "fsync", "fsync")
    pointed(torch, "save", "save", torn=1)
    pointed(peft.peft_model, "safe_save_file", "save", torn=1)
    trainer = sys.modules["loratui.worker.training.trainer"].Trainer
    pointed(trainer, "prediction_step", "prediction")
    pointed(transformers.GenerationMixin, "generate", "answers")
    for phase, name in PHASES.items():
        around(trainer, name, phase)
    around(session.Session, "_conclude", "result")
    execute = session.Session.execute

    def executed(*arguments: Any, **options: Any) -> Any:
        try:
            return execute(*arguments, **options)
        finally:
            if order.get("counts"):
                Path(order["counts"]).write_text(json.dumps(counts))

    session.Session.execute = executed


# ── around it ────────────────────────────────────────────────────────────────


class Course:
    """One plan, the run of it that nothing happened to, and how many operations each phase of that had."""

    def __init__(self, folder: Path, name: str, changes: dict[str, Any]) -> None:
        self.folder, self.name = folder, name
        self.plan = with_values(Plan(), changes)
        self.made = 0
        counts = folder / f"{name}-counts.json"
        began = time.monotonic()
        self.whole = self.make()
        start(self.whole, {"counts": str(counts)})
        assert ended(self.whole) == "finished", self.whole.log_path.read_text()[-3000:]
        self.seconds = time.monotonic() - began
        self.counts: dict[str, int] = json.loads(counts.read_text())

    def make(self) -> Run:
        self.made += 1
        return create_run(self.plan, output=self.folder / f"{self.name}-{self.made}")


class Courses:
    """A run that makes all its steps and ends within an epoch, and one that patience ends early."""

    def __init__(self, folder: Path) -> None:
        write_tiny_model(folder / "model")
        write_rows(folder / "rows.jsonl", 60)
        write_contrary_rows(folder / "contrary.jsonl")
        common = {
            "model.id": str(folder / "model"),
            "model.dtype": "fp32",
            "dataset.path": str(folder / "rows.jsonl"),
            "dataset.eval_fraction": 0.2,
            "training.precision": "fp32",
            "training.batch_size": 2,
            "training.max_length": 64,
            "training.learning_rate": 5e-3,
            "training.accumulation": 1,
            "lora.dropout": 0.1,
            "evaluation.every_steps": 4,
            "evaluation.batch_size": 4,
            "evaluation.prompts": ["1 and 2 is"],
            "saving.every_steps": 3,
            "hardware.cpu": True,
        }
        full = {"training.epochs": 0.6, "training.accumulation": 1}
        hot = {
            "dataset.eval_path": str(folder / "contrary.jsonl"),
            "training.max_steps": 60,
            "evaluation.every_steps": 2,
            "evaluation.patience": 3,
            "training.learning_rate": 0.2,
            "training.scheduler": "constant",
            "training.warmup_steps": 0,
            "saving.keep": 1,
        }
        from loratui.worker.training import session  # noqa: F401 (what takes the time, and is taken once)

        self.all = (Course(folder, "full", common | full), Course(folder, "patient", common | hot))


def start(run: Run, order: dict[str, Any] | None = None) -> int:
    """Start the run's worker, or resume it where it has begun, with an order to strike or none."""
    resume.start_worker = start_forked
    os.environ.pop(ORDER, None)
    if order is not None:
        os.environ[ORDER] = json.dumps(order)
    try:
        return start_forked(run) if not run.status().over else resume.resume_run(run)
    finally:
        os.environ.pop(ORDER, None)


def ended(run: Run) -> str:
    """The state in which the run is over."""
    state = wait_ended(run, TIMEOUT).state
    assert state in ("finished", "lost", "stopped"), (run.status(), run.log_path.read_text()[-3000:])
    return state


def told(run: Run) -> dict[str, Any]:
    """What the run's events say about its steps, evaluations and end, each as it was made last."""
    events = EventTail(run.events_path).new_events()
    steps = {
        one.step: (one.loss, one.grad_norm, one.learning_rate, one.tokens) for one in events if isinstance(one, Step)
    }
    evaluations = {one.step: {name: getattr(one, name) for name in MEASURED} for one in events if isinstance(one, Eval)}
    last = [one for one in events if isinstance(one, Finished)][-1]
    end = {name: getattr(last, name) for name in ("step", "loss", "eval_loss", "tokens", "best_step", "result_step")}
    return {"steps": steps, "evaluations": evaluations, "end": end, "message": run.status().message}


def compare(course: Course, run: Run) -> None:
    """AssertionError where the run is not what it would have been, or something was left behind."""
    was, found = told(course.whole), told(run)
    for part, expected in was.items():
        assert found[part] == expected, f"{part} differ: {found[part]} instead of {expected}"
    one, two = ((each.adapter_path / "adapter_model.safetensors").read_bytes() for each in (course.whole, run))
    assert one == two, "the adapter's bytes differ"
    assert all(not damage(folder) for folder in run.checkpoints_path.iterdir()), "a checkpoint is damaged"
    left = [path.name for place in (run.path, run.checkpoints_path) for path in place.glob(".*") if path.is_dir()]
    assert not left, f"left behind: {left}"


def nothing_reported_is_gone(run: Run) -> None:
    """The newest checkpoint that the run reported is there, and whole."""
    reported = [one.step for one in EventTail(run.events_path).new_events() if isinstance(one, Checkpoint)]
    if reported:
        there = [int(folder.name.rpartition("-")[2]) for folder in run.checkpoints() if not damage(folder)]
        assert there and max(there) >= reported[-1], f"checkpoint {reported[-1]} was reported, and there are {there}"


def finish(course: Course, run: Run) -> bool:
    """Resume the run until it is finished, and hold it against the whole one; whether the strike had ended it early."""
    nothing_reported_is_gone(run)
    early = run.status().state != "finished"
    if early:
        start(run)
        assert ended(run) == "finished", (run.status(), run.log_path.read_text()[-3000:])
    compare(course, run)
    return early


def within(phase: str, number: int = signal.SIGKILL) -> Callable[[Course, random.Random], bool]:
    """A strike at a random operation of a phase."""

    def strike(course: Course, dice: random.Random) -> bool:
        run = course.make()
        start(run, {"phase": phase, "at": dice.randint(1, course.counts[phase]), "signal": number})
        ended(run)
        return finish(course, run)

    return strike


def at_any_moment(course: Course, dice: random.Random) -> bool:
    """SIGKILL from outside, after a random time."""
    run = course.make()
    start(run)
    _kill_after(run, dice.random() * course.seconds)
    return finish(course, run)


def twice_in_a_row(course: Course, dice: random.Random) -> bool:
    """The worker that resumes is killed as well, at a random operation of a random phase or at any moment."""
    run = course.make()
    phase = dice.choice(sorted(course.counts))
    start(run, {"phase": phase, "at": dice.randint(1, course.counts[phase]), "signal": signal.SIGKILL})
    ended(run)
    if run.status().state != "finished":
        nothing_reported_is_gone(run)
        phase = dice.choice(sorted(course.counts))
        order = {"phase": phase, "at": dice.randint(1, 1 + course.counts[phase] // 3), "signal": signal.SIGKILL}
        start(run, order if dice.random() < 0.7 else None)
        _kill_after(run, dice.random() * course.seconds)
    return finish(course, run)


def _kill_after(run: Run, seconds: float) -> None:
    until = time.monotonic() + seconds
    while (not run.status().pid or time.monotonic() < until) and not run.status().over:
        time.sleep(0.005)
    status = run.status()
    if not status.over:
        os.kill(status.pid, signal.SIGKILL)
    ended(run)


STRIKES: dict[str, Callable[[Course, random.Random], bool]] = {
    "killed at any moment": at_any_moment,
    "killed during a checkpoint": within("checkpoint"),
    "killed during an evaluation": within("evaluation"),
    "killed while the result is written": within("result"),
    "killed between rename and sync": within("rename"),
    "killed twice in a row": twice_in_a_row,
    "stopped during an evaluation": within("evaluation", signal.SIGTERM),
    "stopped while the result is written": within("result", signal.SIGTERM),
}
