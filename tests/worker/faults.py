"""What can happen to a run, made to happen at random moments. Used by the tests, and many times over by
`benchmarks/faults.py`.

Each fault trains a run of its own, strikes, resumes where the run ended early, and then holds it against one that
nothing happened to: every loss and the adapter must be equal bit for bit, what was reported as saved must be there, and
the state shown must be true within five seconds.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from pair_rows import pairs, write_pairs
from safetensors.torch import load_file
from tiny_model import write_rows, write_tiny_model

sys.path.insert(0, str(Path(__file__).parents[1] / "terminal"))
from console import Console

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.control import wait_ended
from loratui.runs.directory import Run
from loratui.runs.events import Checkpoint, Eval, EventTail, Step
from loratui.runs.resume import resume_run
from loratui.runs.start import create_run, start_worker, worker_command, worker_environment

STEPS = 30
TRUE_SECONDS = 5.0
TIMEOUT = 180.0
NOBODY = 65534
EVALUATED = (
    "loss",
    "token_accuracy",
    "reward_margin",
    "preference_accuracy",
    "kl",
    "log_odds",
    "exact_match",
    "rouge_l",
)
"""What of an evaluation must be equal."""
PYTHON = sys.executable
LORATUI = [str(Path(sys.executable).with_name("loratui"))]


class CannotHappenHere(Exception):
    """This machine cannot make the fault; the text says why."""


class World:
    """A folder with a model, rows, and the run that nothing happened to."""

    def __init__(self, folder: Path, objective: str = "sft") -> None:
        """objective: what the run learns, of rows that fit it."""
        self.folder = folder
        folder.chmod(0o755)
        write_tiny_model(folder / "model")
        learnt: dict[str, object] = {"training.objective": objective}
        if objective == "sft":
            write_rows(folder / "rows.jsonl", 60)
            learnt |= {"lora.dropout": 0.1}
        else:
            write_pairs(folder / "rows.jsonl", pairs(60))
        self.plan = with_values(
            Plan(),
            {
                "model.id": str(folder / "model"),
                "model.dtype": "fp32",
                "dataset.path": str(folder / "rows.jsonl"),
                "dataset.eval_fraction": 0.2,
                "training.precision": "fp32",
                "training.batch_size": 2,
                "training.accumulation": 2,
                "training.max_length": 64,
                "training.max_steps": STEPS,
                "training.learning_rate": 5e-3,
                "evaluation.every_steps": 10,
                "saving.every_steps": 3,
                "hardware.cpu": True,
                **learnt,
            },
        )
        self.count = 0
        self.whole = self.make("whole")
        start_worker(self.whole)
        assert wait_ended(self.whole, TIMEOUT).state == "finished", self.whole.log_path.read_text()[-3000:]

    def make(self, name: str, *, folder: Path | None = None) -> Run:
        """A new run that has not begun."""
        self.count += 1
        return create_run(self.plan, output=(folder or self.folder) / f"{name}-{self.count}")

    def equals_whole(self, run: Run) -> None:
        """AssertionError where the run is not what it would have been."""
        one, two = (load_file(each.adapter_path / "adapter_model.safetensors") for each in (self.whole, run))
        assert losses(run) == losses(self.whole), "a loss differs"
        assert evaluations(run) == evaluations(self.whole), "an evaluation differs"
        assert one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one), (
            "the adapter differs"
        )


def losses(run: Run) -> dict[int, float | None]:
    """Loss of each step, as it was made last."""
    return {event.step: event.loss for event in EventTail(run.events_path).new_events() if isinstance(event, Step)}


def evaluations(run: Run) -> dict[int, dict[str, object]]:
    """What each evaluation found, as it was made last; of step 0: what the run began with."""
    found = (event for event in EventTail(run.events_path).new_events() if isinstance(event, Eval))
    return {one.step: {name: getattr(one, name) for name in EVALUATED} for one in found}


def at_random(run: Run, dice: random.Random, *, last: int = STEPS - 5) -> None:
    """Wait for a moment of the training: after a random number of steps, and somewhere within the next."""
    target = dice.randrange(1, last)
    until = time.monotonic() + TIMEOUT
    tail, made = EventTail(run.events_path), set[int]()
    while not run.status().over:
        made |= {event.step for event in tail.new_events() if isinstance(event, Step)}
        if len(made) >= target:
            break
        assert time.monotonic() < until, run.log_path.read_text()[-3000:]
        time.sleep(0.002)
    time.sleep(dice.random() * 0.05)


def nothing_reported_is_gone(run: Run) -> None:
    """The newest checkpoint that the run reported is there, and whole."""
    reported = [event.step for event in EventTail(run.events_path).new_events() if isinstance(event, Checkpoint)]
    if reported:
        there = [int(folder.name.rpartition("-")[2]) for folder in run.checkpoints()]
        assert there and max(there) >= reported[-1], f"checkpoint {reported[-1]} was reported, and there are {there}"


def seconds_until(true: Callable[[], bool]) -> float:
    """How long it takes until something is so. Whether that is within TRUE_SECONDS is for `benchmarks/faults.py` to
    say, on a machine of its own."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < TIMEOUT, "the state shown never becomes true"
        time.sleep(0.01)
    return time.monotonic() - began


def finish(world: World, run: Run) -> None:
    """Wait for the end and compare."""
    status = wait_ended(run, TIMEOUT)
    assert status.state == "finished", (status, run.log_path.read_text()[-3000:])
    world.equals_whole(run)


def kill_and_resume(world: World, run: Run) -> float:
    """Kill the worker, see it lost, resume it; seconds until it was seen."""
    status = run.status()
    if not status.over:
        os.kill(status.pid, signal.SIGKILL)
    seconds = seconds_until(lambda: run.status().over)
    nothing_reported_is_gone(run)
    if run.status().state != "finished":
        assert run.status().state == "lost", run.status()
        resume_run(run)
    finish(world, run)
    return seconds


def worker_killed(world: World, dice: random.Random) -> float:
    """SIGKILL at any moment."""
    run = world.make("killed")
    start_worker(run)
    at_random(run, dice)
    return kill_and_resume(world, run)


def killed_before_the_first_step(world: World, dice: random.Random) -> float:
    """SIGKILL while the worker loads, or evaluates what it begins with."""
    run = world.make("begun")
    start_worker(run)
    until, word = time.monotonic() + TIMEOUT, dice.choice((b'"load_model"', b'"prepare"', b'"started"'))
    while not run.events_path.exists() or word not in run.events_path.read_bytes():
        assert time.monotonic() < until and not run.status().over, run.log_path.read_text()[-3000:]
        time.sleep(0.002)
    time.sleep(dice.random() * 0.05)
    return kill_and_resume(world, run)


def killed_while_saving(world: World, dice: random.Random) -> float:
    """SIGKILL while a checkpoint is half written."""
    run = world.make("saving")
    start_worker(run)
    at_random(run, dice, last=STEPS - 10)
    until = time.monotonic() + TIMEOUT
    while not any(not (folder / "trainer_state.json").exists() for folder in run.checkpoints_path.glob("checkpoint-*")):
        if run.status().over or time.monotonic() > until:
            break
    time.sleep(dice.random() * 0.004)
    return kill_and_resume(world, run)


def interface_killed(world: World, dice: random.Random) -> float:
    """SIGKILL of the screen that watches."""
    run = world.make("watched")
    start_worker(run)
    with Console(
        [*LORATUI, "attach", str(run.path)], environment={"LORATUI_HOME": str(world.folder / "home")}
    ) as console:
        deadline = threading.Thread(target=at_random, args=(run, dice))
        deadline.start()
        while deadline.is_alive():
            console.pump(0.05)
        console.signal(signal.SIGKILL)
    seconds = seconds_until(lambda: run.status().state in ("running", "evaluating", "saving", "finished"))
    finish(world, run)
    return seconds


def terminal_hung_up(world: World, dice: random.Random) -> float:
    """The terminal that started the training goes away (SIGHUP)."""
    plan = world.folder / f"hung-{dice.random()}.toml"
    run = world.make("elsewhere")
    shutil.copy(run.plan_path, plan)
    run = Run(world.folder / f"hung-up-{world.count}")
    console = Console(
        [*LORATUI, "train", str(plan), "--output", str(run.path)],
        environment={"LORATUI_HOME": str(world.folder / "home")},
    )
    until = time.monotonic() + TIMEOUT
    while not run.events_path.exists() or not losses(run):
        console.pump(0.05)
        assert time.monotonic() < until, console.text
    at_random(run, dice)
    console.close()
    seconds = seconds_until(lambda: run.status().state in ("running", "evaluating", "saving", "finished"))
    finish(world, run)
    return seconds


def disk_full(world: World, dice: random.Random) -> float:
    """The disk of the runs fills up, and is given space again before the run is resumed."""
    disk = world.folder / f"disk-{world.count}"
    disk.mkdir()
    size = dice.randrange(150, 900)
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", str(disk)], capture_output=True, check=False
    ).returncode:
        raise CannotHappenHere("no right to mount a small disk")
    try:
        run = world.make("full", folder=disk)
        start_worker(run)
        status = wait_ended(run, TIMEOUT)
        nothing_reported_is_gone(run)
        if status.state != "finished":
            assert status.state in ("stopped", "failed") and "full" in status.message.lower(), (size, status)
            subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
            resume_run(run)
        finish(world, run)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
    return 0.0


def status_half_written(world: World, dice: random.Random) -> float:
    """Somebody leaves half of status.json behind; every reader must live with it, and the worker mends it."""
    run = world.make("torn")
    start_worker(run)
    slowest = 0.0
    for _ in range(3):
        at_random(run, dice)
        data = run.status_path.read_bytes()
        if run.status().over:
            break
        run.status_path.write_bytes(data[: dice.randrange(len(data))])
        subprocess.run(
            [*LORATUI, "runs", "--json"],
            env=os.environ | {"LORATUI_HOME": str(world.folder / "home")},
            capture_output=True,
            check=True,
        )
        slowest = max(slowest, seconds_until(lambda: run.status().state != "lost"))
    finish(world, run)
    return slowest


def clock_jumps(world: World, dice: random.Random) -> float:
    """The worker's wall clock jumps by up to a year in both directions, again and again."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise CannotHappenHere("no C compiler to build the clock with")
    library, clock = world.folder / "clock.so", world.folder / f"offset-{world.count}"
    if not library.exists():
        subprocess.run(
            [
                compiler,
                "-shared",
                "-fPIC",
                "-O1",
                "-o",
                str(library),
                str(Path(__file__).with_name("clock_shim.c")),
                "-ldl",
            ],
            check=True,
        )
    clock.write_bytes(struct.pack("d", 0.0))
    run = world.make("clock")
    environment = worker_environment(run.plan()) | {"LD_PRELOAD": str(library), "CLOCK_OFFSET": str(clock)}
    with run.log_path.open("ab") as log:
        worker = subprocess.Popen(
            [PYTHON, *worker_command(run)[1:]],  # it loads the clock from its start on
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    for _ in range(4):
        at_random(run, dice)
        with clock.open("r+b") as file:
            file.write(
                struct.pack("d", dice.choice((-1, 1)) * dice.choice((3600.0, 86400.0, 365 * 86400.0)) * dice.random())
            )
        time.sleep(0.2)
        assert worker.poll() is not None or run.status().state not in ("lost", "failed"), run.status()
    if dice.random() < 0.5:
        seconds = kill_and_resume(world, run)
        worker.wait()
        return seconds
    worker.wait(TIMEOUT)
    finish(world, run)
    return 0.0


def two_viewers(world: World, dice: random.Random) -> float:
    """A screen and a reader of another login, who may only read; the screen goes away at some moment."""
    shared = world.folder / "shared"
    shared.mkdir(exist_ok=True)
    shared.chmod(0o2755)  # in a folder that passes its group on, others may read as the umask says
    run = world.make("viewed", folder=shared)
    start_worker(run)
    command = [*LORATUI, "attach", str(run.path)]
    if os.geteuid() == 0:
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *command]
    environment = os.environ | {"LORATUI_HOME": "/nonexistent/loratui", "HOME": "/nonexistent"}
    reader = subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with Console(
        [*LORATUI, "attach", str(run.path)], environment={"LORATUI_HOME": str(world.folder / "home")}
    ) as console:
        waiting = threading.Thread(target=at_random, args=(run, dice))
        waiting.start()
        while waiting.is_alive():
            console.pump(0.05)
        console.signal(dice.choice((signal.SIGKILL, signal.SIGHUP, signal.SIGTERM)))
    finish(world, run)
    output, errors = reader.communicate(timeout=TIMEOUT)
    assert reader.returncode == 0 and f"{STEPS}/{STEPS}" in output.replace(" ", "") and "Traceback" not in errors, (
        output[-2000:],
        errors[-2000:],
    )
    return 0.0


def directory_moved(world: World, dice: random.Random) -> float:
    """The run's directory is moved while its worker writes into it; half of the time the worker is killed there as
    well.
    """
    run = world.make("moving")
    start_worker(run)
    at_random(run, dice)
    moved = Run(world.folder / f"moved-{world.count}")
    run.path.rename(moved.path)
    seconds = seconds_until(lambda: moved.status().state in ("running", "evaluating", "saving", "finished"))
    if dice.random() < 0.5:
        at_random(moved, dice)
        seconds = max(seconds, kill_and_resume(world, moved))
    finish(world, moved)
    assert not run.path.exists(), "nothing is written to where it was"
    return seconds


FAULTS: tuple[Callable[[World, random.Random], float], ...] = (
    interface_killed,
    terminal_hung_up,
    worker_killed,
    killed_before_the_first_step,
    killed_while_saving,
    disk_full,
    status_half_written,
    clock_jumps,
    two_viewers,
    directory_moved,
)
