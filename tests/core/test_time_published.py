"""Predicted times against times that others measured."""

from __future__ import annotations

import pytest

from loratui.core.dataset import uniform
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.schedule import make_schedule
from loratui.core.time import predict
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model


@pytest.mark.parametrize(
    ("length", "seconds"), [(256, 1.2), (512, 1.5), (1024, 2.8), (2048, 5.2), (4096, 10.1), (8192, 21.3)]
)
def test_lora_of_a_7b_model_on_an_a100(length: int, seconds: float) -> None:
    """Seconds of a step of 8 rows, one at a time, with checkpointing: the Qwen repository's README, "Profiling of
    Memory and Speed", Qwen-7B by LoRA on one A100-SXM4-80G. Qwen2.5-7B stands in for Qwen-7B: its active weights are
    within 1 %."""
    plan = with_values(
        Plan(),
        {
            "training.batch_size": 1,
            "training.accumulation": 8,
            "training.max_length": length,
            "training.max_steps": 1,
            "training.checkpointing": True,
        },
    )
    data = uniform(8, length)
    guess = predict(
        find_model("Qwen/Qwen2.5-7B").spec, plan, data, find_gpu("A100 80GB").device(), make_schedule(plan, data)
    )
    assert guess is not None
    assert guess.low_seconds <= seconds <= guess.high_seconds


@pytest.mark.parametrize(("tokens_per_second", "within"), [(3_075, True), (11_340, False)])
def test_a_mixture_of_30b_takes_as_long_as_nvidia_measured(tokens_per_second: float, within: bool) -> None:
    """Qwen3-30B-A3B, full fine-tuning on 8 H100, a row of 4,096 tokens each: transformers 5 with its best settings
    reached 3,075 tokens a second and card, a library with kernels made for it 11,340 (Hugging Face blog, "Accelerating
    Transformers Fine-Tuning with NVIDIA NeMo AutoModel", June 2026). This program trains with transformers."""
    plan = with_values(
        Plan(),
        {
            "method.kind": "full",
            "training.batch_size": 1,
            "training.accumulation": 1,
            "training.max_length": 4096,
            "training.max_steps": 1,
            "training.checkpointing": False,
        },
    )
    data = uniform(8, 4096)
    guess = predict(
        find_model("Qwen/Qwen3-30B-A3B").spec, plan, data, find_gpu("H100").device(8), make_schedule(plan, data, 8)
    )
    assert guess is not None
    assert (guess.low_seconds_per_step <= 4096 / tokens_per_second <= guess.high_seconds_per_step) is within
