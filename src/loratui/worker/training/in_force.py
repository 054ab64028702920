"""What the trainer really goes by once everything is loaded, read out of its live parts; and that it is the plan.

A library's default, a checkpoint's own settings or a key that nobody passes on would otherwise train something else
than the plan says, without a word.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from loratui.core.attention import TORCH_VARLEN
from loratui.core.errors import WorkerError
from loratui.core.plan import Plan
from loratui.core.schedule import Schedule, learning_rate_at
from loratui.worker.training.compiled import compiled_blocks
from loratui.worker.training.config import NEVER
from loratui.worker.training.liger import liger_modules
from loratui.worker.training.preference_trainer import JudgedTrainer, PairTrainer
from loratui.worker.training.preferring import Preferring
from loratui.worker.training.trainer import Obedient
from loratui.worker.training.varlen import has_varlen

OWN = {
    "dpo": ("beta", "label_smoothing", "sft_weight", "length_weight"),
    "orpo": ("beta",),
    "kto": ("beta", "desirable_weight", "undesirable_weight"),
}
"""Figures of `preference` that each objective goes by."""


def measured(trainer: Obedient) -> dict[str, Any]:
    """Settings by name, as the live optimizer, schedule, loader and state have them."""
    optimizer: Any = trainer.optimizer
    scheduler: Any = trainer.lr_scheduler
    groups = optimizer.param_groups
    first, args, state = groups[0], trainer.args, trainer.state
    betas = first.get("betas", ())
    trained = {str(one.dtype).removeprefix("torch.") for one in trainer.model.parameters() if one.requires_grad}  # type: ignore[union-attr]
    found = {
        "optimizer": type(getattr(optimizer, "optimizer", optimizer)).__name__,
        "learning_rate": scheduler.base_lrs[0],
        "next_learning_rate": first["lr"],
        "weight_decay": max(group["weight_decay"] for group in groups),
        "max_grad_norm": args.max_grad_norm,
        "seed": torch.initial_seed(),
        "batch_size": trainer._train_batch_size // max(1, args.n_gpu),
        "accumulation": args.gradient_accumulation_steps,
        "processes": args.world_size,
        "total_steps": state.max_steps,
        "save_every": state.save_steps if state.save_steps < NEVER else 0,
        "evaluate_every": state.eval_steps if trainer.eval_dataset is not None else 0,
        "trained_in": " and ".join(sorted(trained)),
    }
    if blocks := compiled_blocks(trainer.model):
        found["compiled_blocks"] = blocks
    if modules := liger_modules(trainer.model):
        found["liger_modules"] = modules
    if has_varlen(trainer.model):
        found["attention"] = TORCH_VARLEN
    own: Any = trainer
    if isinstance(trainer, Preferring):
        found["beta"] = own.beta
    if isinstance(trainer, JudgedTrainer):
        found |= {
            "preference_loss": own.loss_type,
            "desirable_weight": own.desirable_weight,
            "undesirable_weight": own.undesirable_weight,
        }
    if isinstance(trainer, PairTrainer):
        found |= {
            "preference_loss": trainer.loss_types[0],
            "label_smoothing": trainer.label_smoothing,
            "sft_weight": trainer.loss_weights[1] if len(trainer.loss_weights) > 1 else 0.0,
            "length_weight": 1.0 if trainer.ld_alpha is None else trainer.ld_alpha,
        }
    if len(betas) == 2:
        found |= {"beta1": betas[0], "beta2": betas[1], "epsilon": first["eps"]}
    return found


def deviations(trainer: Obedient, plan: Plan) -> list[str]:
    """Plan keys whose value is not what is in force, each with both; empty where all agree."""
    found, training = measured(trainer), plan.training
    wanted: dict[str, tuple[str, Any]] = {
        "learning_rate": ("training.learning_rate", training.learning_rate),
        "weight_decay": ("training.weight_decay", training.weight_decay),
        "max_grad_norm": ("training.max_grad_norm", training.max_grad_norm),
        "seed": ("training.seed", training.seed),
        "batch_size": ("training.batch_size", training.batch_size),
        "accumulation": ("training.accumulation", training.accumulation),
    }
    if "beta1" in found and "adam" in training.optimizer:
        wanted |= {name: (f"training.{name}", getattr(training, name)) for name in ("beta1", "beta2", "epsilon")}
    if training.max_steps:
        wanted["total_steps"] = ("training.max_steps", training.max_steps)
    if plan.saving.every_steps:
        wanted["save_every"] = ("saving.every_steps", plan.saving.every_steps)
    names = OWN.get(training.objective, ())
    wanted |= {name: (f"preference.{name}", getattr(plan.preference, name)) for name in names}
    if found["evaluate_every"]:
        wanted["evaluate_every"] = ("evaluation.every_steps", plan.evaluation.every_steps)
    different = [
        f"{key} is {found[name]:g} instead of {value:g}"
        for name, (key, value) in wanted.items()
        if not math.isclose(found[name], value, rel_tol=1e-9)
    ]
    key = {"dpo": "preference.loss", "kto": "preference.kto_loss"}.get(training.objective)
    if key is not None and found["preference_loss"] != plan.get(key):
        different.append(f"{key} is {found['preference_loss']} instead of {plan.get(key)}")
    return different + _schedule_deviation(trainer, plan, found)


def require_plan(trainer: Obedient, plan: Plan) -> dict[str, Any]:
    """What is in force; WorkerError where it is not the plan, before a step is made."""
    different = deviations(trainer, plan)
    if different:
        raise WorkerError(
            f"the training would not go by its plan: {'; '.join(different)}.",
            hint="Nothing was trained. This is a defect of loratui or of a library's version: please report it.",
        )
    return measured(trainer)


def _schedule_deviation(trainer: Obedient, plan: Plan, found: dict[str, Any]) -> list[str]:
    """The rate of the next step against the plan's own schedule. float16 skips steps, and the schedule with them."""
    scheduler: Any = trainer.lr_scheduler
    place, total = scheduler.last_epoch, trainer.state.max_steps
    if place != trainer.state.global_step and plan.training.precision != "fp16":
        return [f"the schedule is at step {place} instead of {trainer.state.global_step}"]
    schedule = Schedule(0, 0, 0, 0, total, min(plan.training.warmup_steps, total), 0, 0)
    rate = learning_rate_at(plan, schedule, place)
    if math.isclose(found["next_learning_rate"], rate, rel_tol=1e-6, abs_tol=1e-15):
        return []
    return [f"the learning rate of the next step is {found['next_learning_rate']:g} instead of {rate:g}"]
