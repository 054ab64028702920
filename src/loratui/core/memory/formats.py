"""Which number format each tensor of a training has, in bytes per element: read off the plan."""

from __future__ import annotations

from typing import NamedTuple

from loratui.core.memory.trainers import LORATUI, Software
from loratui.core.plan import Plan

ELEMENT_BYTES = {"fp32": 4, "bf16": 2, "fp16": 2}


class Formats(NamedTuple):
    """Bytes per element, and what changes them on the way.

    weight: the base model's unquantised weights (`model.dtype`). adapter: LoRA's A and B. compute: products.
    autocast: whether the trainer wraps the forward pass in it (any precision but fp32).
    casts_weights: under autocast, weights whose format is not the compute format are copied for every product.
    """

    weight: int
    adapter: int
    compute: int
    autocast: bool
    casts_weights: bool
    casts_adapter: bool
    full: bool
    quantization: str
    double_quantization: bool
    quantised_compute: int
    """Format in which bitsandbytes multiplies with unpacked 4-bit weights (`method.compute_dtype`)."""
    dropout: bool
    dora: bool
    software: Software = LORATUI
    fused: frozenset[str] = frozenset()
    """What of a block Liger's kernels compute (`core.liger.fused`)."""

    @property
    def quantised(self) -> bool:
        """Whether the base's linear layers are quantised."""
        return self.quantization != "none"


def formats(plan: Plan, software: Software = LORATUI) -> Formats:
    """The number formats of a plan under a trainer.

    PEFT 0.21 keeps adapters in float32 on a 16-bit base (`autocast_adapter_dtype`), and so does the worker on a
    quantised one, where TRL 1.16 casts them to bfloat16 (the DoRA magnitude excepted).
    """
    quantised = plan.method.quantization != "none"
    wide_rest = software.wide_rest and quantised
    weight = 4 if wide_rest else ELEMENT_BYTES[plan.model.dtype]
    autocast = plan.training.precision != "fp32" if software.autocast is None else software.autocast
    adapter = software.qlora_adapter if quantised else software.lora_adapter
    compute = ELEMENT_BYTES[plan.training.precision] if autocast else weight
    adapter_format = "fp32" if adapter == 4 else "bf16"
    return Formats(
        weight=weight,
        adapter=adapter,
        compute=compute,
        autocast=autocast,
        casts_weights=autocast and (wide_rest or plan.model.dtype != plan.training.precision),
        casts_adapter=autocast and adapter_format != plan.training.precision,
        full=plan.method.kind == "full",
        quantization=plan.method.quantization,
        double_quantization=plan.method.double_quantization,
        quantised_compute=ELEMENT_BYTES[plan.method.compute_dtype],
        dropout=plan.lora.dropout > 0 and plan.method.kind != "full",
        dora=plan.lora.variant == "dora" and plan.method.kind != "full",
        software=software,
    )
