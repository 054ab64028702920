"""Families that no formula knows: after one trace of their class, estimates for other lengths and methods are as
good.
"""

from __future__ import annotations

from typing import Any

import pytest

from loratui.core.dataset import uniform
from loratui.core.hardware import Device
from loratui.core.memory import estimate
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.models.shapes import spec_from_json, spec_to_json
from loratui.worker.shape import read_shape
from loratui.worker.tracing.step import trace_step

pytestmark = pytest.mark.worker

DEVICE = Device(name="any", memory_total_bytes=2**40, memory_free_bytes=2**40, compute_capability=(9, 0))
SIZES: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 1024,
    "intermediate_size": 2816,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "max_position_embeddings": 4096,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
FAMILIES: dict[str, dict[str, Any]] = {
    "cohere": SIZES,
    "exaone4": SIZES,
    "qwen2_moe": {
        **SIZES,
        "num_experts": 8,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 704,
        "shared_expert_intermediate_size": 1024,
    },
    "falcon_h1": {**SIZES, "mamba_d_ssm": 1024, "mamba_n_heads": 8, "mamba_d_head": 128, "mamba_d_state": 64},
}


@pytest.mark.parametrize("family", FAMILIES)
def test_an_unknown_family_is_estimated_as_well_as_a_known_one(family: str) -> None:
    config = {"model_type": family, **FAMILIES[family]}
    spec = read_shape(config, family)
    assert spec_from_json(spec_to_json(spec)) == spec and len(spec.activation_ratios) == 4
    for values in (
        {"method.kind": "lora", "training.checkpointing": False, "training.max_length": 2048},
        {"method.kind": "lora", "training.checkpointing": True, "training.max_length": 512, "lora.r": 64},
        {"method.kind": "full", "training.checkpointing": True, "training.max_length": 2048},
    ):
        plan = with_values(
            Plan(),
            {
                **values,
                "training.batch_size": 1,
                "training.accumulation": 4,
                "model.dtype": "bf16",
                "training.precision": "bf16",
            },
        )
        length = plan.training.max_length
        said = estimate(spec, plan, uniform(100, length), DEVICE)
        traced = trace_step(config, plan, rows=1, tokens=length, spec=spec, accumulates=True)
        assert said.tensors_bytes == pytest.approx(traced.peak_bytes, rel=0.03), values
