"""How long a run takes: from the operations of a step, the device's peak, and how much of it trainings reach.

Operations are counted as in Kaplan et al. 2020 (2 a weight and token forward, 4 backward), with what LoRA saves (a frozen
weight needs no gradient of its own: 2 backward instead of 4) and what checkpointing adds (one more forward pass). Until a
run has been measured here the answer is a range.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.lora_targets import count_adapter, resolve_targets
from loratui.core.plan import Plan
from loratui.core.schedule import Schedule

UTILISATION: dict[str, tuple[float, float]] = {"gpu": (0.20, 0.50), "cpu": (0.10, 0.50)}
"""Share of the dense peak that fine-tuning reaches, lowest and highest."""
QLORA_SHARE = 0.7
"""Of that, with weights unpacked for every product."""
LAYER_SECONDS: dict[str, tuple[float, float]] = {"gpu": (0.3e-3, 1.5e-3), "cpu": (0.2e-3, 2e-3)}
"""Least time of one block's forward or backward pass: launching its kernels, however small they are."""
MEASURED_BAND = 0.1


@dataclass(frozen=True, slots=True)
class Prediction:
    """Seconds, lowest and highest. measured: whether an earlier run here gave the utilisation."""

    flops_per_step: float
    tokens_per_step: float
    """Padding included."""
    low_seconds_per_step: float
    high_seconds_per_step: float
    total_steps: int
    measured: bool

    @property
    def low_seconds(self) -> float:
        """Shortest time of the whole run, evaluations apart."""
        return self.low_seconds_per_step * self.total_steps

    @property
    def high_seconds(self) -> float:
        """Longest time of the whole run, evaluations apart."""
        return self.high_seconds_per_step * self.total_steps


def active_parameters(spec: ModelSpec) -> int:
    """Weights of linear layers that a token passes through; of experts only those that are asked. The head apart."""
    total = 0
    for linear in spec.linears:
        share = spec.experts_per_token / spec.experts if linear.stored == "expert" and spec.experts else 1.0
        total += round(linear.count * linear.in_features * linear.out_features * share)
    return total


@lru_cache(maxsize=256)
def expected_longest(lengths: tuple[int, ...], rows: int, cut: int) -> float:
    """Mean over random batches of `rows` rows of the longest row's tokens, after cutting at `cut`. lengths ascending."""
    count, before, total = len(lengths), 0.0, 0.0
    for number, length in enumerate(lengths, 1):
        upto = (number / count) ** rows
        total += (upto - before) * min(length, cut)
        before = upto
    return total


def tokens_per_pass(plan: Plan, data: DataFacts) -> float:
    """Tokens of an average forward pass of one device, padding included."""
    training = plan.training
    if training.packing:
        return float(training.batch_size * training.max_length)
    if training.padding_free:
        return training.batch_size * expected_longest(data.lengths, 1, training.max_length)
    return training.batch_size * expected_longest(data.lengths, training.batch_size, training.max_length)


def flops_per_token(spec: ModelSpec, plan: Plan, tokens_per_row: float) -> float:
    """Operations of forward and backward for one token."""
    weights = active_parameters(spec)
    head = spec.vocab_size * spec.hidden_size
    attention = 2.0 * spec.layers * spec.heads * spec.head_dim * tokens_per_row
    forward = 2.0 * (weights + head) + attention
    recomputed = 2.0 * weights + attention if plan.training.checkpointing else 0.0
    if plan.method.kind == "full":
        return 3.0 * forward + recomputed
    adapter = count_adapter(resolve_targets(spec, plan.lora.targets), plan.lora.r)
    again = 2.0 * adapter if plan.training.checkpointing else 0.0
    return 4.0 * (weights + head) + 3.0 * attention + recomputed + 6.0 * adapter + again


def predict(
    spec: ModelSpec, plan: Plan, data: DataFacts, device: Device, schedule: Schedule, utilisation: float | None = None
) -> Prediction | None:
    """Seconds per optimizer step and for the run; None where the device's peak is not known.

    utilisation: share of the peak that an earlier run of this kind reached here (`learned_utilisation`).
    """
    if not device.peak_flops:
        return None
    per_pass, passes = tokens_per_pass(plan, data), plan.training.accumulation
    row = per_pass / plan.training.batch_size
    flops = flops_per_token(spec, plan, row) * per_pass * passes
    sweeps = (3 if plan.training.checkpointing else 2) * passes
    low_share, high_share = UTILISATION[device.kind]
    if plan.method.kind == "qlora":
        low_share, high_share = low_share * QLORA_SHARE, high_share * QLORA_SHARE
    launch_low, launch_high = (seconds * spec.layers * sweeps for seconds in LAYER_SECONDS[device.kind])
    if utilisation is not None and utilisation > 0:
        seconds = flops / (device.peak_flops * utilisation)
        low, high = seconds * (1 - MEASURED_BAND), seconds * (1 + MEASURED_BAND)
    else:
        low = max(flops / (device.peak_flops * high_share), launch_low)
        high = flops / (device.peak_flops * low_share) + launch_high
    return Prediction(flops, per_pass * passes * device.count, low, high, schedule.total_steps, utilisation is not None)


def learned_utilisation(prediction: Prediction, device: Device, seconds_per_step: float) -> float | None:
    """The share of the peak that a measured step reached; None where it cannot be told."""
    if not device.peak_flops or seconds_per_step <= 0:
        return None
    return prediction.flops_per_step / (device.peak_flops * seconds_per_step)


def eta_seconds(seconds_of_steps: list[float], remaining_steps: int) -> float | None:
    """Seconds to the end, from the durations of the latest steps: their median, so that one slow step counts little."""
    recent = sorted(seconds_of_steps[-50:])
    return recent[len(recent) // 2] * remaining_steps if recent else None
