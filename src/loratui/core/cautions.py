"""What a person should know about a plan before it runs: sentences that never block."""

from __future__ import annotations

from collections.abc import Iterator

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts
from loratui.core.hardware import Device
from loratui.core.memory.traits import PUBLISHED_ABOVE
from loratui.core.plan import Plan
from loratui.core.recommend.fit import MIN_STEPS
from loratui.core.recommend.learning_rate import FULL_RANGE, SMALL_WIDTH
from loratui.core.recommend.precision import without_sdpa
from loratui.core.schedule import Schedule

GIB = 2**30
HOT_LORA_RATE = 3e-3
CPU_PARAMETERS = 1_000_000_000


def warnings_for(
    spec: ModelSpec, plan: Plan, data: DataFacts, device: Device, schedule: Schedule, needed_bytes: int, room_bytes: int, without_data: bool,
) -> Iterator[str]:
    """Warnings about the plan, the most important first. Sizes in bytes."""
    if spec.family in PUBLISHED_ABOVE:
        yield (f"Published runs of this family ({spec.family}) needed more memory than this estimate, and why is not known; the upper end counts it in.")
    if needed_bytes > room_bytes:
        yield (
            f"This plan needs {needed_bytes / GIB:,.2f} GiB at its peak, and {device.name} can give {room_bytes / GIB:,.2f} GiB: "
            "it would run out of memory."
        )
    if not spec.known:
        yield f"The family {spec.family} is not known: parameters and memory are guessed as if it were built like Llama, until the real class has been traced."
    if spec.stored_quantization:
        yield (
            f"This model's files are quantised already ({spec.stored_quantization}), and the estimate counts unquantised weights: "
            "take the unquantised repository where there is one."
        )
    if any(".language_model." in linear.path for linear in spec.linears):
        yield "This model also sees images. Its image part is loaded but neither trained nor counted in the estimate (a few per cent more)."
    if plan.model.attention == "sdpa" and without_sdpa(spec):
        yield f"{without_sdpa(spec)} Loading it with model.attention = sdpa fails; use eager."
    if plan.training.packing and plan.model.attention == "eager":
        yield "Packing needs another attention kernel than eager, which cannot keep packed rows apart: the run would be refused."
    yield from _numbers(plan, device)
    yield from _rates(spec, plan)
    yield from _experts(spec, plan)
    yield from _rows(spec, plan, data, schedule, without_data)
    if device.kind == "cpu" and spec.total_parameters > CPU_PARAMETERS:
        yield f"{spec.total_parameters / 1e9:.1f} billion parameters on a CPU: expect minutes for each step."


def _numbers(plan: Plan, device: Device) -> Iterator[str]:
    if device.kind == "gpu" and not device.bf16 and "bf16" in (plan.training.precision, plan.method.compute_dtype):
        yield f"{device.name} has no bfloat16: use fp16."
    if device.kind == "cpu" and plan.method.kind == "qlora":
        yield "Quantised training works on a CPU but is much slower than LoRA."
    if device.count > 1 and plan.hardware.parallelism == "fsdp" and (plan.method.quantization == "int8" or not plan.training.optimizer.startswith("adamw_torch")):
        yield "bitsandbytes' 8-bit weights and optimizers cannot be divided among GPUs (hardware.parallelism = fsdp): the run would be refused."
    if plan.method.kind == "full" and plan.model.dtype != "fp32":
        yield f"Full fine-tuning with {plan.model.dtype} weights: updates below 0.4 % of a weight are rounded away."


def _rates(spec: ModelSpec, plan: Plan) -> Iterator[str]:
    rate = plan.training.learning_rate
    if plan.method.kind == "full" and rate > FULL_RANGE[1]:
        yield f"A learning rate of {rate:g} is far above every published full fine-tuning (at most 3e-4)."
    elif plan.method.kind != "full" and rate >= HOT_LORA_RATE * max(1.0, SMALL_WIDTH / spec.hidden_size):
        yield f"A learning rate of {rate:g}: from 3e-3 on, most runs of the published sweep diverged."
    if plan.lora.variant == "rslora" and plan.method.kind != "full" and plan.lora.alpha >= 2 * plan.lora.r and plan.lora.r >= 64:
        yield f"rsLoRA with alpha {plan.lora.alpha:g} at rank {plan.lora.r} scales updates by {plan.lora.alpha / plan.lora.r ** 0.5:.0f}: lower alpha or the learning rate."


def _experts(spec: ModelSpec, plan: Plan) -> Iterator[str]:
    experts = sum(linear.parameters for linear in spec.linears if linear.stored == "expert")
    if not experts or plan.method.kind == "full":
        return
    yield "The experts are 3-D parameters: the adapter reaches the attention only."
    if plan.method.kind == "qlora":
        yield f"bitsandbytes does not quantise the experts: {experts * 2 / GIB:,.1f} GiB of them stay in 16 bits."


def _rows(spec: ModelSpec, plan: Plan, data: DataFacts, schedule: Schedule, without_data: bool) -> Iterator[str]:
    length = plan.training.max_length
    if length > spec.max_positions:
        yield f"Maximum length {length:,} is more than the {spec.max_positions:,} positions that the model was made for."
    if not without_data:
        cut = data.longer_than(length)
        if cut:
            yield f"{cut:.1%} of the rows are longer than {length:,} tokens and will be cut."
        if not data.exact:
            yield "Lengths are guessed from characters; tokenising the data will make memory and length exact."
        if schedule.total_steps < MIN_STEPS:
            yield f"Only {schedule.total_steps} optimizer steps: LoRA wants at least {MIN_STEPS}; more data, more epochs or a smaller batch would help."
    if schedule.effective_batch_size > schedule.sequences:
        yield f"One step takes {schedule.effective_batch_size} rows, but there are only {schedule.sequences}."
    if schedule.warmup_steps >= schedule.total_steps > 0:
        yield "The warm-up takes the whole run: the learning rate never reaches its peak."
