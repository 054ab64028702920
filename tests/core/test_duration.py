"""How long a training takes, against times that others measured."""

from __future__ import annotations

import pytest

from loratui.core.dataset import uniform
from loratui.core.duration import Span, active_weights, operations_per_token, training_span
from loratui.core.hardware import Device
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.core.schedule import make_schedule
from loratui.machine.catalogue import find_gpu
from loratui.models.find import find_model

A100 = find_gpu("A100 80GB").device()


def step_span(model: str, length: int, device: Device, **values: object) -> Span:
    """One optimizer step of 8 rows, one at a time."""
    plan = with_values(Plan(), {
        "training.batch_size": 1, "training.accumulation": 8, "training.max_length": length, "training.max_steps": 1,
        "training.checkpointing": True, **{key.replace("__", "."): value for key, value in values.items()},
    })
    data = uniform(8, length)
    span = training_span(find_model(model).spec, plan, data, device, make_schedule(plan, data))
    assert span is not None
    return span


@pytest.mark.parametrize(
    ("length", "seconds"), [(256, 1.2), (512, 1.5), (1024, 2.8), (2048, 5.2), (4096, 10.1), (8192, 21.3)]
)
def test_lora_of_a_7b_model_on_an_a100(length: int, seconds: float) -> None:
    """Qwen-7B, LoRA with checkpointing, batch 1 x 8: seconds a step from the Qwen README's profile (its architecture is
    that of Llama-2-7B with a larger vocabulary; Qwen2.5-7B stands in, whose active weights are within 1 %)."""
    span = step_span("Qwen/Qwen2.5-7B", length, A100)
    assert span.fast_seconds <= seconds <= span.slow_seconds
    assert span.slow_seconds / span.fast_seconds < 3


@pytest.mark.parametrize(
    ("length", "seconds"), [(256, 3.0), (512, 3.0), (1024, 3.5), (2048, 7.0), (4096, 11.6), (8192, 22.3)]
)
def test_qlora_of_a_7b_model_on_an_a100(length: int, seconds: float) -> None:
    """The same profile's Q-LoRA rows."""
    span = step_span("Qwen/Qwen2.5-7B", length, A100, method__kind="qlora", method__quantization="nf4")
    assert span.fast_seconds <= seconds <= span.slow_seconds


def test_full_costs_half_again_what_lora_does() -> None:
    spec = find_model("Qwen/Qwen2.5-7B").spec
    lora, full = (operations_per_token(spec, with_values(Plan(), {"method.kind": kind}), 512) for kind in ("lora", "full"))
    assert full / lora == pytest.approx(1.5)


def test_experts_that_see_no_token_do_no_work() -> None:
    spec = find_model("Qwen/Qwen3-30B-A3B").spec
    assert 2.7e9 < active_weights(spec) < 3.5e9  # "A3B": 3.3 B active parameters, the embedding among them


def test_without_a_peak_there_is_no_span() -> None:
    device = Device(name="mystery", memory_total_bytes=1, memory_free_bytes=1)
    plan, data = Plan(), uniform(10, 100)
    assert training_span(find_model("Qwen/Qwen3-0.6B").spec, plan, data, device, make_schedule(plan, data)) is None


@pytest.mark.parametrize(
    ("fast", "slow", "words"),
    [(10, 30, "under a minute"), (20, 60, "a minute or two"), (60, 300, "1 to 5 minutes"), (7200, 18000, "2 to 5 hours"),
     (86400, 864000, "1 to 10 days")],
)
def test_words(fast: float, slow: float, words: str) -> None:
    assert Span(fast, slow).words == words
