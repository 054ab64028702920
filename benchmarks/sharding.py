"""Predicted and measured memory of weights that are divided among two processes on the CPU (FSDP2), beside whole
copies.

    python benchmarks/sharding.py [--method "qlora bf16"] [--save]

A small Llama of 4 and of 8 blocks takes three real steps of two passes in two processes, as the worker makes them.
Measured is what the kernel says that process 0 held at most in the last step, above what it held before it loaded the
model; the C library is told to give large pieces back at once. That counts the libraries' own buffers too, so figures
lie above the tensors' sum: what is asked is how much dividing saves, and what is gathered beside each share.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "worker"))

RESULTS = Path(__file__).parent / "results"
MIB = 2**20
METHODS: dict[str, dict[str, Any]] = {
    "lora fp32": {},
    "lora bf16": {"model.dtype": "bf16", "training.precision": "bf16"},
    "qlora bf16": {
        "method.kind": "qlora",
        "method.quantization": "nf4",
        "method.double_quantization": True,
        "model.dtype": "bf16",
        "training.precision": "bf16",
    },
    "full fp32": {"method.kind": "full"},
    "full bf16": {"method.kind": "full", "model.dtype": "bf16", "training.precision": "bf16"},
}


def measure(path: str) -> None:
    """What one process held at most in its third step (rank 0 prints it)."""
    import psutil
    import torch
    from transformers import TrainerCallback

    from loratui.runs.directory import Run
    from loratui.worker.training.journal import Journal
    from loratui.worker.training.session import Session
    from loratui.worker.training.signals import Requests

    def highest() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))

    class Watch(TrainerCallback):
        peak = 0

        def on_step_begin(self, *arguments: Any, **options: Any) -> None:
            Path("/proc/self/clear_refs").write_text("5")

        def on_step_end(self, *arguments: Any, **options: Any) -> None:
            self.peak = highest()

    run = Run(Path(path))
    session = Session(run, run.plan(), Journal(run, writes=False), Requests())
    before = psutil.Process().memory_info().rss
    trainer, _ = session.build(output=Path(tempfile.mkdtemp()))
    watch = Watch()
    trainer.add_callback(watch)
    trainer.train()
    if session.rank == 0:
        print("RESULT", watch.peak - before, torch.__version__)


def case(folder: Path, blocks: int, method: str, parallelism: str) -> dict[str, Any]:
    """One training of two processes, and its estimate."""
    from tiny_model import write_rows, write_tiny_model

    from loratui.core.dataset import DataFacts
    from loratui.core.families import read_config
    from loratui.core.hardware import Device
    from loratui.core.memory import estimate
    from loratui.core.plan import Plan
    from loratui.core.plan_text import with_values
    from loratui.runs.start import create_run, worker_environment

    model = folder / f"model-{blocks}"
    if not model.is_dir():
        write_tiny_model(model, hidden=1024, layers=blocks)
    plan = with_values(
        Plan(),
        {
            "model.id": str(model),
            "model.dtype": "fp32",
            "dataset.path": str(write_rows(folder / "rows.jsonl")),
            "dataset.eval_fraction": 0.0,
            "training.precision": "fp32",
            "training.batch_size": 1,
            "training.accumulation": 2,
            "training.max_length": 64,
            "training.max_steps": 3,
            "hardware.devices": [0, 1],
            "hardware.parallelism": parallelism,
            **METHODS[method],
        },
    )
    run = create_run(plan, output=folder / f"{blocks}-{method}-{parallelism}".replace(" ", "-"))
    environment = worker_environment(plan) | {
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "MALLOC_MMAP_THRESHOLD_": "65536",
    }
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        __file__,
        "--measure",
        str(run.path),
    ]
    done = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("RESULT")), None)
    if line is None:
        raise SystemExit(done.stderr[-3000:])
    spec = read_config(json.loads((model / "config.json").read_text()))
    device = Device(name="CPU", kind="cpu", memory_total_bytes=2**36, memory_free_bytes=2**36, count=2)
    needed = estimate(spec, plan, DataFacts(60, (24,), True, 0.2), device)
    return {
        "blocks": blocks,
        "method": method,
        "parallelism": parallelism,
        "measured_mib": int(line.split()[1]) // MIB,
        "predicted_tensors_mib": needed.tensors_bytes // MIB,
        "torch": line.split()[2],
    }


def main() -> None:
    """Measure each method both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--save", action="store_true", help="keep the figures in benchmarks/results/sharding.json")
    parser.add_argument("--method", choices=METHODS, help="this one alone; the others' figures are kept")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        measure(options.measure)
        return
    found = []
    with tempfile.TemporaryDirectory() as folder:
        for blocks in (4, 8):
            for method in [options.method] if options.method else METHODS:
                for parallelism in ("ddp", "fsdp"):
                    found.append(case(Path(folder), blocks, method, parallelism))
                    print(found[-1], flush=True)
    if options.save:
        path = RESULTS / "sharding.json"
        kept = json.loads(path.read_text()) if options.method and path.is_file() else []
        found = [one for one in kept if one["method"] != options.method] + found
        path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
