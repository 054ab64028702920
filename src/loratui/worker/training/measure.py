"""What a run shows of this machine: its speed and its memory, remembered for the plans to come (`runs.measured`)."""

from __future__ import annotations

import logging
import os
import statistics
import time
from dataclasses import replace
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from loratui.core.errors import LoratuiError
from loratui.core.hardware import Device
from loratui.core.measured import Measurement
from loratui.core.memory import estimate
from loratui.core.operations import flops_per_pass, tokens_per_pass
from loratui.core.plan import Plan
from loratui.core.time_around import answer_batches, prepared_tokens
from loratui.machine.host import read_host
from loratui.runs.directory import Run
from loratui.runs.events import Checkpoint, Eval, EventTail, Step
from loratui.runs.measured import add_measurement
from loratui.worker.shape import shape_of
from loratui.worker.training.compiled import Compiled
from loratui.worker.training.config import DeviceTraits
from loratui.worker.training.dataset import Prepared
from loratui.worker.training.journal import Journal
from loratui.worker.training.memory import device as this_device

log = logging.getLogger("loratui")
LEAST_STEPS = 5
"""Steps that are timed before a speed is believed; the first one also warms up and is left out."""


class Measuring(TrainerCallback):
    """Remembers what the run measured, at its end once its result is there, and after 10, 100 and every 1,000 steps."""

    def __init__(
        self,
        journal: Journal,
        plan: Plan,
        prepared: Prepared,
        device: DeviceTraits,
        model_config: dict[str, Any],
        compiled: Compiled | None = None,
    ) -> None:
        self.compiled = compiled
        self.laps = journal.laps
        self.laps.at_end = self.keep
        self.liger = False
        self.run, run = journal.run, journal.run
        self.plan, self.prepared, self.device, self.model_config = plan, prepared, device, model_config
        self.tail = EventTail(run.events_path, offset=run.events_path.stat().st_size if run.events_path.exists() else 0)
        self.seconds: list[float] = []
        self.evaluations: list[float] = []
        self.saves: list[Checkpoint] = []
        self.peak_bytes = 0
        self.logged = 0

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self.logged += 1
        self.liger = bool(args.use_liger_kernel)
        if self.logged in (10, 100) or self.logged % 1000 == 0:
            self.keep()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self.laps.trained()
        self.keep()

    def keep(self) -> None:
        """Remember what was measured so far. What goes wrong here is logged and never ends a run."""
        events = self.tail.new_events()
        steps = [event for event in events if isinstance(event, Step)]
        self.seconds += [step.seconds for step in steps if step.seconds]
        self.evaluations += [
            event.seconds for event in events if isinstance(event, Eval) and event.step and event.seconds
        ]
        self.saves += [event for event in events if isinstance(event, Checkpoint) and event.seconds]
        self.peak_bytes = max([self.peak_bytes, *(step.memory_peak or 0 for step in steps)])
        if len(self.seconds) <= LEAST_STEPS:
            return
        remember(
            self.run,
            self.plan,
            self.prepared,
            self.device,
            self.model_config,
            seconds_per_step=statistics.median(self.seconds[1:]),
            steps=len(self.seconds) - 1,
            peak_bytes=self.peak_bytes,
            compiled=self.compiled,
            liger=self.liger,
            around=self._around(),
        )

    def _around(self) -> dict[str, Any]:
        """What its parts beside the steps took, as fields of a `Measurement`."""
        laps, facts = self.laps, self.prepared.facts
        return {
            "importing_seconds": laps.importing,
            "rehearsing_seconds": laps.rehearsing,
            "loading_seconds": laps.loading,
            "prepared_tokens": prepared_tokens(self.plan, facts),
            "evaluating_seconds": statistics.median(self.evaluations) if self.evaluations else 0.0,
            "evaluated_rows": facts.eval_examples,
            "answer_batches": sum(answer_batches(self.plan, facts.eval_examples)),
            "saving_seconds": statistics.median(one.seconds or 0.0 for one in self.saves) if self.saves else 0.0,
            "checkpoint_bytes": self.saves[-1].size_bytes if self.saves else 0,
            "ending_seconds": laps.ending,
        }


def remember(
    run: Run,
    plan: Plan,
    prepared: Prepared,
    traits: DeviceTraits,
    model_config: dict[str, Any],
    *,
    seconds_per_step: float,
    steps: int,
    peak_bytes: int,
    compiled: Compiled | None = None,
    liger: bool = False,
    around: dict[str, Any] | None = None,
) -> None:
    """Keep what a run (or its rehearsal, which the run then replaces) measured. What goes wrong here is logged and
    never ends a run. around: what took time beside the steps, as fields of a `Measurement`.
    """
    try:
        found = _measurement(run, plan, prepared, traits, model_config, seconds_per_step, steps, peak_bytes)
        found = replace(found, liger=liger, **(around or {}))
        if compiled is not None:
            found = replace(found, compiled=compiled.blocks > 0, compile_seconds=compiled.seconds)
        add_measurement(found)
    except (LoratuiError, OSError, ValueError, ZeroDivisionError) as error:
        log.warning("what was measured could not be remembered: %s", error)


def _measurement(
    run: Run,
    plan: Plan,
    prepared: Prepared,
    traits: DeviceTraits,
    model_config: dict[str, Any],
    seconds_per_step: float,
    steps: int,
    peak_bytes: int,
) -> Measurement:
    data = prepared.facts
    spec = shape_of(model_config, plan.model.id)
    name, device, world = traits.name, this_device(cpu=plan.hardware.cpu), int(os.environ.get("WORLD_SIZE", "1"))
    if traits.kind == "cpu":
        name = read_host().cpu_name
        device = Device(
            name=name,
            kind="cpu",
            memory_total_bytes=device.memory_total_bytes,
            memory_free_bytes=device.memory_free_bytes,
        )
    passes = plan.training.accumulation
    return Measurement(
        run=str(run.place),
        time=round(time.time(), 1),
        device=name,
        devices=world,
        method=plan.method.kind,
        family=spec.family,
        model=plan.model.id,
        checkpointing=plan.training.checkpointing,
        passes=passes,
        flops_per_step=flops_per_pass(spec, plan, data) * passes,
        seconds_per_step=seconds_per_step,
        steps=steps,
        tokens_per_step=tokens_per_pass(plan, data) * passes * world,
        predicted_bytes=estimate(spec, plan, data, device).total_bytes,
        measured_bytes=peak_bytes,
        precision=plan.training.precision,
    )
