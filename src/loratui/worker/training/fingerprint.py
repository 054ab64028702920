"""What a run was trained on and with: kept beside its checkpoints, and compared before it is resumed."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from loratui import __version__
from loratui.core.plan import Plan
from loratui.runs.directory import Run
from loratui.runs.files import write_whole
from loratui.worker.training.config import DeviceTraits
from loratui.worker.training.dataset import Prepared

PACKAGES = ("torch", "transformers", "trl", "peft", "accelerate", "bitsandbytes", "datasets", "tokenizers", "safetensors")
HARMLESS = ("evaluation.prompts", "saving.every_steps", "saving.keep", "hardware.gpu")
"""Plan keys that may change without changing what is learnt."""


def versions() -> dict[str, str]:
    """Versions of what trains."""
    found = {"loratui": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def fingerprint(plan: Plan, prepared: Prepared, model_config: dict[str, Any]) -> dict[str, Any]:
    """Plan, data, model and versions, as a document that can be compared."""
    sections = plan.model_dump(mode="json", exclude={"version"})
    flat = {f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()}
    shape = {key: model_config.get(key) for key in ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")}
    return {
        "plan": flat, "data": {"train": prepared.train.fingerprint(), "held_out": prepared.held_out.fingerprint(), "rows": len(prepared.train)},
        "model": shape, "versions": versions(),
    }


def write_fingerprint(run: Run, document: dict[str, Any]) -> None:
    """Keep it for the next resume."""
    write_whole(run.fingerprint_path, json.dumps(document, indent=1, sort_keys=True) + "\n")


def differences(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """What would make a resumed run differ from an uninterrupted one, one sentence each."""
    found: list[str] = []
    if not before:
        return found
    old, new = before.get("plan", {}), now["plan"]
    found += [
        f"{key} was {old.get(key)!r} and is {new.get(key)!r}" for key in sorted({*old, *new})
        if old.get(key) != new.get(key) and key not in HARMLESS
    ]
    if before.get("data", {}).get("train") != now["data"]["train"]:
        found.append(f"the training rows changed ({before.get('data', {}).get('rows')} rows before, {now['data']['rows']} now)")
    if before.get("data", {}).get("held_out") != now["data"]["held_out"]:
        found.append("the held-out rows changed")
    if before.get("model") != now["model"]:
        found.append("the base model changed")
    old, new = before.get("versions", {}), now["versions"]
    found += [f"{name} was {old.get(name)} and is {new.get(name)}" for name in sorted(new) if old.get(name) != new.get(name)]
    return found


def write_machine(run: Run, device: DeviceTraits) -> None:
    """`machine.json`: what the run runs on, and the versions of what runs it."""
    import os
    import socket

    import torch

    document: dict[str, Any] = {
        "host": socket.gethostname(), "platform": platform.platform(), "cpu_count": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(), "device": device.name, "kind": device.kind, "versions": versions(),
        "cuda": torch.version.cuda, "visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
    }
    if device.kind == "cuda":
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        document |= {"memory_total_bytes": properties.total_memory, "compute_capability": [properties.major, properties.minor]}
    write_whole(run.machine_path, json.dumps(document, indent=1) + "\n")


def remove_broken_checkpoints(run: Run) -> list[Path]:
    """Delete half-written checkpoints, which would stand in the way of the ones to come; those deleted."""
    import shutil

    whole = set(run.checkpoints())
    broken = [folder for folder in run.checkpoints_path.glob("checkpoint-*") if folder not in whole] if run.checkpoints_path.is_dir() else []
    for folder in broken:
        shutil.rmtree(folder, ignore_errors=True)
    return broken
