"""What a wizard is filled in with to train a run's result further."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loratui.core.plan import Plan

KEPT = ("method.kind", "method.quantization", "lora.r", "lora.alpha", "lora.variant", "lora.targets", "lora.dropout", "model.revision", "model.chat_template")
"""Keys that the existing adapter has decided; everything else is proposed anew."""
READING = ("dataset.format", "dataset.columns", "dataset.split", "dataset.configuration")


def choice(plan: Plan, result: Path) -> tuple[str, dict[str, Any]]:
    """The model to choose and the plan keys to set by hand. result: the adapter's folder, or the wholly trained model's."""
    own = {key: plan.get(key) for key in READING if plan.get(key)}
    if plan.method.kind == "full":
        return str(result), {"method.kind": "full", **own}
    values = {key: plan.get(key) for key in KEPT if plan.get(key) not in ("", [])}
    return plan.model.id, {**values, **own, "lora.adapter": str(result)}
