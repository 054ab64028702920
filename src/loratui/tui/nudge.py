"""One step up or down from a value, as a person would take it: ranks double, learning rates go 1, 1.5, 2, 3, 5, 7, 10."""

from __future__ import annotations

import math
from typing import Any

DOUBLING = {
    "lora.r", "lora.alpha", "training.batch_size", "training.accumulation", "evaluation.batch_size", "training.max_length",
}
LOGARITHMIC = {"training.learning_rate", "training.epsilon"}
MANTISSAS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
STEPS = {
    "training.epochs": 1.0, "lora.dropout": 0.01, "training.weight_decay": 0.01, "training.min_lr_ratio": 0.05,
    "training.max_grad_norm": 0.1, "dataset.eval_fraction": 0.01, "training.beta1": 0.01, "training.beta2": 0.001,
    "evaluation.every_steps": 10, "saving.every_steps": 10, "training.max_steps": 10, "training.warmup_steps": 1,
}


def nudged(key: str, value: Any, direction: int) -> Any:
    """The next sensible value of a numeric plan key; direction is 1 or -1. Bounds are the plan's affair, not this one's."""
    if key in LOGARITHMIC:
        return _next_mantissa(float(value), direction)
    if key in DOUBLING and value:
        new = value * 2 if direction > 0 else value / 2
        return max(1, int(new)) if isinstance(value, int) else new
    step = STEPS.get(key, 1)
    new = value + direction * step
    if isinstance(value, int):
        return max(0, int(new))
    if key == "training.epochs" and new <= 0:
        return value / 2
    return round(max(0.0, new), 6)


def _next_mantissa(value: float, direction: int) -> float:
    exponent = math.floor(math.log10(value))
    ladder = [mantissa * 10.0**power for power in range(exponent - 1, exponent + 3) for mantissa in MANTISSAS]
    if direction > 0:
        new = next(step for step in ladder if step > value * 1.0001)
    else:
        new = next(step for step in reversed(ladder) if step < value * 0.9999)
    return float(f"{new:.3g}")
