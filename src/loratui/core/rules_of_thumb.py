"""The folk rules of fine-tuning, exactly as they are handed on, and nothing better.

They stand beside each recommendation so that a person sees what the widespread rule would have said. Where they are
known to be wrong, the docstring says by how much. Units are in the names; 1 GB is 1024 MB here, and a million is 10⁶,
as the rules mix them. The worked example (619 million parameters, T4 with 16 GB, 512 tokens, 1,000 rows, width 896,
24 layers) is a test, figure by figure.
"""

from __future__ import annotations

import math
from typing import NamedTuple

BYTES_PER_PARAMETER = 2
OPTIMIZER_BYTES_PER_PARAMETER = 8
ACTIVATION_BYTES_PER_TOKEN_AND_LAYER = 12
SAFETY_MARGIN = 0.85
BATCH_SIZE_CAP = 4
EFFECTIVE_BATCH_SIZE = 8
EPOCHS = 3
WARMUP_RATIO = 0.1
BASE_LEARNING_RATE = 2e-4
OPTIMIZER = "adamw_torch"
BETA1, BETA2, EPSILON, WEIGHT_DECAY, MAX_GRAD_NORM = 0.9, 0.999, 1e-8, 0.01, 1.0
SCHEDULER, MIN_LR_RATIO = "cosine", 0.1
RANK, ALPHA, DROPOUT = 16, 32, 0.05
TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def model_memory_gb(parameters_millions: float) -> float:
    """Weights at 2 bytes each, in GB: millions · 2 / 1024. Mixes 10⁶ and 2¹⁰: 2.4 % above GiB's true figure."""
    return parameters_millions * BYTES_PER_PARAMETER / 1024


def adapter_parameters(rank: int, width: int, layers: int, modules: int) -> int:
    """LoRA parameters, 2·r·d_model·layers·modules. Takes every layer for a square of d_model: half of the truth for
    Qwen3-0.6B.
    """
    return 2 * rank * width * layers * modules


def optimizer_memory_gb(trainable_millions: float) -> float:
    """AdamW's two states in GB: millions · 8 / 1024."""
    return trainable_millions * OPTIMIZER_BYTES_PER_PARAMETER / 1024


def activation_bytes(tokens: int, layers: int) -> int:
    """Activations of one row: 12 bytes per token and layer. Far too low: traced steps of Qwen3-0.6B show 5,700 to
    74,000.
    """
    return tokens * layers * ACTIVATION_BYTES_PER_TOKEN_AND_LAYER


def available_memory_gb(gpu_gb: float, model_gb: float, optimizer_gb: float) -> float:
    """What a batch may fill: 85 % of what model and optimizer leave, in GB."""
    return (gpu_gb - model_gb - optimizer_gb) * SAFETY_MARGIN


def batch_size(available_gb: float, bytes_per_row: int) -> int:
    """Rows that fit, from 1 to 4."""
    return min(BATCH_SIZE_CAP, max(1, int(available_gb * 1024**3 / bytes_per_row)))


def accumulation(batch: int) -> int:
    """Forward passes per step towards an effective batch of 8."""
    return max(1, EFFECTIVE_BATCH_SIZE // batch)


def warmup_steps(total_steps: int) -> int:
    """10 % of the steps, rounded up (the formula cuts 37.5 to 37; its own worked example and transformers say 38)."""
    return math.ceil(total_steps * WARMUP_RATIO - 1e-9)


def learning_rate(effective_batch_size: int) -> float:
    """2e-4 · sqrt(effective batch / 8)."""
    return float(BASE_LEARNING_RATE * (effective_batch_size / EFFECTIVE_BATCH_SIZE) ** 0.5)


def precision(bf16: bool) -> str:
    """bf16 where the card has it, else fp16 (T4, V100)."""
    return "bf16" if bf16 else "fp16"


class RuleOfThumb(NamedTuple):
    """Every figure of the folk calculation for one situation."""

    model_gb: float
    adapter_parameters: int
    optimizer_gb: float
    activation_bytes_per_row: int
    available_gb: float
    batch_size: int
    accumulation: int
    effective_batch_size: int
    steps_per_epoch: int
    total_steps: int
    warmup_steps: int
    learning_rate: float
    total_gb: float
    precision: str


def calculate(
    *,
    parameters: int,
    width: int,
    layers: int,
    tokens: int,
    examples: int,
    gpu_gb: float,
    bf16: bool,
    modules: int = 7,
    batch: int | None = None,
    passes: int | None = None,
    epochs: float = EPOCHS,
    steps: int = 0,
) -> RuleOfThumb:
    """The whole folk calculation. parameters: of the model. width: d_model. tokens: per row. gpu_gb: of the card.

    batch, passes (accumulation), epochs and steps stand for what a person has fixed; the rules follow them.
    """
    model_gb = model_memory_gb(parameters / 1e6)
    adapter = adapter_parameters(RANK, width, layers, modules)
    optimizer_gb = optimizer_memory_gb(adapter / 1e6)
    per_row = activation_bytes(tokens, layers)
    available = available_memory_gb(gpu_gb, model_gb, optimizer_gb)
    batch = batch or batch_size(available, per_row)
    passes = passes or accumulation(batch)
    per_epoch = math.ceil(examples / (batch * passes))
    total = steps or math.ceil(per_epoch * epochs)
    return RuleOfThumb(
        model_gb=model_gb,
        adapter_parameters=adapter,
        optimizer_gb=optimizer_gb,
        activation_bytes_per_row=per_row,
        available_gb=available,
        batch_size=batch,
        accumulation=passes,
        effective_batch_size=batch * passes,
        steps_per_epoch=per_epoch,
        total_steps=total,
        warmup_steps=warmup_steps(total),
        learning_rate=learning_rate(batch * passes),
        total_gb=model_gb + optimizer_gb + batch * per_row / 1024**3,
        precision=precision(bf16),
    )
