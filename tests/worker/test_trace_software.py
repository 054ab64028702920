"""Another trainer's estimate against the traced step of real classes: every logit, as transformers' own loss makes
them."""

from __future__ import annotations

from typing import Any

import pytest

from loratui.core.dataset import uniform
from loratui.core.families import read_config
from loratui.core.hardware import Device
from loratui.core.memory import estimate
from loratui.core.memory.trainers import TRANSFORMERS
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values

pytestmark = pytest.mark.worker

DEVICE = Device(name="any", memory_total_bytes=2**40, memory_free_bytes=2**40, compute_capability=(9, 0))
QWEN3: dict[str, Any] = {
    "model_type": "qwen3",
    "hidden_size": 512,
    "intermediate_size": 1536,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "vocab_size": 32000,
    "max_position_embeddings": 4096,
    "head_dim": 64,
    "tie_word_embeddings": True,
}


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"training.checkpointing": True},
        {"method.kind": "full", "training.checkpointing": True},
        {"training.precision": "fp32", "training.checkpointing": True},
    ],
    ids=["lora", "checkpointed", "full", "without autocast"],
)
def test_every_logit_is_counted_as_the_real_loss_holds_it(values: dict[str, Any]) -> None:
    from loratui.worker.tracing.step import trace_step

    plan = with_values(
        Plan(), {"training.batch_size": 2, "training.max_length": 512, "training.loss_on": "all", **values}
    )
    found = estimate(read_config(QWEN3), plan, uniform(100, 512), DEVICE, TRANSFORMERS)
    traced = trace_step(QWEN3, plan, rows=2, tokens=512, accumulates=True, own_loss=True)
    assert found.tensors_bytes == pytest.approx(traced.peak_bytes, rel=0.03)
    ours = estimate(read_config(QWEN3), plan, uniform(100, 512), DEVICE)
    assert found.total_bytes > ours.total_bytes + 4 * 1024 * 32000
