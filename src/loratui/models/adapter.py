"""An adapter's folder: what its adapter_config.json says of its shape."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loratui.core.errors import ModelError, PlanError
from loratui.core.plan import Plan
from loratui.core.recommend.from_adapter import AdapterShape
from loratui.files import read_object


def read_adapter(path: str) -> AdapterShape:
    """The shape of the adapter in this folder. ModelError where it is none."""
    folder = Path(path).expanduser()
    try:
        config = read_object(folder / "adapter_config.json")
        targets = config["target_modules"]
        return AdapterShape(
            int(config["r"]),
            float(config["lora_alpha"]),
            _variant(config),
            targets if isinstance(targets, str) else tuple(targets),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        raise ModelError(
            "this folder holds no LoRA adapter (adapter_config.json).",
            where=str(folder),
            hint="Set lora.adapter to an adapter's folder, or leave it empty.",
        ) from None


def require_fit(plan: Plan, adapter: AdapterShape) -> None:
    """Refuse a plan that trains this adapter further in another shape than it has, or not at all. PlanError."""
    folder = str(Path(plan.lora.adapter).expanduser())
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


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _variant(config: dict[str, Any]) -> str:
    return "dora" if config.get("use_dora") else "rslora" if config.get("use_rslora") else "lora"
