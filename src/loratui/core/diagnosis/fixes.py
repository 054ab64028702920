"""Fixes as changes to a plan; each leaves out what the plan cannot or need not change."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from loratui.core.diagnosis.curves import Curves, Fix
from loratui.core.plan import Plan

PUBLISHED_LORA_RATES, PUBLISHED_FULL_RATES = (1e-4, 1e-3), (1e-6, 3e-4)
CHECK_DATA = Fix("Look at the rows: wrong answers, empty ones, or two kinds of task in one file.")
CHECK_TEMPLATE = Fix("Check the chat template and what is trained on, on the dataset screen or with `loratui inspect`.")


def kept(fixes: Iterable[Fix | None]) -> tuple[Fix, ...]:
    """The fixes that apply."""
    return tuple(fix for fix in fixes if fix is not None)


def rate(plan: Plan, factor: float) -> Fix:
    """A learning rate `factor` times as high, or the nearest that published runs use where it is far outside of them."""
    low, high = PUBLISHED_FULL_RATES if plan.method.kind == "full" else PUBLISHED_LORA_RATES
    raw = plan.training.learning_rate * factor
    value = float(f"{(max(raw, low) if factor > 1 else min(raw, high)):.1e}")
    word = "Raise" if factor > 1 else "Lower"
    return Fix(f"{word} the learning rate from {plan.training.learning_rate:g} to {value:g}.", {"training.learning_rate": value})


def warm_up(plan: Plan, curves: Curves) -> Fix | None:
    """Twice the warm-up, and at least 3 % of the run."""
    total = max(curves.total_steps, len(curves.steps))
    value = min(max(10, 2 * plan.training.warmup_steps, total * 3 // 100), total // 2)
    if value <= plan.training.warmup_steps:
        return None
    return Fix(f"Warm up over {value} steps instead of {plan.training.warmup_steps}.", {"training.warmup_steps": value})


def larger_batch(plan: Plan) -> Fix:
    """Twice the accumulation: smoother gradients for no memory."""
    passes = plan.training.accumulation * 2
    return Fix(f"Accumulate {passes} batches a step instead of {plan.training.accumulation}: smoother gradients, no more memory.", {"training.accumulation": passes})


def safer_precision(plan: Plan) -> Fix | None:
    """Out of float16."""
    if plan.training.precision != "fp16":
        return None
    return Fix("Leave float16: bfloat16 where the card has it, else float32.", {"training.precision": "bf16", "method.compute_dtype": "bf16"})


def clip(plan: Plan) -> Fix | None:
    """Clip gradients at 0.3, as QLoRA does."""
    if 0 < plan.training.max_grad_norm <= 0.3:
        return None
    return Fix("Clip gradients at 0.3.", {"training.max_grad_norm": 0.3})


def rank(plan: Plan, factor: float) -> Fix | None:
    """Another rank, the scale kept."""
    if plan.method.kind == "full":
        return None
    value = round(plan.lora.r * factor)
    if value < 2 or value > 256:
        return None
    word = "more" if factor > 1 else "less"
    changes: dict[str, Any] = {"lora.r": value}
    if plan.lora.alpha != 32:
        changes["lora.alpha"] = plan.lora.alpha * factor
    return Fix(f"Rank {value} instead of {plan.lora.r}: {word} capacity.", changes)


def all_layers(plan: Plan) -> Fix | None:
    """Adapters on every linear layer."""
    if plan.method.kind == "full" or plan.lora.targets == "all-linear":
        return None
    return Fix("Adapt all linear layers.", {"lora.targets": "all-linear"})


def dropout(plan: Plan) -> Fix | None:
    """More dropout, up to 0.2."""
    if plan.method.kind == "full" or plan.lora.dropout >= 0.2:
        return None
    value = 0.05 if plan.lora.dropout < 0.05 else 0.1 if plan.lora.dropout < 0.1 else 0.2
    return Fix(f"Dropout {value:g} instead of {plan.lora.dropout:g}.", {"lora.dropout": value})


def decay(plan: Plan) -> Fix | None:
    """More weight decay, up to 0.1."""
    if plan.training.weight_decay >= 0.1:
        return None
    value = 0.01 if plan.training.weight_decay < 0.01 else 0.1
    return Fix(f"Weight decay {value:g} instead of {plan.training.weight_decay:g}.", {"training.weight_decay": value})


def stop_at(step: int) -> Fix:
    """End the run where it was best."""
    return Fix(f"Keep the checkpoint of step {step}, or run only so far.", {"training.max_steps": step})


def fewer_epochs(plan: Plan) -> Fix | None:
    """One epoch less, or half of many."""
    if plan.training.max_steps or plan.training.epochs <= 1:
        return None
    epochs = plan.training.epochs
    value = float(round(epochs / 2)) if epochs > 4 else max(1.0, epochs - 1)
    return Fix(f"{value:g} epochs instead of {epochs:g}.", {"training.epochs": value})


def more_epochs(plan: Plan, curves: Curves) -> Fix:
    """Half the run again, at least one epoch."""
    if plan.training.max_steps:
        value = plan.training.max_steps * 3 // 2
        return Fix(f"{value} steps instead of {plan.training.max_steps}.", {"training.max_steps": value})
    epochs = plan.training.epochs + max(1.0, round(plan.training.epochs / 2))
    return Fix(f"{epochs:g} epochs instead of {plan.training.epochs:g}.", {"training.epochs": epochs})


def patience(plan: Plan) -> Fix | None:
    """Early stopping."""
    return None if plan.evaluation.patience else Fix("Stop early after 3 evaluations without a better loss.", {"evaluation.patience": 3})
