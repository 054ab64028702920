"""The trainer's life as events of the run, and the run's wishes as the trainer's next moves."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psutil
import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from loratui.core.diagnosis.divergence import DivergenceWatch
from loratui.core.early_stopping import UNDECIDED
from loratui.core.plan import Plan
from loratui.runs.events import Step
from loratui.runs.row_losses import RowLosses
from loratui.runs.states import UNTIL_WORDS
from loratui.runs.stop_note import SCHEDULER
from loratui.worker.training.figures import evaluation_figures, preference_figures
from loratui.worker.training.fix_outcome import OutcomeWatch
from loratui.worker.training.journal import Journal
from loratui.worker.training.memory import process_peak_bytes
from loratui.worker.training.patience import PartChanges, Patience
from loratui.worker.training.signals import EvaluationStoppedError, Requests, StopRequestedError, TimeLimit

SPEED_STEPS = 20
"""Steps over which the time left is judged."""


class RunCallback(TrainerCallback):
    """Writes `step`, `eval` and `checkpoint` events; stops, saves and keeps the best as asked."""

    def __init__(
        self,
        journal: Journal,
        requests: Requests,
        plan: Plan,
        *,
        before: Sequence[Step] = (),
        divergence: DivergenceWatch | None = None,
        outcome: OutcomeWatch | None = None,
        extended: bool = False,
    ) -> None:
        """before: the steps that were done before this worker took over. divergence: as it was after those. outcome:
        tells whether the last fix helped. extended: somebody changed the plan at the step from which this worker goes
        on, so that an end which patience chose there holds no more.
        """
        self.journal, self.requests, self.plan = journal, requests, plan
        self.tokens_before = before[-1].tokens if before else 0
        """Tokens of those steps: TRL counts from 0 again."""
        self.tokens = self.tokens_before
        journal.asked_to_stop = lambda: requests.stop
        self.on_started: Callable[[TrainerState], None] = lambda state: None
        self.after_evaluation: Callable[[TrainerState], dict[str, Any] | None] = lambda state: {}
        """Answers prompts; returns further figures of the evaluation, None where a stop broke it off."""
        self.catch_up: Callable[[], None] | None = None
        """Makes the evaluation of the present step: one that was broken off, or that of what it begins with."""
        self.answers_together = False
        """Whether every process must answer, since each holds but a share of the weights: none may leave it out
        alone.
        """
        self.patience = Patience(journal.run, plan)
        self.part_changes = PartChanges((), ())
        """Of a mix: how each part stands beside its own lowest."""
        self.evaluates = True
        """Whether there are held-out rows."""
        self.begun_at = 0
        """The step from which this worker went on."""
        self.stop_reason = ""
        self.finding: dict[str, Any] | None = None
        """Why the run must not go on, as a `finding` event's fields."""
        self.last_loss: float | None = before[-1].loss if before else None
        self.saved_step = 0
        self.saved_bytes: Callable[[], int] = lambda: 0
        """Size of the last checkpoint."""
        self.loss_by_part: Callable[[], Mapping[str, float]] = dict
        self.held_out: Callable[[], RowLosses | None] = lambda: None
        """What each held-out row lost in the last evaluation, where that is known."""
        self._step_began = 0.0
        self._step_seconds = 0.0
        self._mean_seconds: float | None = None
        self._evaluation_began = 0.0
        self._save_began = 0.0
        self._save_seconds = 0.0
        self.limit = TimeLimit()
        self.divergence = divergence or DivergenceWatch()
        self.outcome = outcome or OutcomeWatch(journal.run, journal)
        self.extended = extended
        self._process = psutil.Process()
        self._cuda = torch.cuda.is_available()

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.requests.training = True
        self._step_began = time.perf_counter()
        judged = [(int(one["step"]), float(one["eval_loss"])) for one in state.log_history if "eval_loss" in one]
        self.patience.restore(judged, state.max_steps)
        self.begun_at = self.saved_step = state.global_step
        self.on_started(state)
        self.journal.state(
            "running",
            phase="train",
            total=state.max_steps,
            step=state.global_step,
            epoch=round(state.epoch or 0.0, 4),
            loss=self.last_loss,
        )
        if self.patience.is_enough and not self.extended:
            self._end_by_patience(control)
        if self.catch_up is not None:
            self.begin_evaluation()
            self.catch_up()
        if self.requests.reached(state.global_step):
            self._end_here(control)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        now = time.perf_counter()
        self._step_seconds, self._step_began = now - self._step_began, now
        share = 1 / min(SPEED_STEPS, max(1, state.global_step))
        mean = self._mean_seconds
        self._mean_seconds = self._step_seconds if mean is None else mean + share * (self._step_seconds - mean)
        self._heed_limit()
        if args.world_size > 1:
            self._agree(args)
        if self.requests.save:
            self.requests.save = False
            control.should_save = True
        if self.requests.evaluate:
            self.requests.evaluate = False
            if self.evaluates:
                control.should_evaluate = True
            else:
                self.journal.emit(
                    "finding",
                    finding="nothing-to-evaluate",
                    severity="info",
                    step=state.global_step,
                    message="There are no held-out rows to evaluate on: the plan holds none out.",
                )
        if self.requests.stop:
            self.stop_reason = self.requests.reason
            control.should_save = control.should_training_stop = True
            self.journal.state("stopping")
        elif self.requests.reached(state.global_step):
            control.should_evaluate = control.should_evaluate or self.evaluates
            self._end_here(control)

    def _end_here(self, control: TrainerControl) -> None:
        """The step until which this worker was to train is made."""
        self.stop_reason = f"{UNTIL_WORDS} {self.requests.until:,}"
        control.should_save = control.should_training_stop = True

    def _heed_limit(self) -> None:
        """Stop before a batch scheduler does."""
        if not self.requests.stop and self.limit.near(self._step_seconds, self._save_seconds):
            self.requests.stop, self.requests.reason, self.requests.by = True, self.limit.reason, SCHEDULER
            self.requests.goes_on = self.requests.requeued

    def _agree_on_answers(self, args: TrainingArguments, broken_off: bool) -> None:
        """One process answers for all: where a stop broke it off, all of them leave the evaluation."""
        given_up = torch.tensor([broken_off], dtype=torch.int32, device=args.device)
        torch.distributed.all_reduce(given_up, op=torch.distributed.ReduceOp.MAX)
        if given_up.item():
            if not self.requests.stop:
                self.requests.heed_others(goes_on=self.requests.goes_on)
            raise self._given_up()

    def _agree(self, args: TrainingArguments) -> None:
        """A signal reaches one process: all of them have to save and stop at the same step."""
        asked = self.requests
        wishes = torch.tensor(
            [asked.stop, asked.save, asked.evaluate, asked.stop and not asked.goes_on],
            dtype=torch.int32,
            device=args.device,
        )
        torch.distributed.all_reduce(wishes, op=torch.distributed.ReduceOp.MAX)
        stop, save, evaluate, for_good = wishes.tolist()
        self.requests.goes_on = bool(stop) and not for_good
        self.requests.save, self.requests.evaluate = bool(save), bool(evaluate)
        if stop and not self.requests.stop:
            self.requests.heed_others(goes_on=self.requests.goes_on)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if not logs or "loss" not in logs:
            return
        if state.log_history and "loss" in state.log_history[-1]:
            state.log_history.pop()  # events.jsonl has it; every checkpoint would carry all of them again
        loss = float(logs["loss"])
        seconds = self._step_seconds
        tokens = self.tokens_before + int(logs.get("num_tokens", 0))
        left = (state.max_steps - state.global_step) * (self._mean_seconds or seconds)
        fields = {
            "step": state.global_step,
            "epoch": round(state.epoch or 0.0, 4),
            "loss": loss,
            "learning_rate": logs.get("learning_rate"),
            "grad_norm": logs.get("grad_norm"),
            "token_accuracy": logs.get("mean_token_accuracy"),
            "tokens": tokens,
            "tokens_per_second": round((tokens - self.tokens) / seconds, 1) if seconds > 0 else None,
            "seconds": round(seconds, 4),
            "eta": round(left, 1),
            **preference_figures(logs),
            **self._memory(),
        }
        self.tokens, self.last_loss = tokens, loss
        self.journal.emit("step", **fields)
        self.journal.update(step=state.global_step, epoch=fields["epoch"], loss=loss, eta_seconds=fields["eta"])
        if control.should_evaluate:
            self.begin_evaluation()
        elif control.should_save:
            self._save_began = time.perf_counter()
            self.journal.state("saving", phase="save")
        gradient = logs.get("grad_norm")
        if not math.isfinite(loss):
            self._break(
                control,
                state,
                "loss-nan",
                f"The loss of step {state.global_step} is not a number: the training diverged.",
            )
        elif isinstance(gradient, float) and not math.isfinite(gradient) and self.plan.training.precision != "fp16":
            self._break(
                control,
                state,
                "gradient-nan",
                f"The gradient of step {state.global_step} is not finite: the training diverged.",
            )
        elif self.divergence.diverged(state.global_step, loss):
            self._break(control, state, "diverged", self.divergence.reason)
        else:
            self.outcome.passed("step", state.global_step, loss)

    def begin_evaluation(self) -> None:
        """Say that it is evaluated now."""
        self._evaluation_began = time.perf_counter()
        self.journal.state("evaluating", phase="evaluate")

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._heed_limit()
        if self.requests.stop and args.world_size == 1:
            if not state.global_step:
                raise StopRequestedError(self.requests.reason)
            raise self._given_up()

    def _given_up(self) -> EvaluationStoppedError:
        """It is made anew, whole, by the worker that goes on."""
        self.stop_reason = self.requests.reason
        return EvaluationStoppedError()

    def on_evaluate(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        metrics: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        metrics = metrics or {}
        loss = metrics.get("eval_loss")
        if not state.global_step:  # of what it begins with: nothing is answered, kept, or counted as an attempt
            self._tell_evaluation(state, metrics, kwargs.get("eval_dataloader"))
            self._after_pause()
            return
        more = self.after_evaluation(state)
        if args.world_size > 1 and not self.answers_together:
            self._agree_on_answers(args, more is None)
        if more is None:
            raise self._given_up()
        best = self.patience.evaluated(state.global_step, loss, self.held_out())
        control.should_save = control.should_save or best
        if control.should_save:
            self._save_began = time.perf_counter()
            self.journal.state("saving", phase="save")
        self._tell_evaluation(state, metrics, kwargs.get("eval_dataloader"), best=best, **more)
        enough = self.patience.is_enough
        last = enough or state.global_step >= state.max_steps
        if loss is not None and self.finding is None and self.divergence.evaluated(state.global_step, loss, last=last):
            self._break(control, state, "diverged", self.divergence.reason)
            return
        self.outcome.passed("evaluation", state.global_step)
        if enough and state.global_step < state.max_steps:
            self._end_by_patience(control)
        if not control.should_save:
            self._after_pause()

    def _tell_evaluation(self, state: TrainerState, metrics: Mapping[str, Any], rows: Any, **more: Any) -> None:
        seconds = round(time.perf_counter() - self._evaluation_began, 3)
        told = evaluation_figures(metrics, len(rows.dataset) if rows else 0)
        parts, since_best = self.loss_by_part(), self.patience.since_best
        self.journal.keep_rows(state.global_step, self.held_out())
        changed = self.part_changes.evaluated(state.global_step, self.held_out(), self.patience.looks)
        self.journal.emit(
            "eval",
            step=state.global_step,
            seconds=seconds,
            **told,
            **({"loss_by_part": dict(parts)} if parts else {}),
            **({"beside_best": since_best} if since_best is not None and state.global_step else {}),
            **({"parts_beside_best": changed} if changed else {}),
            **more,
        )
        if undecided := self.patience.told:
            self.journal.emit("finding", finding=UNDECIDED, severity="info", step=state.global_step, message=undecided)

    def _end_by_patience(self, control: TrainerControl) -> None:
        self.stop_reason = self.patience.words
        control.should_training_stop = True

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.saved_step = state.global_step
        self._save_seconds = time.perf_counter() - self._save_began
        self.journal.emit(
            "checkpoint",
            step=state.global_step,
            path=f"checkpoints/checkpoint-{state.global_step}",
            size_bytes=self.saved_bytes(),
            seconds=round(self._save_seconds, 3),
            best=state.global_step == self.patience.best_step and self.patience.best_step > 0,
        )
        self.outcome.passed("save", state.global_step)
        self._after_pause()

    def _after_pause(self) -> None:
        """Evaluating and saving do not count as a step's time."""
        self._step_began = time.perf_counter()
        self.journal.state("stopping" if self.requests.stop else "running", phase="train")

    def _break(self, control: TrainerControl, state: TrainerState, word: str, message: str) -> None:
        """Stop without saving: the last checkpoint is from before it went wrong."""
        control.should_training_stop = True
        control.should_save = control.should_evaluate = False
        self.stop_reason = message
        self.finding = {"finding": word, "severity": "error", "message": message, "step": state.global_step}

    def _memory(self) -> dict[str, int | None]:
        if self._cuda:
            return {
                "memory_allocated": torch.cuda.memory_allocated(),
                "memory_reserved": torch.cuda.memory_reserved(),
                "memory_peak": process_peak_bytes(cpu=self.plan.hardware.cpu),
            }
        return {
            "memory_allocated": self._process.memory_info().rss,
            "memory_peak": process_peak_bytes(cpu=self.plan.hardware.cpu),
        }
