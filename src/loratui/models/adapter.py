"""An adapter's folder: what its adapter_config.json says of its shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loratui.core.errors import ModelError, PlanError
from loratui.core.plan import Plan
from loratui.core.recommend.from_adapter import AdapterShape
from loratui.files import DOCUMENT_LIMIT_BYTES, read_object, read_safetensors_header
from loratui.paths import without_tilde

WEIGHTS, PREFIX = "adapter_model.safetensors", "base_model.model."
"""File of an adapter's weights, and what PEFT puts before each layer's path."""


def read_adapter(path: str) -> AdapterShape:
    """The shape of the adapter in this folder. ModelError where it is none."""
    folder = without_tilde(path)
    try:
        config = read_object(folder / "adapter_config.json")
        targets = config["target_modules"]
        return AdapterShape(
            int(config["r"]),
            float(config["lora_alpha"]),
            _variant(config),
            targets if isinstance(targets, str) else tuple(targets),
            str(config.get("base_model_name_or_path") or ""),
            _layers(folder / WEIGHTS),
            bool(config.get("layers_to_transform")),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        raise ModelError(
            "this folder holds no LoRA adapter (adapter_config.json).",
            where=str(folder),
            hint="Set lora.adapter to an adapter's folder, or leave it empty.",
        ) from None


def require_fit(plan: Plan, adapter: AdapterShape) -> None:
    """Refuse a plan that trains this adapter further in another shape than it has, or not at all. PlanError."""
    folder = str(without_tilde(plan.lora.adapter))
    if plan.method.kind == "full":
        raise PlanError(
            "method.kind = full trains the base's own weights, and lora.adapter names an adapter to train further.",
            where=folder,
            hint="Take method.kind = lora or qlora, or leave lora.adapter empty.",
        )
    for key, found, wanted in (
        ("lora.r", adapter.r, plan.lora.r),
        ("lora.alpha", adapter.alpha, plan.lora.alpha),
        ("lora.variant", adapter.variant, plan.lora.variant),
    ):
        if found != wanted:
            raise PlanError(
                f"{key} = {_shown(wanted)}, but the adapter in lora.adapter has {_shown(found)}.",
                where=folder,
                hint=f"Set {key} to {_shown(found)}.",
            )


def _layers(weights: Path) -> tuple[tuple[str, int, int], ...]:
    """Path, inputs and outputs of each layer that these weights adapt; none where the file is not there or is damaged,
    which is told where it is loaded.
    """
    try:
        header, _ = read_safetensors_header(weights, limit_bytes=DOCUMENT_LIMIT_BYTES)
        sizes = {name: tuple(int(side) for side in entry["shape"]) for name, entry in header.items()}
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    found = []
    for name, size in sizes.items():
        path, mark, _ = name.partition(".lora_A.")
        other = sizes.get(name.replace(".lora_A.", ".lora_B."), ())
        if mark and len(size) == len(other) == 2:
            found.append((path.removeprefix(PREFIX), size[1], other[0]))
    return tuple(sorted(found))


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _variant(config: dict[str, Any]) -> str:
    return "dora" if config.get("use_dora") else "rslora" if config.get("use_rslora") else "lora"
