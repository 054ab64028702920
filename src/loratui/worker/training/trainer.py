"""TRL's trainer with the plan's settings, also after a checkpoint is loaded, which brings its own: moments, the number
of updates, the state of chance and the order of the rows stay, everything else is written anew. Where the plan has not
changed, the same numbers are written over themselves: a resumed run stays bit for bit what it would have been.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from transformers import PrinterCallback, ProgressCallback, TrainerCallback
from trl.trainer.sft_config import SFTConfig

from loratui.runs import checkpoints
from loratui.runs.manifest import Pending
from loratui.worker.adapter_formats import hold_wide, spare_casts
from loratui.worker.training.device_figures import DeviceFigures
from loratui.worker.training.held_out_loss import HeldOutLoss
from loratui.worker.training.known import KnownBatches
from loratui.worker.training.length_groups import LengthGroups
from loratui.worker.training.signals import EvaluationStoppedError

KEPT = ("params", "lr")
"""Of a parameter group that a checkpoint brings: what is trained, and the rate of the step in hand, which follows from
the schedule."""


class Obedient(transformers.Trainer):
    """A trainer of TRL's, less the model card that it would write into every checkpoint; its evaluation can be stopped.

    Its checkpoints are whole only when every process has written its part, and each ends in a manifest. An evaluation
    that was broken off is made first of all by the worker that goes on, so that a stop changes nothing of what is
    recorded. Where no step is left to make, none is made.
    """

    pending: Pending = ""
    """What is still to be done at the present step; the checkpoint says so."""
    saved_bytes = 0
    """Size of the last checkpoint."""
    _after_evaluation: dict[str, Any] | None = None
    """The state of chance after an evaluation that was caught up with."""

    def create_model_card(self, *arguments: Any, **options: Any) -> None:
        """No card: the run's directory says what the model is."""

    def create_accelerator_and_postprocess(self) -> None:
        """accelerate 1.15 knows only copies (DDP) among processes on a CPU; torch itself divides weights there too."""
        mesh = self.args.parallelism_config
        if self.args.use_cpu:
            self.args.parallelism_config = None  # refused where nothing can be divided
        super().create_accelerator_and_postprocess()
        if self.args.fsdp_plugin_args and not self.is_fsdp_enabled:
            share_on_cpu(self.accelerator, self.args.fsdp_plugin_args, mesh)
            self.is_fsdp_enabled = True
        if self.is_fsdp_enabled:
            sum_in_float32(self.accelerator.state.fsdp_plugin)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        if self.args.world_size > 1:  # trainer_state.json, by which a checkpoint counts as whole, is written after this
            torch.distributed.barrier()

    row_lengths: tuple[list[int], list[int]] | None = None
    """Tokens of each row, of those that train and those held out, where a batch holds rows of like length."""
    _length_groups: LengthGroups | None = None

    def get_train_dataloader(self) -> Any:
        """Batches of which the processor knows what they hold."""
        collator: Any = self.data_collator
        self.data_collator = KnownBatches(collator)
        try:
            return super().get_train_dataloader()
        finally:
            self.data_collator = collator

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self.row_lengths is None:
            return super()._get_train_sampler(train_dataset)
        unit = self.args.train_batch_size * self.args.world_size
        self._length_groups = LengthGroups(self.row_lengths[0], unit, self.args.data_seed or 0)
        return self._length_groups

    def _get_eval_sampler(self, eval_dataset: Any) -> Any:
        """The figures do not depend on the order (see `HeldOutLoss`): the longest rows first."""
        if self.row_lengths is None or self.args.world_size > 1:
            return super()._get_eval_sampler(eval_dataset)
        return self._longest_first()

    def _longest_first(self) -> list[int]:
        lengths = self.row_lengths[1] if self.row_lengths else []
        return sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)

    def _eval_order(self, count: int) -> list[int] | None:
        if self.row_lengths is None or self.args.world_size > 1:
            return super()._eval_order(count)  # type: ignore[misc, no-any-return]
        order = self._longest_first()
        return order if len(order) == count else None

    def _init_training_state(self, max_steps: int, *arguments: Any, **options: Any) -> tuple[int, int]:
        """A checkpoint brings its own intervals: those of the plan hold."""
        places = super()._init_training_state(max_steps, *arguments, **options)
        if self._length_groups is not None:
            self._length_groups.set_epoch(places[0])
        self.state.compute_steps(self.args, max_steps)
        self.state.train_batch_size = self._train_batch_size
        return places

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """A checkpoint brings its own rates, decay and betas: those of the plan hold."""
        wanted = group_settings(self.optimizer)
        super()._load_optimizer_and_scheduler(checkpoint)
        obey(self.optimizer, self.lr_scheduler, wanted)

    def _load_scaler(self, checkpoint: str | None) -> None:
        """The loss scale of float16 is of no use to another precision."""
        if self.accelerator.scaler is not None:
            super()._load_scaler(checkpoint)

    def _load_rng_state(self, checkpoint: str | None) -> None:
        if self._after_evaluation is None:
            super()._load_rng_state(checkpoint)
        else:
            set_chance(self._after_evaluation)

    def _evaluate(self, *arguments: Any, **options: Any) -> dict[str, float]:
        before, told = chance(), len(self.state.log_history)
        try:
            found = dict(super()._evaluate(*arguments, **options))
        except EvaluationStoppedError:
            set_chance(before)  # the evaluation is made anew by whoever goes on, and begins where this one began
            del self.state.log_history[told:]
            self.pending = "evaluation"
            self.control.should_evaluate = False
            self.control.should_save = self.control.should_training_stop = True
            return {"eval_loss": math.inf}
        self.pending = ""
        if not self._is_planned():
            set_chance(before)  # one that somebody asked for changes nothing of what is trained afterwards
        return found

    def _is_planned(self) -> bool:
        """Whether the plan itself evaluates at this step."""
        step, every = self.state.global_step, self.state.eval_steps
        return step >= self.state.max_steps or (bool(every) and step % every == 0)

    def catch_up(self, checkpoint: Path) -> None:
        """Make the evaluation that was broken off when this checkpoint was written, before the first step."""
        super()._load_rng_state(str(checkpoint))
        metrics = self._evaluate(None, None)
        if not self.pending:
            self._determine_best_metric(metrics, None)
            self._after_evaluation = chance()

    def evaluate_start(self) -> None:
        """The held-out loss of the weights that it begins with. Nothing that comes later follows from it: no figure
        and no checkpoint is another than without it (transformers' own `eval_on_start` leaves the state of chance
        changed).
        """
        before, told = chance(), len(self.state.log_history)
        try:
            self._evaluate(None, None, skip_scheduler=True)
        finally:
            set_chance(before)
            del self.state.log_history[told:]  # events.jsonl has it

    def _run_epoch(self, *arguments: Any, **options: Any) -> None:
        """Where the run has made its last step, or a caught-up evaluation ended it, no other is made."""
        if self.control.should_training_stop or self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*arguments, **options)  # type: ignore[no-untyped-call]
        self._after_evaluation = None

    def _finalize_training(self, *arguments: Any, **options: Any) -> Any:
        """transformers would delete the last checkpoint here where one is to be kept and the best is another."""
        keep, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            return super()._finalize_training(*arguments, **options)  # type: ignore[no-untyped-call]
        finally:
            self.args.save_total_limit = keep

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """A checkpoint with its manifest; older ones make room only then."""
        place = Path(self._get_output_dir(trial))
        folder = place / f"checkpoint-{self.state.global_step}"
        keep, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            if self.args.should_save:
                checkpoints.begin(folder)
            super()._save_checkpoint(model, trial)
        finally:
            self.args.save_total_limit = keep
        if self.args.should_save:
            self.saved_bytes = checkpoints.seal(folder, self.state.global_step, pending=self.pending)
            best = self.state.best_model_checkpoint
            if keep:
                checkpoints.rotate(place, keep, protected=[Path(best)] if best else [])


class Trainer(Obedient, DeviceFigures, HeldOutLoss):
    """TRL's SFTTrainer, which obeys the plan."""


def chance() -> dict[str, Any]:
    """The state of every generator that training draws from."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "cpu": torch.random.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_chance(state: dict[str, Any]) -> None:
    """Put every generator back to what `chance` gave."""
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    torch.random.set_rng_state(state["cpu"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])


def share_on_cpu(accelerator: Any, settings: dict[str, Any], mesh: Any) -> None:
    """Make accelerate divide the weights (FSDP2) among processes on a CPU, as it does by itself on GPUs. mesh: its
    ParallelismConfig where not all of them form one row.
    """
    from accelerate.state import AcceleratorState, PartialState
    from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin

    plugin = FullyShardedDataParallelPlugin(**settings)
    if accelerator.mixed_precision != "no":
        plugin.set_mixed_precision(accelerator.mixed_precision)
    AcceleratorState._shared_state["fsdp_plugin"] = plugin
    for shared in (AcceleratorState._shared_state, PartialState._shared_state):
        shared["distributed_type"] = DistributedType.FSDP
    if mesh is not None:
        AcceleratorState._shared_state["parallelism_config"] = mesh
        AcceleratorState._shared_state["device_mesh"] = mesh.get_device_mesh("cpu")


def sum_in_float32(plugin: Any) -> None:
    """Gradients of several processes are summed, and the loss is given back, in float32.

    accelerate 1.15 asks for the compute format in both: a loss of 7.210 would read 7.2 in bfloat16.
    """
    policy = plugin.mixed_precision_policy
    if policy is not None:
        plugin.mixed_precision_policy = replace(policy, reduce_dtype=torch.float32, output_dtype=torch.float32)


def is_quantised(model: Any) -> bool:
    """Whether bitsandbytes holds the base in 4 or 8 bit."""
    return bool(getattr(model, "is_loaded_in_4bit", False) or getattr(model, "is_loaded_in_8bit", False))


def make_trainer(
    model: Any,
    tokenizer: Any,
    config: SFTConfig,
    train: Any,
    held_out: Any,
    peft_config: Any,
    callbacks: list[TrainerCallback],
    *,
    lengths: tuple[list[int], list[int]] | None = None,
) -> Trainer:
    """The trainer, silent but for our callbacks. lengths: of the rows that train and those held out, to group by."""
    trainer = Trainer(
        model=model,
        args=config,
        train_dataset=train,
        eval_dataset=held_out,
        processing_class=tokenizer,
        peft_config=peft_config,
        callbacks=callbacks,
    )
    trainer.row_lengths = lengths
    made_ready(trainer, model)
    return trainer


def made_ready(trainer: Obedient, model: Any) -> None:
    """The adapter in the formats in which it is trained, and nothing printed. model: as it was loaded."""
    if trainer.args.fp16 or is_quantised(model):
        hold_wide(trainer.model)
    if trainer.args.fp16 or trainer.args.bf16:
        spare_casts(trainer.model)
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)


def group_settings(optimizer: Any) -> list[dict[str, Any]]:
    """Each parameter group's settings as the trainer has just made them from the plan, decay and no-decay apart."""
    return [{key: value for key, value in group.items() if key not in KEPT} for group in optimizer.param_groups]


def obey(optimizer: Any, scheduler: Any, wanted: list[dict[str, Any]]) -> None:
    """Write the settings into the loaded groups, and the rate of the step that comes next by the plan's schedule.

    scheduler: a LambdaLR with the plan's own function; of what it loaded only the number of its steps counts.
    """
    groups = optimizer.param_groups
    assert len(groups) == len(wanted), "the optimizer's groups are those that the plan makes"
    for group, settings in zip(groups, wanted, strict=True):
        group.update(settings)
        if "fused" in settings:
            _place_counts(optimizer, group, fused=bool(settings["fused"]))
    scheduler.base_lrs = [group["initial_lr"] for group in groups]
    rates = [
        rate * factor(scheduler.last_epoch)
        for rate, factor in zip(scheduler.base_lrs, scheduler.lr_lambdas, strict=True)
    ]
    for group, rate in zip(groups, rates, strict=True):
        group["lr"] = rate
    scheduler._last_lr = list(rates)


def _place_counts(optimizer: Any, group: dict[str, Any], *, fused: bool) -> None:
    """The fused AdamW counts its updates on the parameter's device, the plain one on the CPU (torch 2.13,
    `_init_group`).
    """
    for parameter in group["params"]:
        state = optimizer.state.get(parameter)
        if state and isinstance(state.get("step"), torch.Tensor):
            state["step"] = state["step"].to(device=parameter.device if fused else "cpu", dtype=torch.float32)
