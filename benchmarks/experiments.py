"""Experiments on the demo: is the better of two rates found, in which share of the steps, and what if all is killed?

    python benchmarks/experiments.py                    # the better rate, then 20 kills
    python benchmarks/experiments.py --only kills --whole   # workers that are started as whole processes, not as forks

The better rate: two rates, two seeds, tried; then every run is trained to its end (which is what a trial goes on as),
and the one that was found must be the better one there. Kills: an experiment of four rates; at random moments the
watcher, the worker, or both are killed with SIGKILL, and it goes on by a watcher that is started again as every command
of loratui does. Of each run's events every step that counts must be there once, each worker must have gone on from what
was saved last, and what was made again is counted: no more than what lay between the last checkpoint and the kill.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
sys.path.append(str(TESTS / "worker"))
DRIVER = TESTS / "experiments" / "driver.py"
RATES = (5e-5, 1e-3)
FOUR = (1e-5, 5e-5, 2e-4, 1e-3)


def loratui(*words: str) -> str:
    done = subprocess.run([sys.executable, "-m", "loratui", *words], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"loratui {' '.join(words)}: {done.stdout}{done.stderr}")
    return done.stdout


def waited_for(what, seconds: float = 3600) -> None:
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            sys.exit("it took too long")
        time.sleep(0.5)


def steps(run) -> list[int]:
    from loratui.runs.events import EventTail, Step

    return [one.step for one in EventTail(run.events_path).stream() if isinstance(one, Step)]


def begun(folder: Path, rates: tuple[float, ...], *more: str):
    from loratui.experiments.directory import find_experiment

    plan = folder / "plan.toml"
    if not plan.exists():
        loratui("plan", "-m", "demo", "-d", "demo", "--set", "hardware.cpu=true", "-o", str(plan))
    listed = ",".join(map(str, rates))
    told = loratui("try", str(plan), "--vary", f"training.learning_rate={listed}", "--detach", *more)
    print(told)
    return find_experiment(told.split()[1].rstrip(":"))


def better(folder: Path) -> bool:
    from loratui.queue.wake import wake
    from loratui.runs.course import read_course

    began = time.monotonic()
    experiment = begun(folder, RATES, "--seeds", "2", "--set", "evaluation.patience=0")
    waited_for(lambda: (wake() and False) or not experiment.is_open)
    tried = time.monotonic() - began
    trials = experiment.trials()
    runs = [[experiment.run(name) for name in one.runs] for one in trials]
    made = sum(len(steps(run)) for each in runs for run in each)
    print(loratui("try", "show", experiment.name))
    began = time.monotonic()
    for each in runs:
        for run in each:
            loratui("resume", str(run.path), "--detach")
            waited_for(lambda run=run: run.status().over)
    whole = sum(run.status().total for each in runs for run in each)
    ends = [[dict(read_course(run).evaluations(1e9))[run.status().total] for run in each] for each in runs]
    found = next(at for at, one in enumerate(trials) if one.state == "best")
    right = max(ends[found]) < min(ends[1 - found])
    print(
        f"held-out loss at the end: {ends}; found: {RATES[found]:g}, which is {'the better one' if right else 'WRONG'}"
    )
    after = time.monotonic() - began
    print(f"steps: {made:,} of {whole:,} to the end of all ({made / whole:.0%}); {tried:.0f} s, then {after:.0f} s")
    return right and made <= whole / 2


def kills(folder: Path, count: int, seed: int, whole: bool) -> bool:
    from ready_workers import serve

    dice = random.Random(seed)
    experiment = begun(folder, FOUR, "--steps", "80", "--set", "saving.every_steps=5", "--set", "evaluation.patience=0")
    for pid in mine("loratui.queue"):  # that watcher's workers are whole processes
        os.kill(pid, signal.SIGKILL)
    with contextlib.ExitStack() as stack:
        interpreter = sys.executable if whole else stack.enter_context(serve(_made(folder / "ready")))
        killed = _killed(experiment, dice, count, [sys.executable, str(DRIVER), interpreter])
    return _told(folder, experiment, killed) and killed == count


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _killed(experiment, dice: random.Random, count: int, watcher: list[str]) -> int:
    """Kill until it was done so often and the experiment is over: half of the times in the midst of a training."""
    from loratui.runs.directory import Run

    done, process = 0, subprocess.Popen(watcher, start_new_session=True)
    runs = [experiment.run(name) for one in experiment.trials() for name in one.runs]
    while experiment.is_open:
        if process.poll() is not None:
            process = subprocess.Popen(watcher, start_new_session=True)
        made = sum(len(steps(run)) for run in runs)
        if dice.random() < 0.5:
            waited_for(lambda made=made: sum(len(steps(run)) for run in runs) > made or not experiment.is_open)
        time.sleep(dice.uniform(0.2, 5))
        if done == count or not experiment.is_open:
            continue
        which = dice.choice(("watcher", "worker", "all"))
        states = [run.status() for run in runs if isinstance(run, Run) and run.plan_path.is_file()]
        workers = [one.pid for one in states if one.pid and not one.over]
        victims = ([process.pid] if which != "worker" else []) + (workers if which != "watcher" else [])
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if victims:
            process.wait() if process.pid in victims else None
            done += 1
            print(f"kill {done}: {which} ({len(victims)}), after {made} steps", flush=True)
    process.wait()
    return done


def _told(folder: Path, experiment, done: int) -> bool:
    from loratui.runs.events import Checkpoint, EventTail, Started, Step

    print(loratui("try", "show", experiment.name))
    right, again, starts = True, 0, 0
    for trial in experiment.trials():
        (name,) = trial.runs
        saved = last = 0
        for event in EventTail(experiment.run(name).events_path).stream():
            if isinstance(event, Started):
                right &= event.step == saved
                again, last, starts = again + last - event.step, event.step, starts + 1
            elif isinstance(event, Step):
                right &= event.step == last + 1
                last = event.step
            elif isinstance(event, Checkpoint):
                saved = event.step
        reached = trial.steps[len(trial.losses) - 1]
        right &= last == reached
        print(f"{name}: {trial.state}, at step {last} of {reached} that it was let to")
    runs = len(list((folder / "home" / "runs").glob(f"{experiment.name}-*")))
    counted = sum(one.steps[len(one.losses) - 1] for one in experiment.trials())
    print(
        f"{done} kills, {starts} starts of {runs} runs: {counted} steps count, each once; {again} were lost between a "
        f"checkpoint and a kill and made again. {'Nothing was trained twice.' if right else 'WRONG'}"
    )
    return right and runs == len(FOUR)


def mine(word: str) -> list[int]:
    """Processes of this home with this word in their command."""
    import psutil

    found = []
    for process in psutil.process_iter(["pid", "cmdline"]):
        with contextlib.suppress(psutil.Error):
            if (
                word in " ".join(process.info["cmdline"] or [])
                and process.environ().get("LORATUI_HOME") == os.environ["LORATUI_HOME"]
            ):
                found.append(process.info["pid"])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=21)
    parser.add_argument("--only", choices=("better", "kills"))
    parser.add_argument("--whole", action="store_true")
    options = parser.parse_args()
    right = True
    for name, part in (
        ("better", better),
        ("kills", lambda folder: kills(folder, options.kills, options.seed, options.whole)),
    ):
        if options.only in (None, name):
            with tempfile.TemporaryDirectory(prefix=f"loratui-{name}-") as place:
                os.environ.update(LORATUI_HOME=f"{place}/home", LORATUI_CONFIG=f"{place}/config")
                right &= part(Path(place))
                for pid in mine("loratui."):
                    if pid != os.getpid():
                        os.kill(pid, signal.SIGKILL)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
