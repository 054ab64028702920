"""Shapes of unusual build, as a worker may read them from a class: a plan is proposed for each, and nothing breaks."""

from __future__ import annotations

import pytest

from loratui.core.architecture import Linear, ModelSpec
from loratui.core.dataset import uniform
from loratui.core.hardware import Device
from loratui.core.lora_targets import adaptable, peft_targets
from loratui.core.proposal import propose
from loratui.core.proposal_json import proposal_json
from loratui.core.situation import Situation

CARD = Device(
    name="A10",
    memory_total_bytes=24 * 2**30,
    memory_free_bytes=23 * 2**30,
    compute_capability=(8, 6),
    peak_flops=125e12,
)


def shape(*linears: Linear, experts: int = 0) -> ModelSpec:
    return ModelSpec(
        id="odd",
        family="odd",
        architecture="OddForCausalLM",
        hidden_size=256,
        intermediate_size=512,
        layers=4,
        heads=4,
        kv_heads=4,
        head_dim=64,
        vocab_size=1000,
        max_positions=2048,
        tied_embeddings=True,
        linears=linears,
        embedding_parameters=256_000,
        head_parameters=0,
        norm_parameters=2304,
        experts=experts,
        experts_per_token=min(2, experts),
        traced=True,
    )


LOW_RANK = tuple(
    Linear(name, f"model.layers.{{}}.self_attn.{name}", wide, narrow, 4)
    for name, wide, narrow in (
        ("q_a_proj", 256, 96),
        ("q_b_proj", 96, 256),
        ("kv_a_proj", 256, 80),
        ("kv_b_proj", 64, 512),
        ("o_proj", 256, 256),
    )
)
MLP = (
    Linear("wide", "model.layers.{}.mlp.wide", 256, 512, 4, kind="mlp"),
    Linear("fc2", "model.layers.{}.mlp.fc2", 512, 256, 4, kind="mlp"),
)
STATES = (
    Linear("in_proj", "layers.{}.mixer.in_proj", 256, 1024, 4),
    Linear("out_proj", "layers.{}.mixer.out_proj", 512, 256, 4, refused=True),
)
EXPERTS = (Linear("w1", "model.layers.{}.moe.experts.w1", 256, 512, 16, kind="expert", stored="expert"),)


@pytest.mark.parametrize(
    "spec",
    [shape(*LOW_RANK, *MLP), shape(*STATES), shape(*LOW_RANK, *EXPERTS, experts=4)],
    ids=["low-rank", "states", "experts"],
)
@pytest.mark.parametrize("method", ["full", "lora", "qlora"])
def test_a_plan_is_proposed_for_odd_shapes(spec: ModelSpec, method: str) -> None:
    proposal = propose(Situation(spec, uniform(500, 300), CARD), by_hand={"method.kind": method})
    facts = proposal_json(proposal)
    assert sum(facts["memory"]["parts"].values()) == facts["memory"]["total"] > spec.total_parameters
    assert not any("not known" in warning for warning in facts["warnings"])


def test_refused_layers_are_left_out_by_name() -> None:
    spec = shape(*STATES, *MLP)
    assert [layer.name for layer in adaptable(spec)] == ["in_proj", "wide", "fc2"]
    assert peft_targets(spec, "all-linear") == ["in_proj", "wide", "fc2"]
    assert peft_targets(shape(*LOW_RANK, *MLP), "all-linear") == "all-linear"
