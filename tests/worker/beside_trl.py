"""A small training of ours, and the settings of the script that a person would write with TRL for the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs.start import create_run
from loratui.worker.training.journal import Journal
from loratui.worker.training.session import Session
from loratui.worker.training.signals import Requests

STEPS = 5
OURS: dict[str, Any] = {
    "model.dtype": "fp32",
    "dataset.eval_fraction": 0,
    "training.precision": "fp32",
    "training.batch_size": 4,
    "training.accumulation": 1,
    "training.max_length": 256,
    "training.max_steps": STEPS,
    "training.learning_rate": 5e-3,
    "evaluation.every_steps": 0,
    "saving.every_steps": 0,
}
THEIRS: dict[str, Any] = {
    "per_device_train_batch_size": 4,
    "gradient_accumulation_steps": 1,
    "max_steps": STEPS,
    "learning_rate": 5e-3,
    "lr_scheduler_type": "cosine_with_min_lr",
    "lr_scheduler_kwargs": {"min_lr_rate": 0.1},
    "warmup_steps": 0,
    "optim": "adamw_torch_fused",
    "bf16": False,
    "gradient_checkpointing": False,
    "seed": 42,
    "use_cpu": True,
    "report_to": "none",
    "disable_tqdm": True,
    "save_strategy": "no",
    "logging_steps": 1,
}


def plan_of(model: Path, rows: Path, changes: dict[str, Any]) -> Plan:
    """The small training, changed."""
    return with_values(Plan(), {"model.id": str(model), "dataset.path": str(rows), **OURS, **changes})


def trained(plan: Plan, output: Path) -> tuple[Any, Any]:
    """Our trainer after its last step, and the rows that it had."""
    run = create_run(plan, output=output)
    journal = Journal(run)
    try:
        trainer, prepared = Session(run, plan, journal, Requests()).build()
        trainer.train()
    finally:
        journal.close("stopped")
    return trainer, prepared
