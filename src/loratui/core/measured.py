"""What earlier runs on this machine showed, and what it says of the next one: its speed and its memory.

A run of the same method on the same device tells more than any table, as long as its steps are of about the same size:
small steps spend their time starting kernels, large ones computing. So a measurement speaks for steps whose forward and
backward passes take between a quarter and four times as many operations. Where no run of a method was measured, those
of the others give the machine's level, and the methods' usual ratio gives the rest: a table of all three stands on one
footing.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

SIZE_RATIO = 4.0
"""Largest ratio between the operations of a measured pass and of the one that is predicted."""
SAME_MODEL_BAND, OTHER_MODEL_BAND = 0.10, 0.25
"""Least half-width of what is predicted from runs of the same model, and of others, as a share."""
METHOD_SHARE = {"full": 1.0, "lora": 1.0, "qlora": 0.7}
"""Operations a second of each method on one device, as a share of those of the fastest: QLoRA unpacks weights for every
product."""
MOST_SLOWER = {method: max(METHOD_SHARE.values()) / share - 1 for method, share in METHOD_SHARE.items()}
"""By what share a step of each method takes longer at most than one of the fastest: where nothing but computing counts.
"""
COMPILE_SECONDS = (10.0, 180.0)
"""Least and most time of compiling, until a run here measured it: some six graphs (first block and others; training
and evaluation; with and without a padding mask) of 2 to 30 s each. Two busy cores took 15 s of a processor each."""
LATER_GRAPHS = 3
"""How often as long as the first batch's graphs all of them take at most: batches without padding, or with it where
the first had none, and evaluations have graphs of their own, which are made when they are first met."""
FASTEST_GAIN = 1.3
"""By what factor compiled blocks compute faster at most; at least 1. No card has measured it here yet."""
LIGER_GAIN = 1.1
"""By what factor Liger's kernels make a pass faster at most; at least 1. A modest guess: they spare memory's traffic of
the small operations and leave the large products as they are. Its authors measured 20 % with the loss, which stays
TRL's here, and no card has measured it here yet."""

LEAST_MEMORY_BAND, ONE_RUN_MEMORY_BAND = 0.02, 0.08
"""Least half-width of an estimate that was corrected, as a share: for many runs, and for a single one."""
RUNS_REMEMBERED = 20
"""How many of the latest runs of a family correct its memory: drivers and libraries change."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One run as it went.

    run: its directory's path. time: Unix seconds. device: name, as the run's machine.json has it. devices: processes
    that trained together. method: full, lora or qlora. family: the config's model_type. passes: forward and backward
    passes of one device in a step (the accumulation). flops_per_step: operations of one device (`core.operations`).
    seconds_per_step: median, evaluations and saves apart. steps: how many were timed. tokens_per_step: of all devices,
    padding counted.
    """

    run: str
    time: float
    device: str
    devices: int = 1
    method: str
    family: str
    model: str
    checkpointing: bool = False
    passes: int = 1
    flops_per_step: float
    seconds_per_step: float
    steps: int
    tokens_per_step: float = 0.0
    predicted_bytes: int = 0
    """The estimate's total for this plan, and 0 where it was not made."""
    measured_bytes: int = 0
    """The process's peak on its device; 0 where it was not measured."""
    precision: str = ""
    """training.precision; empty in what earlier versions wrote, which then speaks for any."""
    compiled: bool = False
    """Whether its blocks were compiled."""
    compile_seconds: float = 0.0
    """How long that took for the first batch; 0 where they were not."""
    liger: bool = False
    """Whether Liger's kernels computed its small operations."""
    importing_seconds: float = 0.0
    """From the worker's start until its libraries were there. What is 0, here and below, was not measured; earlier
    versions did not."""
    rehearsing_seconds: float = 0.0
    """The rehearsal's process from beginning to end."""
    loading_seconds: float = 0.0
    """From the libraries to the first step, the evaluation before it not counted."""
    prepared_tokens: float = 0.0
    """Tokens of the rows that were prepared in that time, those held out included."""
    evaluating_seconds: float = 0.0
    """Median of the evaluations after the first step, each with the answers that it asked for."""
    evaluated_rows: int = 0
    """Of each evaluation."""
    answer_batches: int = 0
    """Batches of answers that each evaluation asked for."""
    saving_seconds: float = 0.0
    """Median of the checkpoints."""
    checkpoint_bytes: int = 0
    """Size of the last checkpoint."""
    ending_seconds: float = 0.0
    """From the end of training to the result and its card."""

    @property
    def gain(self) -> float:
        """By what factor it may be faster than transformers' own operations."""
        return kernel_gain(compiled=self.compiled, liger=self.liger)

    @property
    def flops_per_second(self) -> float:
        """Operations a second that one device reached."""
        return self.flops_per_step / self.seconds_per_step if self.seconds_per_step > 0 else 0.0

    @property
    def flops_per_pass(self) -> float:
        """Operations of one forward and backward pass."""
        return self.flops_per_step / max(1, self.passes)


def kernel_gain(*, compiled: bool, liger: bool) -> float:
    """By what factor compiled blocks, or Liger's kernels, compute faster at most."""
    return FASTEST_GAIN if compiled else LIGER_GAIN if liger else 1.0


class Speed(NamedTuple):
    """Operations a second that runs here reached, slowest and fastest, widened by what such figures are good for."""

    low_flops_per_second: float
    high_flops_per_second: float
    runs: int
    same_model: bool
    """Whether the runs were of this very model."""
    same_method: bool = True
    """Whether they were of this very method; else theirs was scaled by `METHOD_SHARE`."""

    def utilisation(self, peak_flops: float | None) -> tuple[float, float] | None:
        """Shares (0..1) of the device's peak, lowest and highest; None where the peak is not known."""
        if not peak_flops:
            return None
        return self.low_flops_per_second / peak_flops, self.high_flops_per_second / peak_flops


def learned_speed(
    measurements: Iterable[Measurement],
    *,
    device: str,
    devices: int,
    method: str,
    model: str,
    family: str,
    checkpointing: bool,
    flops_per_pass: float,
    precision: str = "",
    compiled: bool = False,
    liger: bool = False,
) -> Speed | None:
    """The speed that comparable runs reached; None where there are none. precision: of the plan; those in another
    format say nothing of it. compiled, liger: whether the plan's blocks are: what runs without it reached is the
    least.

    Runs of the same method decide alone where there are any; of these, or else of all methods, those of the same model,
    then those of its family, then all.
    """
    comparable = [
        one
        for one in measurements
        if one.device == device
        and one.devices == devices
        and one.method in METHOD_SHARE
        and (one.precision == precision or not one.precision or not precision)
        and one.flops_per_second > 0
        and 1 / SIZE_RATIO <= one.flops_per_pass / max(flops_per_pass, 1.0) <= SIZE_RATIO
    ]
    if not comparable:
        return None
    own = [one for one in comparable if one.method == method]
    near = own or comparable
    same = [one for one in near if one.model == model and one.checkpointing == checkpointing]
    kin = [one for one in near if one.family == family]
    chosen = same or kin or near
    band = SAME_MODEL_BAND if same and own else OTHER_MODEL_BAND
    reached = [one.flops_per_second * METHOD_SHARE[method] / METHOD_SHARE[one.method] for one in chosen]
    gain = kernel_gain(compiled=compiled, liger=liger)
    slower = max([1.0, *(one.gain for one in chosen if one.gain != gain)])
    faster = gain if any(one.gain != gain for one in chosen) else 1.0
    low, high = min(reached) * (1 - band) / slower, max(reached) * (1 + band) * faster
    return Speed(low, high, len(chosen), bool(same), bool(own))


def compile_seconds(measurements: Iterable[Measurement], *, device: str) -> tuple[float, float]:
    """Least and most time that compiling takes, by what runs on this device measured, else as is supposed.

    Measured are the graphs of the first batch. What was compiled before comes out of torch's cache.
    """
    found = [one.compile_seconds for one in measurements if one.device == device and one.compile_seconds > 0]
    return (min(found), LATER_GRAPHS * max(found)) if found else COMPILE_SECONDS


class LearnedMemory(NamedTuple):
    """What runs here needed beyond their prediction, in bytes (negative: less), and how far they lay from that."""

    offset_bytes: int
    band: float
    """Share of the total by which the truth may differ."""
    runs: int


def learned_memory(measurements: Iterable[Measurement], *, device: str, family: str) -> LearnedMemory | None:
    """The correction from runs of this family on this device, by name; None where none was measured."""
    near = [
        one
        for one in measurements
        if one.device == device and one.family == family and one.measured_bytes > 0 and one.predicted_bytes > 0
    ][-RUNS_REMEMBERED:]
    if not near:
        return None
    offset = round(statistics.median(one.measured_bytes - one.predicted_bytes for one in near))
    furthest = max(abs(one.measured_bytes - one.predicted_bytes - offset) / one.measured_bytes for one in near)
    return LearnedMemory(
        offset, max(LEAST_MEMORY_BAND, ONE_RUN_MEMORY_BAND / math.sqrt(len(near)), furthest), len(near)
    )
