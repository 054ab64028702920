"""How long a run takes: from the operations of a step, the device's peak, and how much of it trainings reach.

Evaluations, with the answers that they ask for, and checkpoints are part of it; what comes before the first step and
after the last one is counted by `core.time_around`.

Operations are counted as in Kaplan et al. 2020 (2 a weight and token forward, 4 backward), with what LoRA saves (a
frozen weight needs no gradient of its own: 2 backward instead of 4) and what checkpointing adds (one more forward
pass). Until a run like it has been measured here (`core.measured`) the answer is a wide range.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.links import LINKS, with_links
from loratui.core.measured import METHOD_SHARE, Measurement, Speed, compile_seconds, kernel_gain, learned_speed
from loratui.core.measured_around import UNKNOWN, Around, Span, learned_around
from loratui.core.operations import (
    evaluation_pass,
    flops_per_pass,
    forward_flops_per_token,
    longest_of_batch,
    tokens_per_pass,
)
from loratui.core.plan import Plan
from loratui.core.schedule import Schedule, times_in
from loratui.core.storage import DiskNeed, disk_need
from loratui.core.time_around import (
    ANSWERED_ROWS,
    SEAL_SECONDS,
    answer_batches,
    answering_seconds,
    ending,
    starting,
    written_seconds,
)
from loratui.core.untimed import left_out

UTILISATION: dict[str, tuple[float, float]] = {"gpu": (0.20, 0.50), "cpu": (0.10, 0.50)}
"""Share (0..1) of the dense peak that fine-tuning reaches, lowest and highest (utilisation)."""
EXPERT_UTILISATION: dict[str, tuple[float, float]] = {"gpu": (0.03, 0.12), "cpu": (0.05, 0.50)}
"""The same for mixtures of experts, whose products are many and small.

NVIDIA measured transformers 5 with its grouped products on 8 H100 (full fine-tuning, rows of 4,096; Hugging Face blog,
"Accelerating Transformers Fine-Tuning with NVIDIA NeMo AutoModel", June 2026): 3,075 tokens a second and card for
Qwen3-30B-A3B and 4,583 for Nemotron 3 Nano 30B-A3B, 6 and 9 % of the peak. Kernels made for it reach 20 to 30 %."""
GROUPED_CAPABILITY = (8, 0)
"""From here torch multiplies all experts at once; below, transformers 5.23 loops over them (`integrations/moe.py`)."""
EXPERT_SECONDS = (10e-6, 60e-6)
"""Least time of one expert's product in that loop: launching its kernel. Two products a block and pass."""
LAYER_SECONDS: dict[str, tuple[float, float]] = {"gpu": (0.3e-3, 1.5e-3), "cpu": (0.2e-3, 2e-3)}
"""Least time of one block's forward or backward pass: launching its kernels, however small they are."""


class Prediction(NamedTuple):
    """Seconds, lowest and highest."""

    flops_per_step: float
    tokens_per_step: float
    """Padding included."""
    low_seconds_per_step: float
    high_seconds_per_step: float
    total_steps: int
    speed: Speed | None = None
    """What runs here reached, where the prediction rests on them."""
    evaluations: int = 0
    evaluated_rows: int = 0
    """Rows of each evaluation."""
    seconds_per_evaluation: Span = (0.0, 0.0)
    """Of the held-out loss."""
    seconds_per_answering: Span = (0.0, 0.0)
    """Of the answers that an evaluation asks for."""
    saves: int = 0
    better_saves: int = 0
    """Evaluations between those, each of which saves a checkpoint too where its loss is the lowest so far."""
    seconds_per_save: Span = (0.0, 0.0)
    """Of a checkpoint's bytes; `seconds_per_seal` of one however small it is."""
    seconds_per_seal: Span = (0.0, 0.0)
    starting: Span = (0.0, 0.0)
    """From the command to the first step, with the evaluation before it."""
    ending: Span = (0.0, 0.0)
    """From the last step to the result."""
    nodes: int = 1
    around: Around = UNKNOWN
    """What runs here took beside their steps; decides over the guesses above where it is known."""
    left_out: tuple[str, ...] = ()
    """What of the plan takes time that is not in it, in words."""

    @property
    def measured(self) -> bool:
        """Whether earlier runs here, of whatever method, gave the speed."""
        return self.speed is not None

    @property
    def basis(self) -> str:
        """What the figures rest on, in words for a person."""
        if self.speed is None:
            links = f" and links of {LINKS} between nodes" if self.nodes > 1 else ""
            return f"guessed from the device's peak{links}"
        count = "1 run" if self.speed.runs == 1 else f"{self.speed.runs} runs"
        if not self.speed.same_method:
            return f"judged by {count} of other methods here"
        return f"measured in {count} here" if self.speed.same_model else f"judged by {count} of other models here"

    @property
    def one_evaluation(self) -> Span:
        """Lowest and highest time of an evaluation with its answers."""
        judged, answered = self.seconds_per_evaluation, self.seconds_per_answering
        return self.around.evaluating or (judged[0] + answered[0], judged[1] + answered[1])

    @property
    def one_save(self) -> Span:
        """Lowest and highest time of a checkpoint."""
        written, sealed = self.seconds_per_save, self.seconds_per_seal
        return self.around.saving or (written[0] + sealed[0], written[1] + sealed[1])

    @property
    def evaluation_seconds(self) -> Span:
        """Lowest and highest time of all evaluations together."""
        low, high = self.one_evaluation
        return low * self.evaluations, high * self.evaluations

    @property
    def saving_seconds(self) -> Span:
        """Lowest and highest time of all checkpoints together, the highest with one at each better evaluation."""
        low, high = self.one_save
        return low * self.saves, high * (self.saves + self.better_saves)

    @property
    def low_seconds(self) -> float:
        """Shortest time of what grows with model and plan: steps, losses of evaluations, checkpoints' bytes. Plans are
        compared by it.
        """
        evaluating, saving = self.seconds_per_evaluation[0] * self.evaluations, self.seconds_per_save[0] * self.saves
        return self.low_seconds_per_step * self.total_steps + evaluating + saving

    @property
    def high_seconds(self) -> float:
        """Longest time of the same."""
        evaluating, saves = self.seconds_per_evaluation[1] * self.evaluations, self.saves + self.better_saves
        return self.high_seconds_per_step * self.total_steps + evaluating + self.seconds_per_save[1] * saves

    @property
    def whole_seconds(self) -> Span:
        """Shortest and longest time from the command to the result."""
        steps = self.low_seconds_per_step * self.total_steps, self.high_seconds_per_step * self.total_steps
        parts = (self.starting, steps, self.evaluation_seconds, self.saving_seconds, self.ending)
        return sum(low for low, _ in parts), sum(high for _, high in parts)

    @property
    def counted(self) -> str:
        """What is in it beside the steps, and what of them is not, in words for a person."""
        return self._evaluations_and_saves + (f", but without {' and '.join(self.left_out)}" if self.left_out else "")

    @property
    def _evaluations_and_saves(self) -> str:
        saves = f"{self.saves:,} checkpoint{'' if self.saves == 1 else 's'}"
        if not self.evaluations:
            return f"with its start and {saves}"
        return (
            f"with its start, {self.evaluations:,} evaluation{'' if self.evaluations == 1 else 's'} of "
            f"{self.evaluated_rows:,} rows and {saves}{self._better_words}"
        )

    @property
    def _better_words(self) -> str:
        if not self.better_saves:
            return ""
        return f", and up to {self.better_saves:,} more: one at each evaluation that is the best so far"


def utilisation(spec: ModelSpec, plan: Plan, device: Device) -> tuple[float, float]:
    """Lowest and highest share (0..1) of the device's peak that such a training reaches."""
    low, high = (EXPERT_UTILISATION if spec.experts else UTILISATION)[device.kind]
    share = METHOD_SHARE[plan.method.kind]
    return low * share, high * share


def launch_seconds(spec: ModelSpec, device: Device) -> tuple[float, float]:
    """Lowest and highest time in seconds of one pass (forward or backward) that goes to launching kernels."""
    low, high = (seconds * spec.layers for seconds in LAYER_SECONDS[device.kind])
    loops = (
        spec.experts and device.kind == "gpu" and (device.compute_capability or GROUPED_CAPABILITY) < GROUPED_CAPABILITY
    )
    if not loops:
        return low, high
    products = 2 * spec.layers * spec.experts
    return low + products * EXPERT_SECONDS[0], high + products * EXPERT_SECONDS[1]


class Pace(NamedTuple):
    """How fast a device works: operations a second, slowest and fastest, and the least seconds of a sweep."""

    slowest: float
    fastest: float
    launch: tuple[float, float] = (0.0, 0.0)

    def seconds(self, operations: float, sweeps: int) -> tuple[float, float]:
        """Shortest and longest time of so many operations in so many forward or backward passes."""
        shortest = max(operations / self.fastest, self.launch[0] * sweeps)
        return shortest, operations / self.slowest + self.launch[1] * sweeps

    def step_seconds(self, plan: Plan, one_pass: float) -> tuple[float, float]:
        """Shortest and longest time of an optimizer step whose passes take so many operations each."""
        passes = plan.training.accumulation
        return self.seconds(one_pass * passes, (3 if plan.training.checkpointing else 2) * passes)


def guessed_pace(spec: ModelSpec, plan: Plan, device: Device, peak_flops: float) -> Pace:
    """The pace from a peak, by the share of it that trainings reach."""
    low, high = utilisation(spec, plan, device)
    gain = kernel_gain(compiled=plan.training.compile, liger=plan.training.liger)
    launch = launch_seconds(spec, device)
    return Pace(peak_flops * low, peak_flops * high * gain, (launch[0] / gain, launch[1]))


NOMINAL_FLOPS = {"gpu": 1e14, "cpu": 1e12}
"""Stands in where a device's peak is not known and plans are only to be ordered by time."""


def row_seconds(spec: ModelSpec, plan: Plan, data: DataFacts, device: Device) -> float:
    """Middle (geometric) of the guessed time for one row of a step, padding counted. For comparing plans on one device.

    Seconds where the device's peak is known, else in proportion to them. Measurements do not enter: like is to be
    compared with like.
    """
    peak = device.peak_flops_in(plan.training.precision) or NOMINAL_FLOPS[device.kind]
    pace = guessed_pace(spec, plan, device, peak)
    step = pace.step_seconds(plan, flops_per_pass(spec, plan, data))
    low, high = with_links(step, spec, plan, device)
    return math.sqrt(low * high) / (plan.training.batch_size * plan.training.accumulation)


def _better_saves(total_steps: int, evaluated: int, saved: int) -> int:
    """Evaluations before the last step that are at no saving step; every so many steps, 0: never."""
    if not evaluated:
        return 0
    both = (total_steps - 1) // math.lcm(evaluated, saved) if saved else 0
    return (total_steps - 1) // evaluated - both


def predict(
    spec: ModelSpec,
    plan: Plan,
    data: DataFacts,
    device: Device,
    schedule: Schedule,
    measurements: Sequence[Measurement] = (),
) -> Prediction | None:
    """Seconds per optimizer step, per evaluation and checkpoint, and for the run.

    measurements: what runs on this machine reached. Comparable ones decide; without any the answer is a range from the
    device's peak, off by up to the range's own width, and None where that peak is not known.
    """
    data = data.at(plan.training.max_length)
    per_pass, passes = tokens_per_pass(plan, data), plan.training.accumulation
    one_pass = flops_per_pass(spec, plan, data)
    flops, tokens = one_pass * passes, per_pass * passes * device.count
    speed = (
        None
        if device.simulated
        else learned_speed(
            measurements,
            device=device.name,
            devices=device.count,
            method=plan.method.kind,
            model=plan.model.id,
            family=spec.family,
            checkpointing=plan.training.checkpointing,
            flops_per_pass=one_pass,
            precision=plan.training.precision,
            compiled=plan.training.compile,
            liger=plan.training.liger,
        )
    )
    peak = device.peak_flops_in(plan.training.precision)
    if speed is not None:
        pace = Pace(speed.low_flops_per_second, speed.high_flops_per_second)
    elif peak:
        pace = guessed_pace(spec, plan, device, peak)
    else:
        return None
    low, high = with_links(pace.step_seconds(plan, one_pass), spec, plan, device)
    every, steps = plan.evaluation.every_steps, schedule.total_steps
    batches, one_batch = evaluation_pass(spec, plan, data, device.count)
    launch = launch_seconds(spec, device)
    a_token = forward_flops_per_token(spec, plan, longest_of_batch(plan, data, plan.evaluation.batch_size))
    one_token = Pace(pace.slowest, pace.fastest, launch).seconds(a_token * ANSWERED_ROWS, 1)
    need = disk_need(spec, plan)
    evaluations = times_in(steps, every) if data.eval_examples else 0
    evaluation = pace.seconds(one_batch * batches, batches)
    compiling = compile_seconds(measurements, device=device.name) if plan.training.compile else (0.0, 0.0)
    rehearsed = 3 * high + compiling[1] if device.kind == "gpu" else None
    around = _learned_around(measurements, plan, data, device, need)
    begun = starting(spec, plan, data, around, rehearsed_seconds=rehearsed)
    begun = begun[0] + compiling[0], begun[1] + compiling[1]
    if evaluations:  # of what it begins with, without answers
        most = around.evaluating[1] if around.evaluating else math.inf
        begun = begun[0] + min(evaluation[0], most), begun[1] + min(evaluation[1], most)
    return Prediction(
        flops,
        tokens,
        low,
        high,
        steps,
        speed,
        evaluations=evaluations,
        evaluated_rows=data.eval_examples,
        seconds_per_evaluation=evaluation,
        saves=times_in(steps, plan.saving.every_steps) or 1,
        better_saves=_better_saves(steps, every, plan.saving.every_steps) if data.eval_examples else 0,
        seconds_per_answering=answering_seconds(plan, data, one_token),
        seconds_per_save=written_seconds(need.checkpoint_bytes),
        seconds_per_seal=SEAL_SECONDS,
        starting=begun,
        ending=ending(need.result_bytes, around),
        around=around,
        nodes=device.nodes,
        left_out=left_out(plan),
    )


def _learned_around(
    measurements: Sequence[Measurement], plan: Plan, data: DataFacts, device: Device, need: DiskNeed
) -> Around:
    """What runs on this device took beside their steps; nothing of a device that is only planned for."""
    if device.simulated:
        return UNKNOWN
    return learned_around(
        measurements,
        device=device.name,
        devices=device.count,
        method=plan.method.kind,
        model=plan.model.id,
        evaluated_rows=data.eval_examples,
        answer_batches=sum(answer_batches(plan, data.eval_examples)),
        checkpoint_bytes=need.checkpoint_bytes,
    )


def on_one_footing(one: Plan, now: Prediction, other: Plan, then: Prediction) -> bool:
    """Whether two plans' times may be compared: by the same runs or none, or by runs of this machine for two
    methods."""
    return now.speed == then.speed or (now.measured and then.measured and one.method.kind != other.method.kind)


def eta_seconds(seconds_of_steps: list[float], remaining_steps: int) -> float | None:
    """Seconds to the end, from the durations of the latest steps: their median, so that one slow step counts little."""
    recent = sorted(seconds_of_steps[-50:])
    return recent[len(recent) // 2] * remaining_steps if recent else None
