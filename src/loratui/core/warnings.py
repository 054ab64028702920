"""What a person should know about a plan before it runs: sentences that never block."""

from __future__ import annotations

import math
from collections.abc import Iterator

from loratui.core.accelerators import vendor_fault
from loratui.core.architecture import ModelSpec
from loratui.core.attention import TORCH_VARLEN
from loratui.core.capabilities import CUDA_126_TORCH, architecture_name, torch_without
from loratui.core.compiling import why_not_compiled
from loratui.core.dataset import DataFacts
from loratui.core.float16 import fp16_fault, slow_fp16
from loratui.core.hardware import Device
from loratui.core.knowledge.published_rates import FULL_RATES, TINKER_SWEEP
from loratui.core.liger import why_no_liger
from loratui.core.lora_targets import trainable_parameters
from loratui.core.memory import Estimate
from loratui.core.memory.sharding import together
from loratui.core.memory.traits import PUBLISHED_ABOVE
from loratui.core.plan import Plan
from loratui.core.preferences import learns_pairs
from loratui.core.recommend.learning_rate import FULL_RANGE, HOPELESS, SMALL_WIDTH, outliers, recipes_of_size
from loratui.core.recommend.precision import best_precision, kernel_fault, without_sdpa
from loratui.core.recommend.scale_of_data import LEAST_STEPS, MOST_EPOCHS, SMALLEST_BATCH
from loratui.core.recommendation import two_sizes
from loratui.core.schedule import Schedule
from loratui.core.situation import supposed_words
from loratui.core.time import predict
from loratui.core.varlen import why_no_varlen
from loratui.format import number_text, size

HOT_LORA_RATE = 3e-3
CPU_PARAMETERS = 1_000_000_000
ROUNDED_AWAY = {"bf16": "0.4 %", "fp16": "0.05 %"}
"""Half the distance to the next number, at most: 2⁻⁸ of a weight with 8 significant bits, 2⁻¹¹ with 11."""

GUESSED_LENGTHS = "Lengths are guessed from characters, and the chat template, which may refuse rows, was not asked"
"""Begins the warning of a plan whose data no tokenizer has read."""


def warnings_for(
    spec: ModelSpec,
    plan: Plan,
    data: DataFacts,
    device: Device,
    schedule: Schedule,
    needed: Estimate,
    room_bytes: int,
    further_rate: float | None = None,
    proposed_rate: float | None = None,
) -> Iterator[str]:
    """Warnings about the plan, the most important first. Sizes in bytes.

    further_rate: the learning rate that is proposed for training an existing adapter further; None where nobody but
    the person or the calculation chose the plan's. proposed_rate: what the calculation would take for this plan.
    """
    if spec.family in PUBLISHED_ABOVE:
        yield (
            f"Published runs of this family ({spec.family}) needed more memory than this estimate, and why is not "
            "known; the upper end counts it in."
        )
    if needed.total_bytes > room_bytes:
        yield (
            f"At its peak this plan needs {two_sizes(needed.total_bytes, room_bytes)} that {device.name} can give: it "
            "would run out of memory."
        )
    if not spec.known:
        yield (
            f"The family {spec.family} is not known: parameters and memory are guessed as if it were built like "
            "Llama, until the real class has been traced."
        )
    if spec.stored_quantization:
        yield (
            f"This model's files are quantised already ({spec.stored_quantization}), and the estimate counts "
            "unquantised weights: "
            "take the unquantised repository where there is one."
        )
    if any(".language_model." in linear.path for linear in spec.linears):
        yield (
            "This model also sees images. Its image part is loaded but neither trained nor counted in the estimate (a "
            "few per cent more)."
        )
    if plan.model.attention == "sdpa" and without_sdpa(spec):
        yield f"{without_sdpa(spec)} Loading it with model.attention = sdpa fails; use eager."
    computes = plan.model.dtype if plan.training.precision == "fp32" else plan.training.precision
    fault = kernel_fault(plan.model.attention, device, spec, computes)
    if fault:
        end = "go on without it" if plan.model.attention == TORCH_VARLEN and device.kind == "gpu" else "fail"
        yield f"{fault} The run would {end}: use model.attention = {'eager' if without_sdpa(spec) else 'sdpa'}."
    if plan.training.packing and plan.model.attention == "eager":
        yield (
            "Packing needs another attention kernel than eager, which cannot keep packed rows apart: the run would be "
            "refused."
        )
    if device.kind == "gpu" and (lacking := vendor_fault(plan, device.vendor)) and not fault:
        yield f"{lacking[0]} The run would be refused. {lacking[1]}"
    if plan.training.compile and (reason := why_not_compiled(plan)):
        yield f"{reason} The run would be refused."
    if reason := why_no_liger(plan) or why_no_varlen(plan):
        yield f"{reason} The run would be refused."
    yield from _numbers(spec, plan, device)
    yield from _rates(spec, plan, proposed_rate)
    if further_rate is not None and plan.training.learning_rate > further_rate:
        yield (
            f"The preset's learning rate of {number_text(plan.training.learning_rate)} is for a new adapter, and the "
            f"one in lora.adapter is trained further: the calculation would take {number_text(further_rate)}."
        )
    yield from _larger_than_base(spec, plan)
    yield from _experts(spec, plan)
    yield from _rows(spec, plan, data, schedule)
    if device.kind == "cpu" and spec.total_parameters > CPU_PARAMETERS:
        expected = predict(spec, plan, data, device, schedule)
        words = (
            f"a step takes about {expected.low_seconds_per_step:,.0f} to {expected.high_seconds_per_step:,.0f} seconds"
            if expected
            else "each step will take long"
        )
        yield f"{spec.total_parameters / 1e9:.1f} billion parameters on a CPU: {words}."


def _numbers(spec: ModelSpec, plan: Plan, device: Device) -> Iterator[str]:
    best = best_precision(device, spec)
    if device.assumed and device.compute_capability:
        version = ".".join(map(str, device.compute_capability))
        formats = "with bfloat16" if device.bf16 else "without bfloat16"
        yield (
            f"{device.name} names no card: compute capability {version} is assumed, {formats} ({device.assumed}). "
            "Name the card where it is another."
        )
    if device.kind == "gpu" and not device.bf16 and "bf16" in (plan.training.precision, plan.method.compute_dtype):
        yield f"{device.name} has no bfloat16: use {best}."
    if device.kind == "gpu":
        yield from _half_precision(spec, plan, device)
        yield from _torch_build(device)
    if device.kind == "cpu" and plan.method.kind == "qlora":
        yield "Quantised training works on a CPU but is much slower than LoRA."
    if together(plan, device).divided:
        yield from _undivided(plan)
    parallelism = plan.hardware.parallelism
    if parallelism != "ddp" and device.count == 1:
        yield (
            f"hardware.parallelism = {parallelism} divides nothing on a single device: name several with "
            "hardware.devices."
        )
    elif parallelism == "hybrid" and device.count == device.nodes:
        yield (
            "hardware.parallelism = hybrid divides nothing where each node has one GPU (cluster.gpus_per_node): each "
            "holds a copy."
        )
    if plan.method.double_quantization and plan.method.quantization not in ("nf4", "fp4"):
        yield (
            "method.double_quantization packs the scales of 4-bit weights: with method.quantization = "
            f"{plan.method.quantization} it does nothing."
        )
    if plan.method.kind == "full" and plan.model.dtype != "fp32":
        yield (
            f"Full fine-tuning with {plan.model.dtype} weights: updates below {ROUNDED_AWAY[plan.model.dtype]} of a "
            "weight are rounded away."
        )


def _undivided(plan: Plan) -> Iterator[str]:
    """What bitsandbytes 0.50 keeps whole on each GPU, so that FSDP2 cannot divide it."""
    set_so = f"hardware.parallelism = {plan.hardware.parallelism}"
    refused = f"cannot be divided among GPUs ({set_so}): the run would be refused. Use"
    if plan.method.quantization == "int8":
        yield f"bitsandbytes' 8-bit weights (method.quantization = int8) {refused} nf4, or hardware.parallelism = ddp."
    if not plan.training.optimizer.startswith("adamw_torch"):
        yield (
            f"The states of bitsandbytes' optimizers, in 32 bits as in 8 (training.optimizer = "
            f"{plan.training.optimizer}), {refused} adamw_torch_fused, or hardware.parallelism = ddp."
        )


def _half_precision(spec: ModelSpec, plan: Plan, device: Device) -> Iterator[str]:
    """Where float16 is wrong or slow, and where float32 had to take its place."""
    fault, reported = fp16_fault(spec.family)
    halves = "fp16" in (plan.training.precision, plan.model.dtype, plan.method.compute_dtype)
    instead = "bf16" if device.bf16 else "fp32"
    if halves and fault:
        yield (
            f"{fault}: the loss would become NaN. Use {instead} for training.precision, model.dtype and "
            f"method.compute_dtype ({reported})."
        )
    elif halves and slow_fp16(device):
        yield f"{device.name}: {slow_fp16(device)}, so fp32 is the faster format."
    elif fault and plan.training.precision == "fp32" and not device.bf16:
        rates = device.peak_flops_in("fp16"), device.peak_flops_in("fp32")
        slower = (
            f", at most 1/{rates[0] / rates[1]:.2g} as fast as float16"
            if rates[0] and rates[1] and rates[0] > 1.05 * rates[1]
            else ""
        )
        yield (
            f"{fault}, and {device.name} has no bfloat16: this trains in float32{slower}. A card with bfloat16 "
            "(compute capability 8.0) does it in 16 bits."
        )


def _torch_build(device: Device) -> Iterator[str]:
    dropped = torch_without(device.compute_capability) if device.compute_capability else ""
    if dropped and device.compute_capability:
        name = architecture_name(device.compute_capability)
        yield (
            f"{device.name} ({name}): torch's default wheels have no code for it since torch {dropped}. Install the "
            "build for CUDA 12.6, "
            f"which has it up to torch 2.14: {CUDA_126_TORCH}"
        )


def _rates(spec: ModelSpec, plan: Plan, proposed: float | None) -> Iterator[str]:
    rate = plan.training.learning_rate
    if proposed and rate >= HOPELESS * proposed:
        yield (
            f"The learning rate is too high: {number_text(rate)} is {rate / proposed:,.0f} times the proposed "
            f"{number_text(proposed)}; "
            "expect divergence."
        )
    elif proposed and rate * HOPELESS <= proposed:
        yield (
            f"The learning rate is too low: the proposed {number_text(proposed)} is {proposed / rate:,.0f} times "
            f"{number_text(rate)}; expect "
            "that next to nothing is learnt."
        )
    if plan.method.kind == "full" and rate > FULL_RANGE[1]:
        alike = [one.rate for one in recipes_of_size(spec.total_parameters)]
        size = "for a model of about this size" if alike else "for any size, far outliers apart"
        highest = max(alike or (one.rate for one in FULL_RATES if one not in outliers()))
        yield (
            f"A learning rate of {number_text(rate)} is far above the recipes for full fine-tuning {size}: they use at "
            "most "
            f"{number_text(highest)}."
        )
    elif plan.method.kind != "full" and rate >= HOT_LORA_RATE * max(1.0, SMALL_WIDTH / spec.hidden_size):
        yield (
            f"A learning rate of {number_text(rate)}: of the 80 runs that diverged in the published sweep, 72 had "
            f"0.003 ({TINKER_SWEEP})."
        )
    if (
        plan.lora.variant == "rslora"
        and plan.method.kind != "full"
        and plan.lora.alpha >= 2 * plan.lora.r
        and plan.lora.r >= 64
    ):
        yield (
            f"rsLoRA with alpha {plan.lora.alpha:g} at rank {plan.lora.r} scales updates by "
            f"{plan.lora.alpha / plan.lora.r**0.5:.0f}: lower alpha or the learning rate."
        )


def _larger_than_base(spec: ModelSpec, plan: Plan) -> Iterator[str]:
    trained = trainable_parameters(spec, plan)
    if plan.method.kind != "full" and trained > spec.total_parameters:
        yield (
            f"The adapter is larger than the model that it adapts: {trained:,} parameters beside "
            f"{spec.total_parameters:,}. Lower lora.r = {plan.lora.r:,}, or train all weights (method.kind = full)."
        )


def _experts(spec: ModelSpec, plan: Plan) -> Iterator[str]:
    experts = sum(linear.parameters for linear in spec.linears if linear.stored == "expert")
    if not experts or plan.method.kind == "full":
        return
    yield "The experts are 3-D parameters: the adapter reaches the attention only."
    if plan.method.kind == "qlora":
        yield f"bitsandbytes does not quantise the experts: {size(experts * 2)} of them stay in 16 bits."


def _more_steps(plan: Plan, schedule: Schedule) -> str:
    """What there still is to do about too few steps."""
    if plan.training.max_steps:
        return "a higher training.max_steps"
    ways = ["more data"]
    if plan.training.epochs < MOST_EPOCHS:
        ways.append("more epochs")
    least = schedule.effective_batch_size // (plan.training.batch_size * plan.training.accumulation)
    if schedule.effective_batch_size > SMALLEST_BATCH and math.ceil(schedule.sequences / least) > (
        schedule.steps_per_epoch
    ):
        ways.append("a smaller batch")
    return " or ".join([", ".join(ways[:-1]), ways[-1]]) if len(ways) > 1 else ways[0]


def _rows(spec: ModelSpec, plan: Plan, data: DataFacts, schedule: Schedule) -> Iterator[str]:
    length = plan.training.max_length
    if data.supposed:
        none = f"{plan.dataset.named} was not read" if plan.dataset.named else "No dataset is chosen"
        yield (
            f"{none}: every figure is for {supposed_words(data)}, as uneven as real ones. Rows of your own change them."
        )
    if length > spec.max_positions:
        yield (
            f"Maximum length {length:,} is more than the {spec.max_positions:,} positions that the model was made for."
        )
    else:
        cut = data.longer_than(length)
        if cut:
            yield f"{cut:.1%} of the rows are longer than {length:,} tokens and will be cut."
        if not data.exact and learns_pairs(plan):
            yield (
                "Lengths of pairs are judged by the characters of their longer side: the training counts them exactly "
                "before its first step."
            )
        elif not data.exact:
            yield (f"{GUESSED_LENGTHS}: tokenising the data (`loratui inspect`) makes rows, memory and length exact.")
        if data.unusable:
            yield (
                f"{data.unusable:,} of {data.rows:,} rows cannot be trained on, and no figure here counts them "
                f"({data.problem.rstrip('.')}): `loratui inspect` lists them."
            )
        if schedule.total_steps < LEAST_STEPS:
            yield (
                f"Only {schedule.total_steps} optimizer steps, and a run wants at least {LEAST_STEPS}: "
                f"{_more_steps(plan, schedule)} would help."
            )
    if held := 0 if plan.evaluation.every_steps else data.eval_examples:
        zero = f"dataset.eval_{'count = 0 and dataset.eval_' * bool(plan.dataset.eval_count)}fraction = 0"
        instead = f", or {zero} trains on every row" if data.eval_taken else ""
        yield (
            f"{held:,} {'row is' if held == 1 else 'rows are'} held out, and with evaluation.every_steps = 0 training "
            f"does not measure the loss there: `loratui evaluate` can measure the result{instead}."
        )
    if schedule.effective_batch_size > schedule.sequences:
        yield f"One step takes {schedule.effective_batch_size} rows, but there are only {schedule.sequences}."
    if schedule.warmup_steps >= schedule.total_steps > 0:
        yield "The warm-up takes the whole run: the learning rate never reaches its peak."
