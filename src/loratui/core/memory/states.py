"""What a training holds from its first step to its last: weights, adapter, gradients, optimizer states. Exact to the
byte.

Checked in tests against real modules, real bitsandbytes layers (0.50, quantised on the CPU) and real optimizers.
"""

from __future__ import annotations

from collections.abc import Iterator

from loratui.core.architecture import Linear, ModelSpec
from loratui.core.lora_targets import resolve_targets
from loratui.core.memory.formats import Formats
from loratui.core.plan import Plan

BLOCK_4BIT = 64
"""Weights that share one scale in 4 bit (bitsandbytes' default)."""
BLOCK_NESTED = 256
"""Scales that share one scale of their own under double quantisation, and 8-bit states that share one."""
CODE_4BIT_BYTES = 64
"""The 16 float32 values that 4 bits stand for; each layer holds its own table."""
CODE_8BIT_BYTES = 1024
"""The 256 float32 values that 8 bits stand for; one table on a device."""
MINIMUM_8BIT_ELEMENTS = 4096
"""Tensors below this keep float32 states under an 8-bit optimizer."""


def quantised_layer_bytes(linear: Linear, quantization: str, *, double_quantization: bool) -> int:
    """One layer's weight in 4 or 8 bit with its scales and code table; its bias not counted.

    Double quantisation's own 1 KiB table is shared by all layers and not counted here.
    """
    elements = linear.in_features * linear.out_features
    if quantization == "int8":
        return elements + 4 * linear.out_features
    blocks = -(-elements // BLOCK_4BIT)
    packed = (elements + 1) // 2 + CODE_4BIT_BYTES
    if not double_quantization:
        return packed + 4 * blocks
    offset = 4
    return packed + blocks + 4 * -(-blocks // BLOCK_NESTED) + offset


def is_quantised(linear: Linear, form: Formats) -> bool:
    """Whether bitsandbytes replaces this layer: plain linear layers only, not 3-D experts or routers that are
    parameters.
    """
    return form.quantised and linear.stored in ("linear", "conv1d")


def linear_bytes(linear: Linear, form: Formats) -> int:
    """All `count` layers of one kind, biases included."""
    if not is_quantised(linear, form):
        return linear.parameters * form.weight
    bias = linear.out_features * form.weight if linear.bias else 0
    one = quantised_layer_bytes(linear, form.quantization, double_quantization=form.double_quantization)
    return linear.count * (one + bias)


def scales_bytes(spec: ModelSpec, form: Formats) -> int:
    """What bitsandbytes keeps beside packed 4-bit weights: scales and tables. They are no parameters: FSDP2 divides
    none of them.
    """
    if form.quantization not in ("nf4", "fp4"):
        return 0
    total = CODE_8BIT_BYTES if form.double_quantization else 0
    for linear in spec.linears:
        if is_quantised(linear, form):
            one = quantised_layer_bytes(linear, form.quantization, double_quantization=form.double_quantization)
            total += linear.count * (one - (linear.in_features * linear.out_features + 1) // 2)
    return total


def weights_bytes(spec: ModelSpec, form: Formats) -> int:
    """The base model as it lies on the device; a tied head is counted once."""
    linears = sum(linear_bytes(linear, form) for linear in spec.linears)
    others = spec.embedding_parameters + spec.head_parameters + spec.norm_parameters
    if form.quantised and spec.tied_embeddings and not spec.norm_parameters:
        # transformers leaves the last named parameter as it is: with a tied head and norms without weights (OLMo), a
        # layer
        last = spec.linears[-1]
        if is_quantised(last, form):
            one = quantised_layer_bytes(last, form.quantization, double_quantization=form.double_quantization)
            linears += last.in_features * last.out_features * form.weight - one
    nested = CODE_8BIT_BYTES if form.double_quantization and form.quantization in ("nf4", "fp4") else 0
    return linears + others * form.weight + nested


def adapter_tensors(spec: ModelSpec, plan: Plan, form: Formats) -> Iterator[tuple[int, int, int]]:
    """(elements, count, bytes per element) of the adapter's tensors: A and B of each layer, and DoRA's magnitudes."""
    element = form.adapter
    for linear in resolve_targets(spec, plan.lora.targets):
        yield plan.lora.r * linear.in_features, linear.count, element
        yield plan.lora.r * linear.out_features, linear.count, element
        if plan.lora.variant == "dora":
            yield linear.out_features, linear.count, 4


def trained_tensors(spec: ModelSpec, plan: Plan, form: Formats) -> Iterator[tuple[int, int, int, bool]]:
    """(elements, count, bytes per element, is an embedding) of every tensor that the optimizer moves."""
    if not form.full:
        for elements, count, element in adapter_tensors(spec, plan, form):
            yield elements, count, element, False
        return
    for linear in spec.linears:
        if linear.stored == "expert":
            yield (
                linear.in_features * linear.out_features * max(1, spec.experts),
                linear.count // max(1, spec.experts),
                form.weight,
                False,
            )
            if linear.bias:
                yield (
                    linear.out_features * max(1, spec.experts),
                    linear.count // max(1, spec.experts),
                    form.weight,
                    False,
                )
            continue
        yield linear.in_features * linear.out_features, linear.count, form.weight, False
        if linear.bias:
            yield linear.out_features, linear.count, form.weight, False
    yield spec.embedding_parameters, 1, form.weight, True
    if spec.head_parameters:
        yield spec.head_parameters, 1, form.weight, False
    if spec.norm_parameters:
        norms = max(1, spec.norm_parameters // max(1, spec.hidden_size))
        yield spec.norm_parameters // norms, norms, form.weight, False
        if spec.norm_parameters % norms:
            yield spec.norm_parameters % norms, 1, form.weight, False


def optimizer_bytes(spec: ModelSpec, plan: Plan, form: Formats) -> int:
    """AdamW's two states per trained element.

    torch keeps them in the parameter's own format (its step counters, 4 bytes a tensor, are not counted); bitsandbytes
    in float32 or in 8 bit with a float32 scale per 256 elements. transformers keeps embeddings' states in float32 under
    an 8-bit optimizer. Paged states count too: the driver moves them to the host only when the GPU is full.
    """
    name = plan.training.optimizer
    if name.startswith("adamw_torch"):
        return sum(2 * elements * count * element for elements, count, element, _ in trained_tensors(spec, plan, form))
    if name == "paged_adamw_32bit":
        return sum(8 * elements * count for elements, count, _, _ in trained_tensors(spec, plan, form))
    total = 0
    for elements, count, _, embedding in trained_tensors(spec, plan, form):
        if elements < MINIMUM_8BIT_ELEMENTS or embedding:
            total += 8 * elements * count
        else:
            total += 2 * count * (elements + 4 * -(-elements // BLOCK_NESTED))
    return total + (2 * CODE_8BIT_BYTES if total else 0)


def gradients_bytes(spec: ModelSpec, plan: Plan, form: Formats) -> int:
    """One gradient per trained element, in the parameter's own format."""
    return sum(elements * count * element for elements, count, element, _ in trained_tensors(spec, plan, form))


def adapter_bytes(spec: ModelSpec, plan: Plan, form: Formats) -> int:
    """The adapter's own weights; 0 for full fine-tuning."""
    if form.full:
        return 0
    return sum(elements * count * element for elements, count, element in adapter_tensors(spec, plan, form))
