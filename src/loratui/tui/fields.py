"""Which plan keys the recipe screen shows, in which order and groups, and how a value is typed."""

from __future__ import annotations

from typing import Any, Literal, get_args, get_origin

from loratui.core.plan_text import fields

EVERYDAY = (
    "method.kind", "lora.r", "training.learning_rate", "training.epochs", "training.batch_size", "training.max_length",
)
"""The six that are decided most often."""

GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("everyday", EVERYDAY),
    ("adapter", ("lora.alpha", "lora.dropout", "lora.targets", "lora.variant", "lora.adapter")),
    ("memory and precision", (
        "training.accumulation", "training.checkpointing", "training.precision", "method.quantization", "method.double_quantization",
        "method.compute_dtype", "hardware.parallelism", "training.optimizer", "training.packing", "training.padding_free", "model.dtype", "model.attention",
    )),
    ("course of the learning rate", ("training.scheduler", "training.warmup_steps", "training.min_lr_ratio", "training.max_steps")),
    ("optimizer", ("training.weight_decay", "training.max_grad_norm", "training.beta1", "training.beta2", "training.epsilon")),
    ("evaluation and checkpoints", (
        "dataset.eval_fraction", "dataset.eval_count", "dataset.eval_path", "dataset.leave_out", "evaluation.every_steps", "evaluation.batch_size", "evaluation.patience",
        "evaluation.prompts", "saving.every_steps", "saving.keep",
    )),
    ("the rest", ("training.loss_on", "training.seed", "model.chat_template", "model.revision", "model.trust_remote_code")),
)

UNITS = {
    "training.max_length": "tokens", "training.batch_size": "rows", "training.accumulation": "passes", "training.warmup_steps": "steps",
    "training.max_steps": "steps", "evaluation.every_steps": "steps", "saving.every_steps": "steps", "evaluation.batch_size": "rows",
    "training.epochs": "passes", "saving.keep": "checkpoints", "evaluation.patience": "evaluations",
}


def unit_of(key: str, value: Any) -> str:
    """The unit as it reads after this value: `1 pass`, `2 passes`; empty for a key without one."""
    unit = UNITS.get(key, "")
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
    if get_origin(annotation) is Literal:
        return "choice"
    return "number" if float in get_args(annotation) else "text"


def choices_of(key: str) -> tuple[Any, ...]:
    """What a choice or a flag can be."""
    if kind_of(key) == "flag":
        return (False, True)
    return get_args(fields()[key].annotation)


def shown_keys(method: str, everything: bool, devices: int = 1) -> list[tuple[str, tuple[str, ...]]]:
    """Groups with the keys that matter for this method on so many GPUs; only the everyday ones unless `everything`."""
    groups = []
    for name, keys in GROUPS if everything else GROUPS[:1]:
        kept = tuple(
            key for key in keys
            if not (method == "full" and key.startswith("lora."))
            and not (devices < 2 and key == "hardware.parallelism")
            and not (method != "qlora" and key in ("method.quantization", "method.double_quantization", "method.compute_dtype"))
        )
        if kept:
            groups.append((name, kept))
    return groups


def neighbours(key: str, value: Any) -> list[Any]:
    """The values that a key could take next: one step down and up, or the other choices; none for texts and lists."""
    from loratui.tui.nudge import nudged

    kind = kind_of(key)
    if kind in ("choice", "flag"):
        return [choice for choice in choices_of(key) if choice != value]
    if kind != "number" or not isinstance(value, int | float):
        return []
    return [new for new in (nudged(key, value, -1), nudged(key, value, 1)) if new != value]
