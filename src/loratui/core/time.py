"""How long a run takes: from the operations of a step, the device's peak, and how much of it trainings reach.

Operations are counted as in Kaplan et al. 2020 (2 a weight and token forward, 4 backward), with what LoRA saves (a frozen
weight needs no gradient of its own: 2 backward instead of 4) and what checkpointing adds (one more forward pass). Until a
run like it has been measured here (`core.measured`) the answer is a wide range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.lora_targets import count_adapter, resolve_targets
from loratui.core.measured import Measurement, Speed, learned_speed
from loratui.core.plan import Plan
from loratui.core.schedule import Schedule

UTILISATION: dict[str, tuple[float, float]] = {"gpu": (0.20, 0.50), "cpu": (0.10, 0.50)}
"""Share (0..1) of the dense peak that fine-tuning reaches, lowest and highest (utilisation)."""
QLORA_SHARE = 0.7
"""Of that, with weights unpacked for every product."""
LAYER_SECONDS: dict[str, tuple[float, float]] = {"gpu": (0.3e-3, 1.5e-3), "cpu": (0.2e-3, 2e-3)}
"""Least time of one block's forward or backward pass: launching its kernels, however small they are."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """Seconds, lowest and highest."""

    flops_per_step: float
    tokens_per_step: float
    """Padding included."""
    low_seconds_per_step: float
    high_seconds_per_step: float
    total_steps: int
    speed: Speed | None = None
    """What runs here reached, where the prediction rests on them."""

    @property
    def measured(self) -> bool:
        """Whether earlier runs here gave the speed."""
        return self.speed is not None

    @property
    def basis(self) -> str:
        """What the figures rest on, in words for a person."""
        if self.speed is None:
            return "guessed from the device's peak"
        count = "1 run" if self.speed.runs == 1 else f"{self.speed.runs} runs"
        return f"measured in {count} here" if self.speed.same_model else f"judged by {count} of other models here"

    @property
    def low_seconds(self) -> float:
        """Shortest time of the whole run, evaluations apart."""
        return self.low_seconds_per_step * self.total_steps

    @property
    def high_seconds(self) -> float:
        """Longest time of the whole run, evaluations apart."""
        return self.high_seconds_per_step * self.total_steps


def active_parameters(spec: ModelSpec) -> int:
    """Weights of linear layers that a token passes through; of experts only those that are asked. The head apart.

    In parameters. Routers are counted whole. Source: the config, as `core.families` or a worker read it.
    """
    total = 0
    for linear in spec.linears:
        share = spec.experts_per_token / spec.experts if linear.kind == "expert" and spec.experts else 1.0
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
    """Operations of forward and backward for one token.

    tokens_per_row: decides attention's share, counted as half of the square (causal). Norms, activations and the
    optimizer's step are left out: below 1 % from a width of about 1,000. Source: Kaplan et al. 2020 (2001.08361), 2.1.
    """
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


def flops_per_pass(spec: ModelSpec, plan: Plan, data: DataFacts) -> float:
    """Operations of one device's forward and backward pass over an average batch, padding included."""
    tokens = tokens_per_pass(plan, data)
    return flops_per_token(spec, plan, tokens / plan.training.batch_size) * tokens


def predict(
    spec: ModelSpec, plan: Plan, data: DataFacts, device: Device, schedule: Schedule, measurements: Sequence[Measurement] = ()
) -> Prediction | None:
    """Seconds per optimizer step and for the run.

    measurements: what runs on this machine reached. Comparable ones decide; without any the answer is a range from the
    device's peak, off by up to the range's own width, and None where that peak is not known.
    """
    per_pass, passes = tokens_per_pass(plan, data), plan.training.accumulation
    one_pass = flops_per_pass(spec, plan, data)
    flops, tokens = one_pass * passes, per_pass * passes * device.count
    speed = None if device.simulated else learned_speed(
        measurements, device=device.name, devices=device.count, method=plan.method.kind, model=plan.model.id, family=spec.family,
        checkpointing=plan.training.checkpointing, flops_per_pass=one_pass,
    )
    if speed is not None:
        low, high = flops / speed.high_flops_per_second, flops / speed.low_flops_per_second
        return Prediction(flops, tokens, low, high, schedule.total_steps, speed)
    if not device.peak_flops:
        return None
    sweeps = (3 if plan.training.checkpointing else 2) * passes
    low_share, high_share = UTILISATION[device.kind]
    if plan.method.kind == "qlora":
        low_share, high_share = low_share * QLORA_SHARE, high_share * QLORA_SHARE
    launch_low, launch_high = (seconds * spec.layers * sweeps for seconds in LAYER_SECONDS[device.kind])
    low = max(flops / (device.peak_flops * high_share), launch_low)
    high = flops / (device.peak_flops * low_share) + launch_high
    return Prediction(flops, tokens, low, high, schedule.total_steps)


def eta_seconds(seconds_of_steps: list[float], remaining_steps: int) -> float | None:
    """Seconds to the end, from the durations of the latest steps: their median, so that one slow step counts little."""
    recent = sorted(seconds_of_steps[-50:])
    return recent[len(recent) // 2] * remaining_steps if recent else None
