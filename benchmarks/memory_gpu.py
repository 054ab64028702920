"""Predicted and measured memory of real training steps on the CUDA card of this machine.

    python benchmarks/memory_gpu.py                       # the grid, about ten minutes
    python benchmarks/memory_gpu.py --cases 4 --cpu       # the same code on the CPU, to see that it runs

Models get random weights from a config, nothing is downloaded. Each case runs in a process of its own (a fresh
context): the trainer's own model, adapter, loss and optimizer take three steps and one evaluation batch; recorded are
torch's peak allocated and reserved, and what the driver says the process held (NVML). Results go to
`benchmarks/results/memory_gpu-<card>.json` with card, driver, versions and date.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import subprocess
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from memory_grid import FAMILIES, random_config, random_values

from loratui.core.dataset import DataFacts
from loratui.core.families import read_config
from loratui.core.hardware import Device
from loratui.core.memory import budget, estimate
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values

RESULTS = Path(__file__).parent / "results"
WITHIN = 0.05
STEPS = 3


def grid(count: int, seed: int, device: Device) -> list[dict[str, Any]]:
    """Random cases that should fit the device; fused AdamW only, since fragmentation is what is asked here."""
    dice = random.Random(seed)
    names = sorted(FAMILIES)
    found: list[dict[str, Any]] = []
    while len(found) < count:
        config = random_config(names[len(found) % len(names)], dice)
        layers = "n_layer" if "n_layer" in config else "num_hidden_layers"
        config[layers] = dice.randint(4, 24) if device.kind == "gpu" else 1
        values, data, share = random_values(config, dice)
        if device.kind == "cpu":
            values |= {"training.batch_size": 1, "training.max_length": 32}
            data = DataFacts(1000, (32,), True, share)
        values["training.optimizer"] = "adamw_torch_fused"
        values["model.dtype"] = values["training.precision"] = "bf16" if device.bf16 or device.kind == "cpu" else "fp16"
        if values["method.kind"] == "full" and values["model.dtype"] == "fp16":
            values["model.dtype"] = "fp32"
        if "method.compute_dtype" in values:
            values["method.compute_dtype"] = values["training.precision"]
        plan = with_values(Plan(), values)
        if estimate(read_config(config), plan, data, device).total_bytes < budget(device).bytes:
            found.append({"config": config, "values": values, "lengths": list(data.lengths), "share": share})
    return found


def measure(case: dict[str, Any], on: str) -> dict[str, Any]:
    """Train a few steps in this process and read the counters. on: "cuda" or "cpu"."""
    import torch
    from transformers import AutoModelForCausalLM
    from trl.trainer.utils import add_fused_lm_head

    from loratui.worker.base_model import DTYPES
    from loratui.worker.tracing.build import add_adapter, attention_of, load_config

    plan = with_values(Plan(), case["values"])
    batch = estimate(
        read_config(case["config"]), plan, DataFacts(1000, tuple(case["lengths"]), True, case["share"]), _device()
    ).batch
    torch.manual_seed(0)
    config = load_config(case["config"])
    with torch.device(on):
        model = AutoModelForCausalLM.from_config(
            config, dtype=DTYPES[plan.model.dtype], attn_implementation=attention_of(config, plan.model.attention)
        )
    model.config.use_cache = False
    if plan.method.quantization != "none":
        model = _quantised(model, plan, on)
    if plan.method.kind != "full":
        model = add_adapter(model, plan, case["config"])
    if plan.training.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if plan.method.kind != "full":
            model.enable_input_require_grads()
    base = model.get_base_model() if plan.method.kind != "full" else model
    add_fused_lm_head(base, outputs=("log_probs", "entropy", "is_top1"))
    model.train()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, fused=True, lr=1e-5)
    scaler = torch.amp.GradScaler(on, enabled=plan.training.precision == "fp16")
    if on == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    for _ in range(STEPS):
        for _ in range(min(2, plan.training.accumulation)):
            loss = _loss(model, _inputs(case, batch, on), plan, on)
            scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)
    if on != "cuda":
        return {"allocated": None, "reserved": None, "nvml": None, "loss": float(loss)}
    torch.cuda.synchronize()
    return {
        "allocated": torch.cuda.max_memory_allocated(),
        "reserved": torch.cuda.max_memory_reserved(),
        "nvml": _held(),
        "loss": float(loss),
    }


def _quantised(model: Any, plan: Plan, on: str) -> Any:
    """The model saved without its weights' meaning and loaded again quantised, as the training worker loads it."""
    import tempfile

    from transformers import AutoModelForCausalLM

    from loratui.worker.base_model import DTYPES, planned_quantization
    from loratui.worker.tracing.build import attention_of

    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        attention = attention_of(model.config, plan.model.attention)
        del model
        return AutoModelForCausalLM.from_pretrained(
            folder,
            dtype=DTYPES[plan.model.dtype],
            attn_implementation=attention,
            quantization_config=planned_quantization(plan),
            device_map={"": 0 if on == "cuda" else "cpu"},
        )


def _inputs(case: dict[str, Any], batch: Any, on: str) -> dict[str, Any]:
    import torch

    size = (batch.rows, batch.tokens_per_row)
    vocabulary = case["config"]["vocab_size"]
    numbers = torch.randint(10, vocabulary - 1, size, device=on)
    mask = torch.ones_like(numbers)
    if batch.masked:
        mask[1:, case["lengths"][0] :] = 0
    labels = numbers.masked_fill(torch.rand(size, device=on) >= case["share"], -100).masked_fill(mask == 0, -100)
    return {"input_ids": numbers, "attention_mask": mask, "labels": labels}


def _loss(model: Any, inputs: dict[str, Any], plan: Plan, on: str) -> Any:
    import torch

    from loratui.worker.base_model import DTYPES

    with torch.autocast(on, dtype=DTYPES[plan.training.precision], enabled=plan.training.precision != "fp32"):
        outputs = model(**inputs, use_cache=False, fused_lm_head=True)
    return -outputs.log_probs.sum() / outputs.label_mask.sum().clamp(min=1)


def _held() -> int | None:
    """What the driver says this process holds; where it does not tell processes apart, all that is used on the card."""
    import os

    import pynvml
    import torch

    pynvml.nvmlInit()
    handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{torch.cuda.get_device_properties(0).uuid}")
    for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle):
        if process.pid == os.getpid() and process.usedGpuMemory:
            return int(process.usedGpuMemory)
    return int(pynvml.nvmlDeviceGetMemoryInfo(handle).used)


def _device() -> Device:
    """The card, or the host where there is none."""
    import torch

    if not torch.cuda.is_available():
        return Device(
            name=platform.processor() or "CPU", kind="cpu", memory_total_bytes=4 * 2**30, memory_free_bytes=4 * 2**30
        )
    properties = torch.cuda.get_device_properties(0)
    free, total = torch.cuda.mem_get_info()
    return Device(
        name=properties.name,
        memory_total_bytes=total,
        memory_free_bytes=free,
        compute_capability=(properties.major, properties.minor),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=40)
    parser.add_argument("--seed", type=int, default=20261120)
    parser.add_argument("--cpu", action="store_true", help="run without a GPU: nothing is measured")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    on = "cpu" if asked.cpu else "cuda"
    if asked.one:
        print("\n" + json.dumps(measure(json.loads(asked.one), on)))
        return 0
    import torch

    if on == "cuda" and not torch.cuda.is_available():
        print("There is no CUDA card here. --cpu runs the same code without measuring.", file=sys.stderr)
        return 1
    device = _device()
    rows: list[dict[str, Any]] = []
    for case in grid(asked.cases, asked.seed, device):
        plan = with_values(Plan(), case["values"])
        found = estimate(
            read_config(case["config"]), plan, DataFacts(1000, tuple(case["lengths"]), True, case["share"]), device
        )
        command = [sys.executable, __file__, "--one", json.dumps(case), *(["--cpu"] if asked.cpu else [])]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            rows.append({**case, "problem": done.stderr.strip().splitlines()[-1][:300]})
            print(f"failed: {case['config']['model_type']} {rows[-1]['problem']}")
            continue
        real = json.loads(done.stdout.strip().splitlines()[-1])
        row = {
            **case,
            "predicted": found.total_bytes,
            "predicted_tensors": found.tensors_bytes,
            "parts": found.parts,
            "where": found.peak_where,
            **real,
        }
        if real["nvml"]:
            row["error"] = found.total_bytes / real["nvml"] - 1
            row["error_tensors"] = found.tensors_bytes / real["allocated"] - 1
            print(
                f"{row['error']:+.2%} (tensors {row['error_tensors']:+.2%}) {case['config']['model_type']} "
                f"{real['nvml'] / 2**30:.2f} GiB"
            )
        rows.append(row)
    measured = sorted(abs(row["error"]) for row in rows if "error" in row)
    if measured:
        inside = sum(error <= WITHIN for error in measured) / len(measured)
        under = min(row["error"] for row in rows if "error" in row)
        print(
            f"{len(measured)} cases: median {measured[len(measured) // 2]:.2%}, worst {measured[-1]:.2%}, within "
            f"5 % {inside:.0%}, most under {under:+.2%}"
        )
        RESULTS.mkdir(exist_ok=True)
        file = RESULTS / f"memory_gpu-{device.name.lower().replace(' ', '-')}.json"
        file.write_text(
            json.dumps(
                {
                    "card": asdict(device),
                    "date": time.strftime("%Y-%m-%d"),
                    "python": platform.python_version(),
                    "versions": {
                        name: version(name) for name in ("torch", "transformers", "trl", "peft", "bitsandbytes")
                    },
                    "cuda": torch.version.cuda,
                    "seed": asked.seed,
                    "cases": rows,
                },
                indent=1,
            )
            + "\n",
            encoding="utf-8",
        )
        print(f"kept in {file}")
    else:
        print(
            f"{sum('problem' not in row for row in rows)} of {len(rows)} cases ran; nothing was measured without a GPU"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
