"""Kill a training at random moments until it finishes, and compare it with one that was never killed.

    python benchmarks/kill_and_resume.py [--seed 1] [--steps 150]

Each worker is ended by SIGKILL after a random number of steps and a random wait, so that some die in the middle of
writing a checkpoint; the run is resumed each time. In the end every loss and the adapter must equal those of the
uninterrupted run, bit for bit. Exit status 1 when they do not, or when a dead run was not seen to be lost within 5 s.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "worker"))

from tiny_model import write_rows, write_tiny_model

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.control import resume_run, wait_ended
from loratui.runs.directory import Run
from loratui.runs.events import Step
from loratui.runs.start import create_run, start_worker, wait_started
from loratui.runs.tail import EventTail

LOST_SECONDS = 5.0


def losses(run: Run) -> dict[int, float | None]:
    """Loss of each step, as it was made last."""
    return {event.step: event.loss for event in EventTail(run.events_path).new_events() if isinstance(event, Step)}


def kill_until_finished(run: Run) -> tuple[int, float]:
    """How often the run was killed, and the longest time until that was seen."""
    kills, slowest = 0, 0.0
    pid = start_worker(run)
    while True:
        wait_started(run, 120, pid=pid)
        target = len(losses(run)) + random.randrange(1, 30)
        while len(losses(run)) < target and not run.status().over:
            time.sleep(random.random() * 0.02)
        time.sleep(random.random() * 0.05)
        if run.status().over:
            return kills, slowest
        os.kill(pid, signal.SIGKILL)
        began = time.monotonic()
        kills += 1
        while not run.status().over:
            time.sleep(0.01)
        slowest = max(slowest, time.monotonic() - began)
        if run.status().state == "finished":
            return kills, slowest
        print(f"killed at step {max(losses(run))}; checkpoints {sorted(folder.name for folder in run.checkpoints_path.glob('*'))}", flush=True)
        pid = resume_run(run)


def main() -> int:
    """Train twice and compare."""
    import torch
    from safetensors.torch import load_file

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=150)
    options = parser.parse_args()
    random.seed(options.seed)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        plan = with_values(Plan(), {
            "model.id": str(write_tiny_model(home / "model")), "model.dtype": "fp32", "dataset.path": str(write_rows(home / "rows.jsonl")),
            "dataset.eval_fraction": 0.2, "training.precision": "fp32", "training.batch_size": 2, "training.accumulation": 2,
            "training.max_length": 64, "training.max_steps": options.steps, "training.learning_rate": 3e-3, "lora.dropout": 0.1,
            "evaluation.every_steps": 25, "saving.every_steps": 3,
        })
        whole, killed = create_run(plan, output=home / "whole"), create_run(plan, output=home / "killed")
        start_worker(whole)
        wait_ended(whole, 3600)
        kills, slowest = kill_until_finished(killed)
        one, two = (load_file(run.adapter_path / "adapter_model.safetensors") for run in (whole, killed))
        same_losses = losses(whole) == losses(killed)
        same_adapter = one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)
    print({"kills": kills, "losses equal": same_losses, "adapter equal": same_adapter, "seen lost within seconds": round(slowest, 2)})
    return 0 if same_losses and same_adapter and slowest <= LOST_SECONDS else 1


if __name__ == "__main__":
    sys.exit(main())
