"""What a change of a plan means for a run that has begun: how it goes on afterwards, and why, for every key.

A checkpoint holds the trained weights, the optimizer's moments, the place in the schedule and in the rows, and the
state of chance. What of that a changed key leaves valid decides where the run can begin.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from loratui.core.division import share_count
from loratui.core.plan import Plan
from loratui.core.plan_text import check_value, with_values

Start = Literal["checkpoint", "adapter", "anew"]
"""checkpoint: everything goes on. adapter: the trained weights go on; optimizer, schedule and rows begin anew. anew:
from the base.
"""
_RANKS: dict[Start, int] = {"checkpoint": 0, "adapter": 1, "anew": 2}

_ROWS = "other rows, or other tokens of them, are trained on"
_BASE = "the adapter was trained on another base"
_SHAPE = "the trained weights have another shape"
_RATE = "the schedule is computed anew for the steps to come"
_OPTIMIZER = "it is written into the optimizer; the moments stay"
_SAME = "the same is computed, in another way"
_LOSS = "the loss of preferences is another from the next step on"
_BESIDE = "it decides what is written and evaluated, not what is learnt"
_PLACE = "it decides where it runs, not what is learnt"
_UNKNOWN: tuple[Start, str] = ("anew", "what it does to a checkpoint is not known")

KEYS: dict[str, tuple[Start, str]] = {
    "model.id": ("anew", _BASE),
    "model.revision": ("anew", _BASE),
    "model.chat_template": ("adapter", _ROWS),
    "model.end_token": ("adapter", _ROWS),
    "model.thinking": ("adapter", _ROWS),
    "model.dtype": ("adapter", "the base's weights are rounded otherwise"),
    "model.attention": ("checkpoint", _SAME),
    "model.trust_remote_code": ("anew", "other code may build the model"),
    "dataset.path": ("adapter", _ROWS),
    "dataset.parts": ("adapter", _ROWS),
    "dataset.format": ("adapter", _ROWS),
    "dataset.columns": ("adapter", _ROWS),
    "dataset.preference": ("adapter", _ROWS),
    "dataset.configuration": ("adapter", _ROWS),
    "dataset.encoding": ("adapter", _ROWS),
    "dataset.split": ("adapter", _ROWS),
    "dataset.eval_fraction": ("adapter", _ROWS),
    "dataset.eval_count": ("adapter", _ROWS),
    "dataset.split_by": ("adapter", _ROWS),
    "dataset.split_seed": ("adapter", _ROWS),
    "dataset.eval_path": ("adapter", _ROWS),
    "dataset.exclude": ("adapter", _ROWS),
    "dataset.leave_out": ("adapter", _ROWS),
    "dataset.long_text": ("adapter", _ROWS),
    "dataset.calls": ("adapter", _ROWS),
    "dataset.reasoning": ("adapter", _ROWS),
    "method.kind": ("anew", "other weights are trained"),
    "method.quantization": ("anew", _BASE),
    "method.double_quantization": ("anew", _BASE),
    "method.compute_dtype": ("checkpoint", "products are rounded otherwise from the next step on"),
    "lora.r": ("anew", _SHAPE),
    "lora.alpha": ("anew", "the same weights would mean another model: alpha scales them"),
    "lora.dropout": ("checkpoint", "it holds from the next step on"),
    "lora.targets": ("anew", "other layers have an adapter"),
    "lora.variant": ("anew", "the same weights would mean another model"),
    "lora.adapter": ("anew", "it begins from another adapter"),
    "training.objective": ("anew", "something else is learnt"),
    "training.precision": ("checkpoint", "products are rounded otherwise from the next step on"),
    "training.batch_size": ("adapter", ""),
    "training.accumulation": ("adapter", ""),
    "training.max_length": ("adapter", _ROWS),
    "training.packing": ("adapter", "the rows are joined otherwise, so a step holds others"),
    "training.padding_free": ("checkpoint", _SAME),
    "training.group_by_length": ("adapter", "the rows come in another order, so a step holds others"),
    "training.loss_on": ("adapter", _ROWS),
    "training.epochs": ("checkpoint", _RATE),
    "training.max_steps": ("checkpoint", _RATE),
    "training.learning_rate": ("checkpoint", _RATE),
    "training.scheduler": ("checkpoint", _RATE),
    "training.min_lr_ratio": ("checkpoint", _RATE),
    "training.warmup_steps": ("checkpoint", _RATE),
    "training.optimizer": ("adapter", ""),
    "training.weight_decay": ("checkpoint", _OPTIMIZER),
    "training.beta1": ("checkpoint", _OPTIMIZER),
    "training.beta2": ("checkpoint", _OPTIMIZER),
    "training.epsilon": ("checkpoint", _OPTIMIZER),
    "training.max_grad_norm": ("checkpoint", "it holds from the next step on"),
    "training.checkpointing": ("checkpoint", _SAME),
    "training.compile": ("checkpoint", _SAME),
    "training.liger": ("checkpoint", _SAME),
    "training.seed": ("adapter", "the rows come in another order"),
    "preference.loss": ("checkpoint", _LOSS),
    "preference.kto_loss": ("checkpoint", _LOSS),
    "preference.beta": ("checkpoint", _LOSS),
    "preference.desirable_weight": ("checkpoint", _LOSS),
    "preference.undesirable_weight": ("checkpoint", _LOSS),
    "preference.label_smoothing": ("checkpoint", _LOSS),
    "preference.sft_weight": ("checkpoint", _LOSS),
    "preference.length_weight": ("checkpoint", _LOSS),
    "preference.reference": ("checkpoint", _SAME),
    "evaluation.every_steps": ("checkpoint", _BESIDE),
    "evaluation.batch_size": ("checkpoint", _BESIDE),
    "evaluation.patience": ("checkpoint", "it counts the evaluations so far"),
    "evaluation.prompts": ("checkpoint", _BESIDE),
    "saving.every_steps": ("checkpoint", _BESIDE),
    "saving.keep": ("checkpoint", _BESIDE),
    "hardware.devices": ("adapter", ""),
    "hardware.gpu": ("checkpoint", "it is for planning alone"),
    "hardware.cpu": ("checkpoint", _SAME),
    "hardware.parallelism": ("anew", ""),
    "cluster.engine": ("adapter", ""),
    "cluster.partition": ("checkpoint", _PLACE),
    "cluster.account": ("checkpoint", _PLACE),
    "cluster.qos": ("checkpoint", _PLACE),
    "cluster.nodes": ("adapter", ""),
    "cluster.gpus_per_node": ("adapter", ""),
    "cluster.gpu_type": ("checkpoint", _PLACE),
    "cluster.cpus_per_gpu": ("checkpoint", _PLACE),
    "cluster.memory_gib": ("checkpoint", _PLACE),
    "cluster.time_limit_minutes": ("checkpoint", _PLACE),
    "cluster.constraint": ("checkpoint", _PLACE),
    "cluster.setup": ("checkpoint", _PLACE),
    "cluster.requeue": ("checkpoint", _PLACE),
}
"""Every key: what a change of it leaves of a checkpoint, and why. Those without a reason depend on the rest
(`_DEPENDING`).
"""


def _batch(before: Plan, after: Plan) -> tuple[Start, str]:
    one, other = before.effective_batch_size, after.effective_batch_size
    if one == other:
        return "checkpoint", f"a step holds the same {one} rows"
    return "adapter", f"a step holds {other} rows instead of {one}, so place and number of steps mean something else"


def _optimizer(before: Plan, after: Plan) -> tuple[Start, str]:
    if all(plan.training.optimizer.startswith("adamw_torch") for plan in (before, after)):
        return "checkpoint", _SAME
    return "adapter", f"{after.training.optimizer} cannot take the moments of {before.training.optimizer}"


def _devices(before: Plan, after: Plan) -> tuple[Start, str]:
    if _divided(before) != _divided(after):
        return "anew", "a checkpoint of divided weights is another than one of whole ones"
    return _batch(before, after)


def _divided(plan: Plan) -> bool:
    return share_count(plan) > 1


def _parallelism(before: Plan, after: Plan) -> tuple[Start, str]:
    if _divided(before) != _divided(after):
        return "anew", "a checkpoint of divided weights is another than one of whole ones"
    return "checkpoint", "it means nothing on one device"


_DEPENDING: dict[str, Callable[[Plan, Plan], tuple[Start, str]]] = {
    "training.batch_size": _batch,
    "training.accumulation": _batch,
    "training.optimizer": _optimizer,
    "hardware.devices": _devices,
    "hardware.parallelism": _parallelism,
    "cluster.engine": _devices,
    "cluster.nodes": _devices,
    "cluster.gpus_per_node": _devices,
}


def changed_keys(plan: Plan, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The changes that change something, their values as the plan holds them. PlanError for a key or value that no plan
    has.
    """
    checked = {key: check_value(key, value) for key, value in changes.items()}
    return {key: value for key, value in checked.items() if plan.get(key) != value}


def reasons(plan: Plan, changes: Mapping[str, Any]) -> dict[str, tuple[Start, str]]:
    """For each key that really changes: how a run could go on after it, and why. PlanError where the values do not
    agree.
    """
    changed = changed_keys(plan, changes)
    after = with_values(plan, changed)
    found = {key: _DEPENDING[key](plan, after) if key in _DEPENDING else KEYS.get(key, _UNKNOWN) for key in changed}
    if not _divided(after):
        return found
    return {
        key: ("anew", f"{reason}, and divided weights cannot begin from a checkpoint's")
        if start == "adapter"
        else (start, reason)
        for key, (start, reason) in found.items()
    }


def start_after(plan: Plan, changes: Mapping[str, Any]) -> Start:
    """Where a run of this plan can begin once these dotted keys have changed: as the least patient of them allows.

    PlanError for a key or value that no plan has, or values that do not agree.
    """
    return max(
        (start for start, _ in reasons(plan, changes).values()), key=lambda start: _RANKS[start], default="checkpoint"
    )


def why(plan: Plan, changes: Mapping[str, Any]) -> str:
    """The reason of `start_after` for a person: the keys that decide it, e.g. "lora.r: the trained weights have another
    shape".
    """
    start = start_after(plan, changes)
    by_reason: dict[str, list[str]] = {}
    for key, (one, reason) in reasons(plan, changes).items():
        if one == start:
            by_reason.setdefault(reason, []).append(key)
    return "; ".join(f"{', '.join(keys)}: {reason}" for reason, keys in by_reason.items())
