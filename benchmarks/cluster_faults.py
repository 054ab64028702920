"""Interrupt runs that a real Slurm executes, many times at random moments, and count what was lost.

    python benchmarks/cluster_faults.py [--times 20] [--seed 1] [--only requeue|kill|runs] [--save] [--go-on]

Slurm is started here (two nodes of this machine; needs root). `requeue`: in turn `scontrol requeue`, a job of a
partition that goes before, and the signal that comes before a time limit, on a run of one process. `kill`: SIGKILL for
a rank, a launcher, the process that watches over it, or Slurm's step with all that it began, on a run of two nodes,
which is then resumed. A run is interrupted five times; its adapter must be that of an undisturbed run on as many
processes, bit for bit, and nothing that it reported as saved may be gone; a kill must be seen and its job be over
within 60 s. `runs`: the processor time of `loratui runs` with 500 finished jobs, first and again, and how often it asks
Slurm. Exit status 1
where something did not hold.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path[:0] = [str(TESTS), str(TESTS / "slurm"), str(TESTS / "worker")]
RESULTS = Path(__file__).parent / "results"
LONGEST_SECONDS = 900.0
SEEN_SECONDS = 60.0
EPOCHS, EACH = 16.0, 5
"""A run's length, some 190 steps, and how often it is interrupted."""


def main() -> int:
    """Run them and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", choices=("requeue", "kill", "runs"))
    parser.add_argument("--save", action="store_true", help="keep the counts in benchmarks/results/cluster_faults.json")
    parser.add_argument("--go-on", action="store_true", help="count from what was kept there on")
    options = parser.parse_args()
    from slurm_here import running_slurm, why_not
    from tiny_model import write_rows, write_tiny_model

    if reason := why_not():
        raise SystemExit(reason)
    path = RESULTS / "cluster_faults.json"
    kept: dict[str, Any] = json.loads(path.read_text()) if path.is_file() else {}
    found: dict[str, Any] = {}

    def keep(name: str, part: dict[str, Any]) -> None:
        found[name] = kept[name] = part
        if options.save:
            path.write_text(json.dumps(kept, indent=1) + "\n")

    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        os.environ |= {"LORATUI_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        write_tiny_model(folder / "model")
        write_rows(folder / "rows.jsonl", 60)
        with running_slurm(folder) as conf:
            os.environ["SLURM_CONF"] = str(conf)
            for name, work in (("requeue", requeues), ("kill", kills), ("runs", listing)):
                if options.only in (None, name):
                    task = Task(folder, options.times, options.seed, partial(keep, name))
                    work(task, kept.get(name, {}) if options.go_on else {})
                    print(name, json.dumps(found[name]), flush=True)
    return 1 if any(one["wrong"] for one in found.values()) else 0


@dataclass(frozen=True)
class Task:
    """What is to be measured: in a folder, so often, with these dice; keep: takes what was found so far."""

    folder: Path
    times: int
    seed: int
    keep: Callable[[dict[str, Any]], None]


def interrupted(
    task: Task, before: dict[str, Any], changes: dict[str, Any], strike: Callable[[Any, int, random.Random], str]
) -> None:
    """Runs that are struck five times each, held against one that nothing happened to. before: what was found of them
    already.
    """
    from slurm_here import plan_for, same_adapter
    from test_jobs import losses, submitted, wait_state, wait_step

    folder, times = task.folder, task.times
    plan = plan_for(folder, **{"training__epochs": EPOCHS, "saving__every_steps": 10, **changes})
    kind = strike.__name__
    whole = submitted(plan, folder / f"{kind}-whole")
    wait_state(whole, "finished", seconds=LONGEST_SECONDS)
    total, wrong, told = whole.status().total, list(before.get("wrong", ())), list(before.get("told", ()))
    made = len(told) + len(wrong)
    while made < times:
        dice = random.Random(f"{task.seed} {made}")
        run = submitted(plan, folder / f"{kind}-{made}")
        try:
            for number in range(min(EACH, times - made)):
                first = number * total // (EACH + 1)
                wait_step(run, first + dice.randrange(2, total // (EACH + 1)))
                told.append(strike(run, made, dice))
                made += 1
                print(f"{kind} {made}: {told[-1]}", flush=True)
            wait_state(run, "finished", seconds=LONGEST_SECONDS)
            if not same_adapter(run, whole) or losses(run) != losses(whole):
                wrong.append(f"{run.name}: not what the undisturbed run is")
        except AssertionError as error:
            wrong.append(f"{run.name}: {str(error)[:500]}")
            made = max(made, made + 1)
            print(wrong[-1], flush=True)
            subprocess.run(["scancel", "--user=root"], check=False)
        task.keep({"times": len(told), "runs": -(-made // EACH), "steps": total, "wrong": wrong, "told": told})


def reported(run: Any) -> int:
    """The last step that the run said it had saved; it must be there."""
    from slurm_here import events_of

    from loratui.runs.events import Checkpoint

    steps = [int(one.path.rpartition("-")[2]) for one in events_of(run) if isinstance(one, Checkpoint)]
    last = run.last_checkpoint()
    there = int(last.name.rpartition("-")[2]) if last else 0
    assert there >= max(steps, default=0), f"checkpoint-{max(steps)} was reported, and {there} is there"
    return there


def requeues(task: Task, before: dict[str, Any]) -> None:
    """One process: queued again by hand, pushed out by another job, asked as before a time limit."""
    from slurm_here import said, wait_for
    from test_jobs import begin_again, job_of

    def requeue(run: Any, number: int, dice: random.Random) -> str:
        way = ("requeue", "preemption", "signal")[number % 3]
        job, step, began = str(job_of(run)), run.status().step, time.monotonic()
        if way == "requeue":
            said("scontrol", "requeue", job)
        elif way == "signal":
            said("scancel", "--signal=TERM", job)
        else:
            wide = ("--partition=urgent", "--nodes=2", "--exclusive", "--time=1", "--output=/dev/null")
            said("sbatch", *wide, "--wrap=sleep 2")
        wait_for(lambda: run.status().state == "queued", "queued again", 90)
        seconds = time.monotonic() - began
        begin_again(run)
        return f"{way} at step {step}: queued after {seconds:.1f} s, {reported(run)} saved"

    interrupted(task, before, {}, requeue)


def kills(task: Task, before: dict[str, Any]) -> None:
    """Two nodes: one of a run's processes is killed; the run is resumed once its state says what happened."""
    import psutil
    from slurm_here import said, wait_for
    from test_jobs import job_of, processes_of, slurm_state

    from loratui.runs.resume import resume_run

    def victims(run: Any, way: str) -> list[psutil.Process]:
        if way == "step":
            words = f"slurmstepd: [{job_of(run)}.0]"
            return [one for one in psutil.process_iter(["cmdline"]) if words in " ".join(one.info["cmdline"] or [])]
        found = [one for one in processes_of(run) if "watch_step" not in one.cmdline()]
        launcher = [one for one in found if "torch.distributed.run" in one.cmdline()]
        ranks = [one for one in found if "RANK" in one.environ() and one not in launcher]
        if way == "rank":
            return ranks
        if way == "launcher":
            return launcher
        return [one for one in found if one not in launcher and one not in ranks]

    def kill(run: Any, number: int, dice: random.Random) -> str:
        way = ("step", "rank", "launcher", "watcher")[number % 4]
        step, there = run.status().step, victims(run, way)
        assert there, f"no {way} of {run.name}"
        victim = dice.choice(there)
        # A step's daemon that dies alone takes nobody along where Slurm has no cgroups: the run would go on.
        with_it = victim.children(recursive=True) if way == "step" else []
        for process in (victim, *with_it):
            process.kill()
        began = time.monotonic()
        wait_for(lambda: run.status().over, f"the {way}'s end to be seen", 90)
        seen = time.monotonic() - began
        status = run.status()
        assert status.state in ("failed", "lost"), status
        wait_for(lambda: slurm_state(run) not in ("RUNNING", "COMPLETING"), "the job's end", 90)
        ended = time.monotonic() - began
        wait_for(lambda: not processes_of(run), "nobody left behind", 60)
        assert max(seen, ended) < SEEN_SECONDS, f"the {way}'s end: seen after {seen:.0f} s, over after {ended:.0f} s"
        saved = reported(run)
        said("scancel", str(job_of(run)))
        resume_run(run)
        words = f"{status.state} after {seen:.1f} s, job over after {ended:.1f} s, {saved} saved: {status.message}"
        return f"{way} at step {step}: {words}"

    interrupted(task, before, {"cluster__nodes": 2, "training__batch_size": 1}, kill)


def listing(task: Task, before: dict[str, Any]) -> None:
    """`loratui runs` with 500 finished jobs."""
    from slurm_here import plan_for, said

    from loratui.runs.events import append_event
    from loratui.runs.start import create_run

    folder = task.folder
    home = folder / "many"
    first = create_run(plan_for(folder), output=home / "runs" / "run-000")
    append_event(first, "finished", step=4, seconds=2.0, loss=1.0, result="adapter", result_step=4, judged=True)
    first.status_path.write_text('{"state": "finished", "created": 1.0, "step": 4, "total": 4}')
    (first.path / "jobs.json").write_text('{"jobs": [{"id": 7, "submitted": 1.0}]}')
    for number in range(1, 500):
        other = home / "runs" / f"run-{number:03}"
        other.mkdir()
        for file in first.path.iterdir():
            if file.is_file():
                (other / file.name).write_bytes(file.read_bytes())
    counting = folder / "bin"
    counting.mkdir()
    for name in ("squeue", "scontrol", "sinfo", "sacct"):
        real = said("which", name) or "true"
        (counting / name).write_text(f'#!/bin/sh\necho {name} >> {folder}/asked\nexec {real} "$@"\n')
        (counting / name).chmod(0o755)
    environment = os.environ | {"LORATUI_HOME": str(home), "PATH": f"{counting}:{os.environ['PATH']}"}
    seconds = []
    for _ in range(6):
        before_seconds = _children_seconds()
        command = [sys.executable, "-m", "loratui", "runs"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        seconds.append(round(_children_seconds() - before_seconds, 3))
        assert done.stdout.count("run-") >= 500, done.stdout[:500]
    asked = (folder / "asked").read_text().split() if (folder / "asked").exists() else []
    wrong = [f"asked: {asked}"] if asked else []
    first, *later = seconds
    wrong += [f"{max(later)} s"] if max(later) > 1 else []
    found = {"runs": 500, "first_cpu_seconds": first, "later_cpu_seconds": later, "asked": len(asked), "wrong": wrong}
    task.keep(found)


def _children_seconds() -> float:
    """Processor time of all processes that were waited for so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    sys.exit(main())
