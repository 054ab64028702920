"""Writing down what a run was trained on and with, and on which rows not."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from loratui.core.errors import RunError
from loratui.core.plan import Plan
from loratui.data.row_filter import LeftOut
from loratui.files import write_whole
from loratui.runs.base_files import base_files
from loratui.runs.directory import Run
from loratui.runs.fingerprint import files_print, plan_values, versions
from loratui.worker.training.config import DeviceTraits
from loratui.worker.training.dataset import Prepared

DIGEST = 2
"""How the digests of the rows are made; those of runs of before cannot be compared with them."""


def fingerprint(plan: Plan, prepared: Prepared, model_config: dict[str, Any]) -> dict[str, Any]:
    """Plan, data, model and versions, as a document that can be compared."""
    shape = {key: model_config.get(key) for key in ("model_type", "hidden_size", "num_hidden_layers", "vocab_size")}
    data = {
        "train": prepared.train.fingerprint(),
        "held_out": prepared.held_out.fingerprint(),
        "digest": DIGEST,
        "rows": len(prepared.train),
        "files": files_print(plan),
        "tokens": prepared.tokens,
    }
    base = base_files(plan)
    return {"plan": plan_values(plan), "data": data, "model": shape, "base": base, "versions": versions()}


def stored_tokens(run: Run) -> list[str]:
    """Names of the stored tokens that the run was last trained on; empty where that was not written down."""
    try:
        named = run.fingerprint().get("data", {}).get("tokens", [])
    except RunError:  # said where the run is taken over
        return []
    return [name for name in named if isinstance(name, str)] if isinstance(named, list) else []


def write_fingerprint(run: Run, document: dict[str, Any]) -> None:
    """Keep it for the next resume."""
    write_whole(run.fingerprint_path, json.dumps(document, indent=1, sort_keys=True) + "\n")


def write_machine(run: Run, device: DeviceTraits) -> None:
    """`machine.json`: what the run runs on, and the versions of what runs it."""
    import os
    import socket

    import torch

    document: dict[str, Any] = {
        "host": socket.gethostname(),
        "platform": platform.platform(),
        "cpu_count": len(os.sched_getaffinity(0)),
        "threads": torch.get_num_threads(),
        "device": device.name,
        "kind": device.kind,
        "versions": versions(),
        "cuda": torch.version.cuda,
        "visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
    }
    if device.kind == "cuda":
        properties = torch.cuda.get_device_properties(torch.cuda.current_device())
        document |= {
            "memory_total_bytes": properties.total_memory,
            "compute_capability": None if torch.version.hip else [properties.major, properties.minor],
            "architecture": getattr(properties, "gcnArchName", ""),
        }
    write_whole(run.machine_path, json.dumps(document, indent=1) + "\n")


def write_left_out(run: Run, rows: Sequence[LeftOut]) -> None:
    """Write `left_out.jsonl`: one object a row (index, line, file, kind, message); an empty file where every row is
    used.

    Raises OSError where the disk is full.
    """
    write_whole(run.left_out_path, "".join(json.dumps(asdict(row)) + "\n" for row in rows))
