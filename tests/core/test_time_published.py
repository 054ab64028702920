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
    """Seconds of a step of 8 rows, one at a time, with checkpointing: the Qwen repository's README, "Profiling of Memory
    and Speed", Qwen-7B by LoRA on one A100-SXM4-80G. Qwen2.5-7B stands in for Qwen-7B: its active weights are within 1 %."""
    plan = with_values(Plan(), {
        "training.batch_size": 1, "training.accumulation": 8, "training.max_length": length, "training.max_steps": 1,
        "training.checkpointing": True,
    })
    data = uniform(8, length)
    guess = predict(find_model("Qwen/Qwen2.5-7B").spec, plan, data, find_gpu("A100 80GB").device(), make_schedule(plan, data))
    assert guess is not None
    assert guess.low_seconds <= seconds <= guess.high_seconds
