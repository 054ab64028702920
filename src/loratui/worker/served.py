"""What a run or a folder is to a server. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from loratui.export.serving import Served
from loratui.worker.protocol import ADAPTER
from loratui.worker.target import adapter_config, find_target


def served(name: str) -> Served:
    """The run, adapter or model of this name, as a server needs to know it; LoratuiError where there is none."""
    target = find_target(name)
    folder = target.load.sides.get(ADAPTER, "")
    shown = target.title if target.run is not None else Path(target.title).name
    if not folder or not (Path(folder) / "adapter_config.json").is_file():
        return Served(shown, folder or target.load.base, trust_remote_code=target.load.trust_remote_code)
    described = adapter_config(Path(folder))
    merged = str(target.run.merged_path) if target.run is not None else f"{folder}-merged"
    rank, load = described.get("r"), target.load
    return Served(
        shown, merged, load.base, folder, rank if isinstance(rank, int) else 0, "dora" if described.get("use_dora") else "lora", load.revision,
        load.quantization, load.trust_remote_code,
    )
