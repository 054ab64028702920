"""What a worker begins from: a checkpoint whose weights are sound, trained weights alone, or the base."""

from __future__ import annotations

import logging
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from loratui.core.errors import LoratuiError, PlanError, WorkerError
from loratui.core.plan import Plan
from loratui.core.plan_change import start_after, why
from loratui.core.plan_text import fields, with_values
from loratui.runs.checkpoints import DAMAGED, Refused, pending, refused, remove_unfinished
from loratui.runs.continuation import changes_that_count, set_aside
from loratui.runs.course import Course, read_course
from loratui.runs.directory import Run, step_of
from loratui.runs.events import Fix
from loratui.runs.fingerprint import differences
from loratui.runs.history import other_events
from loratui.runs.manifest import read_manifest
from loratui.worker.training import provenance as prints
from loratui.worker.training.dataset import Prepared
from loratui.worker.training.journal import Journal
from loratui.worker.training.trainer import Obedient

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
                f"{run.typed_anywhere} --anew`."
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
            hint=f"Put that back in plan.toml, or give `loratui resume {run.typed_anywhere}` {flag}.",
        )


def read_ahead(run: Run) -> Future[list[Refused]]:
    """Begin to read the newest checkpoint and compare it with its manifest, while the model is loaded."""
    reader = ThreadPoolExecutor(1, thread_name_prefix="read-ahead")
    future = reader.submit(refused, run.checkpoints_path)
    reader.shutdown(wait=False)
    return future


def checkpoint_to_resume(run: Run, trainer: Obedient, journal: Journal, *, rank: int) -> Path | None:
    """The newest whole checkpoint within the plan's steps. Every process asks, and the first one looks.

    Those beyond the plan's end and those that are damaged are set aside, each with a word; half-written ones removed.
    WorkerError where all are damaged: nobody should find out by the loss that the run began anew.
    """
    total = total_steps(trainer)
    if rank:
        return _named(run, same_for_all(""))
    for folder in remove_unfinished(run.checkpoints_path):
        log.warning("removed %s: it was not whole", folder.name)
    for folder in run.checkpoints():
        if step_of(folder) > total:
            log.warning(
                "%s is beyond the plan's last step, %d: it is set aside as %s",
                folder.name,
                total,
                set_aside(folder, "later").name,
            )
    damaged = refused(run.checkpoints_path)
    kept = [(one, set_aside(one.folder, DAMAGED)) for one in damaged]
    usable = run.last_checkpoint()
    name = same_for_all(usable.name if usable is not None else "")
    for one, place in kept:
        on = f"the run goes on from {usable.name}" if usable is not None else "there is no other"
        journal.emit(
            "finding",
            finding="checkpoint-damaged",
            severity="warning",
            step=step_of(one.folder),
            message=f"{one.sentence} It is kept as {place.name}, and {on}.",
        )
    if usable is not None and read_manifest(usable) is None:
        journal.emit(
            "finding",
            finding="checkpoint-unproven",
            severity="info",
            step=step_of(usable),
            message=(
                f"{usable.name} was written before checkpoints had a manifest: its files are there and can be opened, "
                "but whether each bit is as it was written cannot be told."
            ),
        )
    checkpoint = _named(run, name)
    return checkpoint


def require_some(run: Run, checkpoint: Path | None) -> None:
    """Refuse to begin at step 0 where there were checkpoints and all of them are damaged (WorkerError)."""
    if checkpoint is not None or not run.checkpoints_path.is_dir():
        return
    damaged = sorted(run.checkpoints_path.glob(f"{DAMAGED}-*"), key=step_of)
    if damaged:
        raise WorkerError(
            f"no whole checkpoint is left: {', '.join(folder.name for folder in damaged)} cannot be gone on from.",
            hint=f"`loratui resume {run.typed_anywhere} --anew` starts it anew from the base; nothing is deleted.",
        )


def _named(run: Run, name: str) -> Path | None:
    return run.checkpoints_path / name if name else None


def same_for_all(word: str) -> str:
    """The first process's word, in every process."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return word
    words = [word]
    torch.distributed.broadcast_object_list(words, src=0)
    return words[0]


def total_steps(trainer: Obedient) -> int:
    """Optimizer steps of the whole run, as the trainer counts them."""
    return int(trainer.set_initial_training_values(trainer.args, trainer.get_train_dataloader())[-1] or 0)


def take_over(
    run: Run, plan: Plan, trainer: Obedient, prepared: Prepared, journal: Journal, checkpoint: Path | None
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
                hint=f"Start it anew: `loratui resume {run.typed_anywhere} --anew`.",
            )
        trainer._load_from_checkpoint(str(weights))
    if journal.writes:
        prints.write_fingerprint(run, now)


def is_finite(checkpoint: Path) -> bool:
    """Whether every trained weight of a checkpoint is a finite number; they are read one by one."""
    for file in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(file, "pt") as tensors:
            if not all(bool(torch.isfinite(tensors.get_tensor(name)).all()) for name in tensors.keys()):  # noqa: SIM118 (no mapping)
                return False
    return True


def evaluation_is_due(checkpoint: Path | None, course: Course, *, reached: bool) -> bool:
    """Whether a worker that goes on from a checkpoint evaluates first: one was broken off there, or the checkpoint is
    where it was to train until (`reached`), and none was made.
    """
    if checkpoint is None:
        return False
    step = step_of(checkpoint)
    return pending(checkpoint) == "evaluation" or (reached and all(one.step != step for one in course.evals))
