"""An adapter's folder: what its adapter_config.json says of its shape."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from loratui.core.errors import ModelError
from loratui.core.recommend.continued import AdapterShape


def read_adapter(path: str) -> AdapterShape:
    """The shape of the adapter in this folder. ModelError where it is none."""
    folder = Path(path).expanduser()
    try:
        config = json.loads((folder / "adapter_config.json").read_text(encoding="utf-8"))
        targets = config["target_modules"]
        return AdapterShape(
            int(config["r"]),
            float(config["lora_alpha"]),
            _variant(config),
            targets if isinstance(targets, str) else tuple(targets),
        )
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelError(
            "this folder holds no LoRA adapter (adapter_config.json).",
            where=str(folder),
            hint="Set lora.adapter to an adapter's folder, or leave it empty.",
        ) from None


def _variant(config: dict[str, Any]) -> str:
    return "dora" if config.get("use_dora") else "rslora" if config.get("use_rslora") else "lora"
