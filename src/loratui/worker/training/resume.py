"""What a worker begins from: a checkpoint whose weights are sound, trained weights alone, or the base."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import TrainerState

from loratui.core.errors import LoratuiError, PlanError
from loratui.core.plan import Plan
from loratui.core.plan_change import start_after, why
from loratui.core.plan_text import fields, with_values
from loratui.runs.continuation import changes_that_count, set_aside
from loratui.runs.course import read_course
from loratui.runs.directory import Run, step_of
from loratui.runs.events import Fix
from loratui.runs.fingerprint import differences
from loratui.runs.history import other_events
from loratui.worker.training import provenance as prints
from loratui.worker.training.dataset import Prepared
from loratui.worker.training.journal import Journal
from loratui.worker.training.trainer import Trainer

log = logging.getLogger("loratui")


def check_shape(run: Run, plan: Plan, *, sharded: bool) -> None:
    """Refuse a checkpoint that this plan cannot go on from, before anything is loaded (PlanError): plan.toml was edited
    by hand.
    """
    checkpoint = run.last_checkpoint()
    if checkpoint is None:
        return
    if (checkpoint / "optimizer.bin").exists() != sharded:
        raise PlanError(
            (
                f"{checkpoint.name} was written {'without' if sharded else 'with'} divided weights, and "
                "hardware.parallelism cannot change within a run."
            ),
            hint=(
                f"Set hardware.parallelism back to {'ddp' if sharded else 'fsdp'}, or start it anew: `loratui resume "
                f"{run.name} --anew`."
            ),
        )
    before = {key: value for key, value in run.fingerprint().get("plan", {}).items() if key in fields()}
    try:
        trained = with_values(plan, before)
        moved = {key: plan.get(key) for key in before if plan.get(key) != trained.get(key)}
        moved = changes_that_count(moved, trained, read_course(run).data)
        start, reason = start_after(trained, moved), why(trained, moved)
    except LoratuiError as error:
        log.warning("the plan of %s cannot be compared with the present one: %s", checkpoint.name, error)
        return
    if start != "checkpoint":
        flag = "--anew" if start == "anew" else "--from-weights (the trained weights go on) or --anew"
        raise PlanError(
            f"{checkpoint.name} was trained by another plan, and cannot be gone on from ({reason}).",
            hint=f"Put that back in plan.toml, or give `loratui resume {run.name}` {flag}.",
        )


def checkpoint_to_resume(run: Run, trainer: Trainer, *, rank: int) -> Path | None:
    """The last whole checkpoint within the plan's steps; those beyond its end are set aside, broken ones removed. Every
    process asks.
    """
    total = total_steps(trainer)
    usable = [folder for folder in run.checkpoints() if step_of(folder) <= total]
    if trainer.args.world_size > 1:
        trainer.accelerator.wait_for_everyone()  # before rank 0 renames what the others still look at
    if rank == 0:
        for folder in prints.remove_broken_checkpoints(run):
            log.warning("removed %s: it was not whole", folder.name)
        for folder in run.checkpoints():
            if folder not in usable:
                log.warning(
                    "%s is beyond the plan's last step, %d: it is set aside as %s",
                    folder.name,
                    total,
                    set_aside(folder, "later").name,
                )
    return usable[-1] if usable else None


def total_steps(trainer: Trainer) -> int:
    """Optimizer steps of the whole run, as the trainer counts them."""
    return int(trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())[-1] or 0)


def take_over(
    run: Run, plan: Plan, trainer: Trainer, prepared: Prepared, journal: Journal, checkpoint: Path | None
) -> None:
    """Load trained weights where step 0 begins from some, say what a resume changes, and write down what is trained on
    now.
    """
    model: Any = trainer.model
    now = prints.fingerprint(plan, prepared, model.config.to_dict())
    if checkpoint is not None:
        fixes = [event for event in other_events(run.events_path) if isinstance(event, Fix)] if journal.writes else []
        told = set(fixes[-1].changes) if fixes else set()
        changed = [one for one in differences(run.fingerprint(), now) if one.partition(" ")[0] not in told]
        if changed:
            journal.emit(
                "finding",
                finding="resume-differs",
                severity="warning",
                message="This run will not be what it would have been uninterrupted: " + "; ".join(changed) + ".",
            )
    elif (weights := run.first_weights()) is not None:
        if not weights.is_dir():
            raise PlanError(
                f"the weights that this run goes on from are gone: {weights}.",
                hint=f"Start it anew: `loratui resume {run.name} --anew`.",
            )
        trainer._load_from_checkpoint(str(weights))
    if journal.writes:
        prints.write_fingerprint(run, now)


def load_finished(trainer: Trainer, checkpoint: Path) -> None:
    """Take up the last step's weights and state, for a run that has no step left to make."""
    trainer._load_from_checkpoint(str(checkpoint))
    trainer.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    trainer.state.max_steps = trainer.state.global_step


def is_finite(checkpoint: Path) -> bool:
    """Whether every trained weight of a checkpoint is a finite number; they are read one by one."""
    for file in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            if not all(bool(torch.isfinite(tensors.get_tensor(name)).all()) for name in tensors.keys()):  # noqa: SIM118 (no mapping)
                return False
    return True
