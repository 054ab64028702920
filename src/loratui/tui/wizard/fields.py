"""Which plan keys the recipe screen shows, in which order and groups; how a value is typed, and stepped up and
down.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any, Literal, get_args, get_origin

from loratui.core.plan_text import fields
from loratui.core.preference_section import means_nothing

EVERYDAY = (
    "method.kind",
    "lora.r",
    "training.learning_rate",
    "training.epochs",
    "training.batch_size",
    "training.max_length",
)
"""The six that are decided most often."""

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("everyday", EVERYDAY),
    ("adapter", ("lora.alpha", "lora.dropout", "lora.targets", "lora.variant", "lora.adapter")),
    (
        "memory and precision",
        (
            "training.accumulation",
            "training.checkpointing",
            "training.precision",
            "method.quantization",
            "method.double_quantization",
            "method.compute_dtype",
            "hardware.parallelism",
            "training.optimizer",
            "training.packing",
            "training.padding_free",
            "training.group_by_length",
            "training.compile",
            "training.liger",
            "model.dtype",
            "model.attention",
        ),
    ),
    (
        "course of the learning rate",
        ("training.scheduler", "training.warmup_steps", "training.min_lr_ratio", "training.max_steps"),
    ),
    (
        "optimizer",
        ("training.weight_decay", "training.max_grad_norm", "training.beta1", "training.beta2", "training.epsilon"),
    ),
    (
        "preferences",
        (
            "training.objective",
            "preference.beta",
            "preference.loss",
            "preference.label_smoothing",
            "preference.sft_weight",
            "preference.length_weight",
            "preference.kto_loss",
            "preference.desirable_weight",
            "preference.undesirable_weight",
            "preference.reference",
        ),
    ),
    (
        "evaluation and checkpoints",
        (
            "dataset.eval_fraction",
            "dataset.eval_count",
            "dataset.split_by",
            "dataset.split_seed",
            "dataset.long_text",
            "dataset.eval_path",
            "dataset.leave_out",
            "dataset.preference",
            "evaluation.every_steps",
            "evaluation.batch_size",
            "evaluation.patience",
            "evaluation.prompts",
            "saving.every_steps",
            "saving.keep",
        ),
    ),
    (
        "cluster",
        (
            "cluster.engine",
            "cluster.partition",
            "cluster.account",
            "cluster.qos",
            "cluster.nodes",
            "cluster.gpus_per_node",
            "cluster.gpu_type",
            "cluster.cpus_per_gpu",
            "cluster.memory_gib",
            "cluster.time_limit_minutes",
            "cluster.constraint",
            "cluster.setup",
            "cluster.requeue",
        ),
    ),
    (
        "the rest",
        (
            "training.loss_on",
            "training.seed",
            "dataset.encoding",
            "model.chat_template",
            "model.end_token",
            "model.thinking",
            "dataset.reasoning",
            "dataset.calls",
            "model.revision",
            "model.trust_remote_code",
        ),
    ),
)

UNITS = {
    "training.max_length": "tokens",
    "training.batch_size": "rows",
    "training.accumulation": "passes",
    "training.warmup_steps": "steps",
    "training.max_steps": "steps",
    "training.min_lr_ratio": "of the peak",
    "evaluation.every_steps": "steps",
    "saving.every_steps": "steps",
    "evaluation.batch_size": "rows",
    "training.epochs": "passes",
    "saving.keep": "checkpoints",
    "evaluation.patience": "evaluations",
    "cluster.memory_gib": "GiB",
    "cluster.time_limit_minutes": "minutes",
}


def unit_of(key: str, value: Any) -> str:
    """The unit as it reads after this value: `1 pass`, `2 passes`; empty for a key without one."""
    unit = UNITS.get(key, "")
    if unit == "GiB":
        return unit
    return unit.removesuffix("es" if unit == "passes" else "s") if value == 1 else unit


Kind = Literal["choice", "flag", "number", "text", "list"]


def kind_of(key: str) -> Kind:
    """How a value of this key is set."""
    annotation = fields()[key].annotation
    if annotation is bool:
        return "flag"
    if annotation in (int, float):
        return "number"
    if get_origin(annotation) is list or list in {get_origin(part) for part in get_args(annotation)}:
        return "list"
    if _literal(annotation) is not None:
        return "choice"
    return "number" if float in get_args(annotation) else "text"


def choices_of(key: str) -> tuple[Any, ...]:
    """What a choice or a flag can be."""
    if kind_of(key) == "flag":
        return (False, True)
    return get_args(_literal(fields()[key].annotation))


def _literal(annotation: Any) -> Any:
    """The part of a key's type that lists its choices; None where it has none."""
    parts = (annotation, *get_args(annotation))
    return next((part for part in parts if get_origin(part) is Literal), None)


def shown_keys(
    method: str,
    everything: bool,
    devices: int = 1,
    engine: str = "",
    objective: str = "sft",
    own: Collection[str] = (),
) -> list[tuple[str, tuple[str, ...]]]:
    """Groups with the keys that matter for this method and objective on so many GPUs, and with this scheduler; only the
    everyday ones unless `everything`. own: keys that a person set or holds: those of another objective stay, to be
    given back.
    """
    groups = []
    for name, keys in GROUPS if everything else GROUPS[:1]:
        kept = tuple(
            key
            for key in keys
            if not (method == "full" and key.startswith("lora."))
            and not (devices < 2 and key == "hardware.parallelism")
            and not (key not in own and means_nothing(key, objective))
            and not (not engine and key.startswith("cluster."))
            and not (
                method != "qlora"
                and key in ("method.quantization", "method.double_quantization", "method.compute_dtype")
            )
        )
        if kept:
            groups.append((name, kept))
    return groups


def neighbours(key: str, value: Any) -> list[Any]:
    """The values that a key could take next: one step down and up, or the other choices; none for texts and lists."""

    kind = kind_of(key)
    if kind in ("choice", "flag"):
        return [choice for choice in choices_of(key) if choice != value]
    if kind != "number" or not isinstance(value, int | float):
        return []
    return [new for new in (nudged(key, value, -1), nudged(key, value, 1)) if new != value]


DOUBLING = {
    "lora.r",
    "lora.alpha",
    "training.batch_size",
    "training.accumulation",
    "evaluation.batch_size",
    "training.max_length",
}
LOGARITHMIC = {"training.learning_rate", "training.epsilon"}
MANTISSAS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)
STEPS = {
    "training.epochs": 1.0,
    "lora.dropout": 0.01,
    "training.weight_decay": 0.01,
    "training.min_lr_ratio": 0.05,
    "training.max_grad_norm": 0.1,
    "dataset.eval_fraction": 0.01,
    "training.beta1": 0.01,
    "training.beta2": 0.001,
    "evaluation.every_steps": 10,
    "saving.every_steps": 10,
    "training.max_steps": 10,
    "training.warmup_steps": 1,
    "cluster.time_limit_minutes": 30,
    "cluster.memory_gib": 16,
}


def nudged(key: str, value: Any, direction: int) -> Any:
    """The next sensible value of a numeric plan key; direction is 1 or -1. Bounds are the plan's affair, not this
    one's.
    """
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
