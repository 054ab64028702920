"""One training from loading to the result, as the plan says."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from accelerate import PartialState

from loratui.core.plan import Plan
from loratui.core.preferences import is_preference
from loratui.runs.checkpoints import damage, remove_unfinished
from loratui.runs.continuation import set_aside
from loratui.runs.course import read_course, sound_until
from loratui.runs.directory import Run, step_of
from loratui.runs.history import last_step
from loratui.runs.model_card import result_folder, write_model_card
from loratui.runs.recovery import allowed
from loratui.worker.saved_tokenizer import save_planned_tokenizer
from loratui.worker.token_store import read_ahead as read_ahead_tokens
from loratui.worker.tokenise import Tokeniser
from loratui.worker.training import provenance as prints
from loratui.worker.training.callbacks import RunCallback
from loratui.worker.training.compiled import Compiled, compile_blocks
from loratui.worker.training.config import check, find_device, is_sharded, lora_config, require_gpu, sft_config
from loratui.worker.training.dataset import Prepared, prepare
from loratui.worker.training.divided_base import require_own_shares, share_of
from loratui.worker.training.evaluate import Answering
from loratui.worker.training.failure import is_disk_full, is_out_of_memory
from loratui.worker.training.fix_outcome import OutcomeWatch
from loratui.worker.training.fixes import first_change, fixes_after, spoilt_at_the_end, write_proposed
from loratui.worker.training.in_force import require_plan
from loratui.worker.training.journal import Journal
from loratui.worker.training.liger import Tried, use_liger
from loratui.worker.training.load_model import count_parameters, load_adapter, load_base, load_tokenizer, stop_ids
from loratui.worker.training.measure import Measuring
from loratui.worker.training.memory import out_of_memory, out_of_memory_at_load
from loratui.worker.training.outcome import Outcome, left
from loratui.worker.training.patience import PartChanges
from loratui.worker.training.preference_trainer import make_preference_trainer
from loratui.worker.training.provenance import write_left_out
from loratui.worker.training.result import drop_unfinished, put_in_place, require_place, whole_folder
from loratui.worker.training.resume import (
    check_shape,
    checkpoint_to_resume,
    is_finite,
    owed_evaluation,
    read_ahead,
    require_some,
    same_for_all,
    take_over,
)
from loratui.worker.training.signals import Requests
from loratui.worker.training.told import tell_data
from loratui.worker.training.trainer import Obedient, make_trainer
from loratui.worker.training.varlen import as_computed, use_varlen
from loratui.worker.training.weights_read import weights_told

log = logging.getLogger("loratui")


class Session:
    """What one worker does with a run."""

    def __init__(self, run: Run, plan: Plan, journal: Journal, requests: Requests) -> None:
        self.run, self.plan, self.journal, self.requests = run, plan, journal, requests
        self.rank = int(os.environ.get("RANK", "0"))
        self.local_rank = int(os.environ.get("LOCAL_RANK", "0"))
        self.processes = int(os.environ.get("WORLD_SIZE", "1"))
        transformers.logging.set_verbosity_warning()
        if torch.cuda.is_available():
            torch.cuda.set_device(self.local_rank)
        self.device = find_device(cpu=plan.hardware.cpu)
        self.sharded = is_sharded(plan, self.processes)
        self.compiled: Compiled | None = None
        self.liger: Tried | None = None
        if self.processes > 1:
            PartialState(cpu=self.device.kind == "cpu")  # makes the process group, which loading a divided model needs

    def execute(self) -> Outcome:
        """Train to the end, or until asked to stop."""
        require_gpu(self.device, self.plan)
        check(self.plan, self.device)
        self._tell_missing_gpus()
        if self.rank == 0:
            prints.write_machine(self.run, self.device)
        require_place(result_folder(self.run))
        reading = read_ahead(self.run) if self.rank == 0 else None
        check_shape(self.run, self.plan, sharded=self.sharded)
        trainer, prepared = self.build()
        if reading is not None:
            reading.result()
        checkpoint = checkpoint_to_resume(self.run, trainer, self.journal, rank=self.rank)
        require_some(self.run, checkpoint)
        take_over(self.run, self.plan, trainer, prepared, self.journal, checkpoint)
        callback = self._callback(trainer, prepared, checkpoint)
        if self.rank == 0:
            model: Any = trainer.model
            write_proposed(self.run, self.plan, prepared, model.config.to_dict(), bf16=self.device.bf16)
        began = time.monotonic()
        self.requests.training = True
        try:
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
            return self._conclude(trainer, callback, time.monotonic() - began)
        except Exception as error:
            if is_disk_full(error):
                self._drop_broken_checkpoint()
            if is_out_of_memory(error):
                raise out_of_memory(error, self.plan, prepared, trainer.model, self.journal.status.phase) from error
            raise

    def build(
        self, *, output: Path | None = None, select: Callable[[Prepared, Plan], Prepared] | None = None
    ) -> tuple[Obedient, Prepared]:
        """Model, data and trainer, ready to train; the same for a run and for its rehearsal, which selects rows."""
        plan, journal = self.plan, self.journal
        journal.phase("load_model", f"Loading {plan.model.id}")
        reading = read_ahead_tokens(prints.stored_tokens(self.run))
        tokenizer = load_tokenizer(plan)
        try:
            with weights_told(journal):
                model = self._load_base()
        except Exception as error:
            if is_out_of_memory(error):
                raise out_of_memory_at_load(error, plan) from error
            raise
        journal.phase("tokenise", f"Reading and tokenising {plan.dataset.named}")
        self.tokeniser = tokeniser = Tokeniser(
            tokenizer,
            loss_on=plan.training.loss_on,
            max_length=plan.training.max_length,
            stop_ids=stop_ids(model),
            reasoning=plan.dataset.reasoning,
            calls=plan.dataset.calls,
            vocabulary=getattr(model.get_input_embeddings(), "num_embeddings", 0),
        )
        reading.result()
        prepared = prepare(
            plan,
            tokeniser,
            progress=lambda rows, reused: journal.emit(
                "phase",
                phase="tokenise",
                message=f"{rows:,} rows {'were tokenised before' if reused else 'tokenised'}",
                done=rows,
            ),
            say=lambda message: journal.emit("finding", finding="token-store", severity="info", message=message),
        )
        tell_data(prepared, plan, journal)
        if self.rank == 0 and output is None:
            write_left_out(self.run, prepared.left_out)
        if select is not None:
            prepared = select(prepared, plan)
        peft_config = lora_config(plan, model.config.to_dict())
        if peft_config is not None and plan.lora.adapter:
            model, peft_config = load_adapter(plan, model), None
        packed = plan.training.packing
        wanted = len(prepared.held_out) and plan.evaluation.every_steps
        held_out = prepared.held_out.as_dataset(written=packed) if wanted else None
        journal.phase("prepare", "Preparing the trainer")
        place, evaluates = output or self.run.checkpoints_path, held_out is not None
        if is_preference(plan):
            train, load = prepared.train.as_dataset(), self._load_base
            arguments = (plan, model, tokenizer, place, self.device, train, held_out, peft_config, load)
            return self._compile(make_preference_trainer(*arguments)), prepared
        trainer = make_trainer(
            model,
            tokenizer,
            sft_config(plan, place, self.device, evaluates=evaluates, processes=self.processes),
            prepared.train.as_dataset(written=packed),
            held_out,
            peft_config,
            [],
            lengths=(prepared.train.lengths.tolist(), prepared.held_out.lengths.tolist())
            if plan.training.group_by_length and not packed
            else None,
        )
        trainer.held_out_parts = prepared.held_out_parts()
        trainer.held_out_rows = prepared.held_out_rows()
        return self._compile(trainer), prepared

    def _compile(self, trainer: Obedient) -> Obedient:
        """The trainer with what is tried on the first batch, where the plan asks for it; what is refused is told."""
        use_varlen(trainer, self.plan, self.journal)
        self.liger = use_liger(trainer, self.plan, self.journal)
        if not self.plan.training.compile:
            return trainer
        self.journal.phase("prepare", "Compiling the model's blocks, and trying them beside the plain ones")
        self.compiled = compile_blocks(trainer, self.plan, say=self._tell_compiler)
        if self.compiled.refused:
            self._tell_compiler(f"The blocks are not compiled: {self.compiled.refused}. They compute plainly.")
        return trainer

    def _tell_compiler(self, message: str) -> None:
        fix = {"training.compile": False}
        step = self.journal.status.step
        self.journal.emit("finding", finding="not-compiled", severity="warning", step=step, message=message, fix=fix)

    def _load_base(self) -> Any:
        share = share_of(self.plan, self.rank) if self.sharded else None
        return load_base(self.plan, device=self.device.kind, local_rank=self.local_rank, share=share)

    def _tell_missing_gpus(self) -> None:
        devices = self.plan.hardware.devices
        if devices and self.device.kind == "cpu":
            names = f"GPU {', '.join(map(str, devices))}"
            self.journal.emit(
                "finding",
                finding="no-gpu",
                severity="warning",
                step=self.journal.status.step,
                message=(
                    f"The plan names {names}, but torch sees no GPU: this trains on the CPU. `loratui doctor` says why."
                ),
            )

    def _callback(self, trainer: Obedient, prepared: Prepared, checkpoint: Path | None) -> RunCallback:
        step = step_of(checkpoint) if checkpoint else 0
        course = read_course(self.run)
        owed = owed_evaluation(self.run, trainer, course, checkpoint, self.requests)
        callback = RunCallback(
            self.journal,
            self.requests,
            self.plan,
            before=[one] if (one := last_step(self.run.events_path, step)) else [],
            divergence=course.watch(step),
            outcome=OutcomeWatch(self.run, self.journal),
            extended=course.changed_at == step,
        )
        total, trained = count_parameters(trainer.model)

        def started(state: Any) -> None:
            self.journal.laps.loaded()
            require_own_shares(trainer.model)
            in_force = require_plan(trainer, self.plan)
            self.journal.emit(
                "started",
                pid=os.getpid(),
                host=self.journal.status.host,
                step=state.global_step,
                total_steps=state.max_steps,
                resumed_from=checkpoint.name if checkpoint else "",
                examples=len(prepared.train),
                eval_examples=len(prepared.held_out),
                parameters_total=total,
                parameters_trainable=trained,
                device=self.device.name,
                in_force=in_force,
            )

        callback.on_started = started
        if trainer.eval_dataset is not None and (
            self.rank == 0 or self.sharded
        ):  # divided weights answer only together
            answering = Answering.of(self.plan, self.journal, self.tokeniser, trainer, prepared)
            answering.asked_to_stop = lambda: self.requests.stop
            callback.after_evaluation = lambda state: answering.ask(state.global_step)
        callback.catch_up = owed
        if self.rank == 0 and prepared.mix is not None:
            names, parts = prepared.held_out_parts()
            of_rows = dict(zip(prepared.held_out_rows(), parts, strict=True))
            callback.part_changes = PartChanges(names, list(of_rows.values()))
            known = [one.step for one in (course.base, *course.evals) if one is not None]
            callback.part_changes.restore(self.run, [at for at in known if at <= step])
        callback.saved_bytes = lambda: trainer.saved_bytes
        callback.loss_by_part = lambda: getattr(trainer, "loss_by_part", {})
        callback.held_out = lambda: getattr(trainer, "row_losses", None)
        callback.answers_together = self.sharded
        callback.evaluates = trainer.eval_dataset is not None
        trainer.add_callback(callback)
        if self.rank == 0:
            model: Any = trainer.model
            config = model.config.to_dict()
            plan = as_computed(self.plan, trainer)
            trainer.add_callback(Measuring(self.journal, plan, prepared, self.device, config, self.compiled))
        return callback

    def _conclude(self, trainer: Obedient, callback: RunCallback, seconds: float) -> Outcome:
        journal, step = self.journal, trainer.state.global_step
        if callback.finding is not None:
            return self._spoilt(callback.finding)
        ends_early = self.requests.stop or self.requests.reached(step)
        if ends_early and (step < trainer.state.max_steps or trainer.pending):
            saved = f"checkpoints/checkpoint-{callback.saved_step}"
            return left(journal, self.requests, step, callback.stop_reason, saved)
        spoilt = spoilt_at_the_end(self.run, self.plan)
        if spoilt is not None and allowed(self.run):
            return self._spoilt(*spoilt)
        journal.phase("export", "Writing the result", state="saving")
        best = callback.patience.best_step if self.plan.evaluation.patience else 0
        result, result_step = self._write_result(trainer, best)
        journal.emit(
            "finished",
            step=step,
            begun_at=callback.begun_at,
            seconds=round(seconds, 3),
            worker_seconds=journal.worker_seconds,
            loss=callback.last_loss,
            eval_loss=callback.patience.last_loss,
            tokens=callback.tokens,
            result=result,
            best_step=callback.patience.best_step,
            result_step=result_step,
            judged=True,
        )
        if spoilt is not None:
            told = spoilt[0]
            journal.emit("finding", **told, fix=first_change(told["fixes"]))
            callback.outcome.failed(told["finding"], step, told["message"])
        callback.outcome.finished(step)
        self._write_card()
        journal.laps.ended()
        journal.update(eta_seconds=0.0)
        return Outcome("finished", callback.stop_reason)

    def _spoilt(self, finding: dict[str, Any], sound: int | None = None) -> Outcome:
        """The training went wrong: nothing goes on from what was saved since, and what would mend it is told."""
        fixes = finding.get("fixes") or fixes_after(self.run, self.plan, finding["finding"], finding["step"])
        self._set_spoilt_aside(sound)
        self.journal.emit("finding", **finding | {"fix": first_change(fixes), "fixes": fixes})
        return Outcome("failed", finding["message"], finding["finding"], fixes)

    def _write_card(self) -> None:
        """The model card beside the result. A run whose card cannot be written is finished all the same."""
        if self.rank == 0:
            try:
                write_model_card(self.run)
            except Exception:
                log.exception("the model card could not be written; `loratui card` writes it again")

    def _write_result(self, trainer: Obedient, best_step: int) -> tuple[str, int]:
        """The adapter (or the whole model) and its tokenizer: the last step's, or the best one's where patience chose
        it.

        Returns the folder's name and the step whose weights it holds.
        """
        best = self.run.checkpoints_path / f"checkpoint-{best_step}"
        step = trainer.state.global_step
        if best_step and best_step != step and self._is_whole(best):
            trainer._load_from_checkpoint(str(best))
            step = best_step
        weights = trainer.accelerator.get_state_dict(trainer.model) if self.sharded else None
        target = result_folder(self.run)
        if self.rank == 0:
            with whole_folder(target, step) as fresh:
                model: Any = trainer.accelerator.unwrap_model(trainer.model)
                model.config.use_cache = True  # whoever loads it answers with it; training alone does without
                model.save_pretrained(fresh, state_dict=weights)
                model.config.use_cache = False
                save_planned_tokenizer(trainer.processing_class, fresh, self.plan)
            target = put_in_place(fresh, target, self.journal, step)
        return target.name, step

    def _is_whole(self, best: Path) -> bool:
        """Whether the best checkpoint can be the result. Every process asks, and all of them hear the same."""
        reason = "" if self.rank else "it is gone" if not best.is_dir() else damage(best)
        if same_for_all(reason):
            self.journal.emit(
                "finding",
                finding="best-lost",
                severity="warning",
                step=step_of(best),
                message=(
                    f"{best.name} had the lowest held-out loss and cannot be the result ({reason}): the result "
                    "holds the weights of the last step."
                ),
            )
            return False
        return True

    def _set_spoilt_aside(self, sound: int | None) -> None:
        """Checkpoints written after the training went wrong are kept, but nothing goes on from them. sound: the last
        step before, where known.
        """
        limit = sound
        if limit is None:
            limit = sound_until(read_course(self.run), precision=self.plan.training.precision, ended=True)
        for folder in reversed(self.run.checkpoints()) if self.rank == 0 else ():
            if (limit is not None and step_of(folder) > limit) or not is_finite(folder):
                log.warning(
                    "%s was written after the training went wrong: it is set aside as %s",
                    folder.name,
                    set_aside(folder).name,
                )

    def _drop_broken_checkpoint(self) -> None:
        """A half-written checkpoint or result counts for nothing and holds the space that the next one needs."""
        if self.rank == 0:
            for target in (self.run.adapter_path, self.run.model_path):
                drop_unfinished(target)
            for folder in remove_unfinished(self.run.checkpoints_path):
                log.warning("removed %s: the disk was full before it was whole", folder.name)
