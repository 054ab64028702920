"""How long a training would take, as a span: from its arithmetic and the device's peak.

A span and not a number: two machines with the same card differ by half again, and rows of unequal length, slow
processors and evaluation come on top. Once a run has made a few steps, its own speed is the answer.

Anchors: Qwen's profile of LoRA and Q-LoRA on one A100 (README of the Qwen repository, "Profiling of Memory and Speed"),
held by a test: 45 % of the dense peak at 1,024 tokens and more, and 4.7 ms a layer and pass where rows are short.
"""

from __future__ import annotations

from dataclasses import dataclass

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.plan import Plan
from loratui.core.schedule import Schedule

SHARE_OF_PEAK = {"gpu": (0.5, 0.2), "cpu": (0.4, 0.1)}
"""Share of the peak that training reaches: at best, and at worst where rows are long enough."""
LAYER_SECONDS = {"gpu": (0.0025, 0.006), "cpu": (0.0005, 0.002)}
"""Least time of a layer's forward and backward pass, however short the rows: starting its kernels."""
QUANTISED_FACTOR = (1.05, 1.6)
QUANTISED_LAYER_FACTOR = 2.2
"""Unpacking 4-bit weights: more work in each pass, and more kernels."""
PADDING_FACTOR = 1.3
"""At worst, where rows of unequal length are padded to the longest of their batch."""


@dataclass(frozen=True, slots=True)
class Span:
    """Seconds at best and at worst."""

    fast_seconds: float
    slow_seconds: float

    @property
    def words(self) -> str:
        """For a person, e.g. "2 to 5 hours"."""
        for name, size in (("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
            if self.slow_seconds >= 1.5 * size:
                fast, slow = self.fast_seconds / size, self.slow_seconds / size
                low, high = (f"{value:.0f}" if value >= 3 else f"{value:.1f}".removesuffix(".0") for value in (fast, slow))
                return f"{low} to {high} {name}" if low != high else f"about {low} {name}"
        return "a minute or two" if self.slow_seconds > 45 else "under a minute"


def training_span(spec: ModelSpec, plan: Plan, data: DataFacts, device: Device, schedule: Schedule) -> Span | None:
    """How long the plan's steps take, evaluation and loading left out; None where the device's peak is not known."""
    if not device.peak_flops:
        return None
    tokens = trained_tokens(plan, schedule)
    passes = schedule.total_steps * plan.training.accumulation
    mean_length = min(data.mean, plan.training.max_length)
    work = tokens * operations_per_token(spec, plan, mean_length) / max(1, device.count)
    quantised = plan.method.kind == "qlora"
    padded = plan.training.batch_size > 1 and not (plan.training.packing or plan.training.padding_free)
    ends = []
    for end in (0, 1):
        compute = work / (device.peak_flops * SHARE_OF_PEAK[device.kind][end])
        least = passes * spec.layers * LAYER_SECONDS[device.kind][end]
        if plan.training.checkpointing:
            least *= 4 / 3
        if quantised:
            compute *= QUANTISED_FACTOR[end]
            least *= QUANTISED_LAYER_FACTOR
        if padded and end:
            compute *= PADDING_FACTOR
        ends.append(max(compute, least))
    return Span(*ends)


def trained_tokens(plan: Plan, schedule: Schedule) -> int:
    """Tokens that pass through the model in the whole run."""
    epochs = schedule.total_steps / schedule.steps_per_epoch if plan.training.max_steps else plan.training.epochs
    return round(schedule.tokens_per_epoch * epochs)


def operations_per_token(spec: ModelSpec, plan: Plan, length: float) -> float:
    """Floating point operations of one token's forward and backward pass.

    Forward: 2 a weight that multiplies, and 2 x length x width of each layer's attention (4, halved by the causal mask).
    Backward: the same again for the inputs' gradients, and once more for the weights' where those are trained. Under
    checkpointing the forward pass runs twice. Experts count as many as see a token.
    """
    forward = 2.0 * active_weights(spec) + 2.0 * length * spec.heads * spec.head_dim * spec.layers
    passes = 3 if plan.method.kind == "full" else 2
    if plan.training.checkpointing:
        passes += 1
    return forward * passes


def active_weights(spec: ModelSpec) -> int:
    """Weights that multiply a token: linear layers, the experts it is sent to, and the head."""
    total = 0
    for linear in spec.linears:
        share = spec.experts_per_token / spec.experts if linear.stored == "expert" and spec.experts else 1.0
        total += round(linear.parameters * share)
    return total + (spec.head_parameters or spec.vocab_size * spec.hidden_size)
