"""What must hold of every proposal, whatever model, data, machine and wishes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from loratui.core.dataset import DataFacts
from loratui.core.families import read_config
from loratui.core.hardware import Device
from loratui.core.memory import estimate
from loratui.core.plan_text import check_value, fields, plan_from_toml, plan_to_toml
from loratui.core.presets import AUTO, Preset
from loratui.core.proposal import Proposal, propose
from loratui.core.recommend.adapter import MAX_RANK, MIN_RANK
from loratui.core.recommend.learning_rate import allowed_range
from loratui.core.recommend.precision import best_precision
from loratui.core.schedule import learning_rate_at
from loratui.core.situation import Situation
from loratui.paths import presets_path
from loratui.presets_store import load_presets

PRESETS = load_presets([presets_path()])[0]
GIB = 2**30


@st.composite
def configs(draw: st.DrawFn) -> dict[str, Any]:
    family = draw(
        st.sampled_from(
            [
                "llama",
                "qwen2",
                "qwen3",
                "gemma2",
                "phi3",
                "glm4",
                "gpt2",
                "gpt_neox",
                "gpt_oss",
                "qwen3_moe",
                "olmo2",
                "shiny",
            ]
        )
    )
    heads = draw(st.sampled_from([2, 4, 8, 32]))
    hidden = heads * draw(st.sampled_from([16, 64, 128, 256]))
    layers = draw(st.integers(1, 48))
    return {
        "model_type": family,
        "architectures": ["ShinyForCausalLM"] if family == "shiny" else None,
        "hidden_size": hidden,
        "n_embd": hidden,
        "intermediate_size": draw(st.integers(1, 8)) * hidden // 2,
        "num_hidden_layers": layers,
        "n_layer": layers,
        "num_attention_heads": heads,
        "n_head": heads,
        "num_key_value_heads": draw(st.sampled_from([1, 2])),
        "vocab_size": draw(st.integers(100, 260_000)),
        "tie_word_embeddings": draw(st.booleans()),
        "max_position_embeddings": draw(st.sampled_from([256, 2048, 131_072])),
        "num_local_experts": 4,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "moe_intermediate_size": 64,
    }


@st.composite
def datasets(draw: st.DrawFn) -> DataFacts | None:
    if draw(st.integers(0, 9)) == 0:
        return None
    lengths = sorted(draw(st.lists(st.integers(1, 20_000), min_size=1, max_size=40)))
    return DataFacts(
        examples=draw(st.integers(len(lengths), 2_000_000)),
        lengths=tuple(lengths),
        exact=draw(st.booleans()),
        trained_share=draw(st.floats(0.01, 1.0)),
    )


@st.composite
def devices(draw: st.DrawFn) -> Device:
    total = draw(st.integers(1, 200)) * GIB
    cpu = draw(st.booleans())
    return Device(
        name="CPU" if cpu else "GPU",
        kind="cpu" if cpu else "gpu",
        memory_total_bytes=total,
        memory_free_bytes=int(total * draw(st.floats(0.01, 1))),
        compute_capability=None if cpu else draw(st.sampled_from([None, (6, 1), (7, 5), (8, 0), (9, 0), (12, 0)])),
        count=1 if cpu else draw(st.integers(1, 8)),
        peak_flops=draw(st.sampled_from([None, 1e12, 1e15])),
    )


WISHES = st.fixed_dictionaries(
    {},
    optional={
        "method.kind": st.sampled_from(["full", "lora", "qlora"]),
        "training.precision": st.sampled_from(["bf16", "fp16", "fp32"]),
        "lora.r": st.sampled_from([1, 7, 64, 512]),
        "lora.variant": st.sampled_from(["lora", "rslora", "dora"]),
        "training.batch_size": st.sampled_from([1, 3, 64]),
        "training.accumulation": st.sampled_from([1, 5, 64]),
        "training.max_length": st.sampled_from([8, 100, 4096]),
        "training.epochs": st.sampled_from([0.1, 1.0, 20.0]),
        "training.max_steps": st.sampled_from([0, 1, 1000]),
        "training.warmup_steps": st.sampled_from([0, 10, 100_000]),
        "training.checkpointing": st.booleans(),
        "training.packing": st.booleans(),
        "training.scheduler": st.sampled_from(["cosine", "linear", "constant", "cosine_with_restarts"]),
        "dataset.eval_fraction": st.sampled_from([0.0, 0.5]),
    },
)


def consistent(proposal: Proposal, by_hand: dict[str, Any], preset: Preset) -> None:
    plan, schedule, memory = proposal.plan, proposal.schedule, proposal.memory
    assert plan_from_toml(plan_to_toml(plan)) == plan
    assert set(proposal.origins) == set(fields())
    for key, value in by_hand.items():
        assert plan.get(key) == value and proposal.origins[key] == "mine"
    for key, reason in proposal.recommendations.items():
        check_value(key, reason.value)
        assert reason.why and all(
            isinstance(text, str)
            for text in (reason.formula, reason.source, reason.up, reason.down, reason.disagreement)
        )
        if proposal.origins[key] == "proposed" and preset.calculation == "evidence":
            assert plan.get(key) == reason.value, key
    assert memory == estimate(proposal.spec, plan, proposal.data, proposal.device), (
        "an estimate was remembered for another plan"
    )
    assert sum(memory.parts.values()) == memory.total_bytes and min(memory.parts.values()) >= 0
    assert proposal.headroom_bytes == proposal.budget.bytes - memory.total_bytes
    assert proposal.parameters_trainable > 0
    assert schedule.total_steps >= 1 and 0 <= schedule.warmup_steps <= schedule.total_steps
    for step in {0, schedule.warmup_steps, schedule.total_steps // 2, schedule.total_steps - 1}:
        assert 0 <= learning_rate_at(plan, schedule, step) <= plan.training.learning_rate * (1 + 1e-12)
    assert proposal.verdict != "too big" or any("out of memory" in warning for warning in proposal.warnings)


@settings(max_examples=60, deadline=None)
@given(configs(), datasets(), devices(), WISHES, st.sampled_from(PRESETS))
def test_every_proposal_is_whole_and_consistent(
    config: dict[str, Any], data: DataFacts | None, device: Device, by_hand: dict[str, Any], preset: Preset
) -> None:
    spec = read_config(config, "model")
    consistent(propose(Situation(spec, data, device), preset, by_hand), by_hand, preset)


@settings(max_examples=60, deadline=None)
@given(configs(), datasets(), devices())
def test_recommendations_keep_within_their_stated_ranges(
    config: dict[str, Any], data: DataFacts | None, device: Device
) -> None:
    spec = read_config(config, "model")
    proposal = propose(Situation(spec, data, device), AUTO)
    plan = proposal.plan
    consistent(proposal, {}, AUTO)
    low, high = allowed_range(spec, full=plan.method.kind == "full")
    assert low <= plan.training.learning_rate <= high
    assert MIN_RANK <= plan.lora.r <= MAX_RANK and math.log2(plan.lora.r).is_integer()
    assert plan.training.max_length <= max(8, spec.max_positions)
    assert plan.training.epochs in (1.0, 2.0) or (
        3.0 <= plan.training.epochs <= 10.0 and proposal.data.examples < 1_000
    )
    assert 0.9 < plan.training.beta2 <= 0.999
    assert plan.training.warmup_steps <= 100
    assert plan.training.precision == best_precision(device, spec)
    if device.kind == "cpu" or device.compute_capability == (6, 1):
        assert plan.training.precision == "fp32", "neither gains from 16 bits"
    assert plan.method.kind in (("lora",) if device.kind == "cpu" else ("lora", "qlora"))
    assert proposal.schedule.effective_batch_size <= max(128 * 4 / 3, device.count), (
        "devices and batches divide 128 to within a third"
    )


@settings(max_examples=20, deadline=None)
@given(configs(), datasets(), devices())
def test_more_memory_never_makes_the_plan_leaner(
    config: dict[str, Any], data: DataFacts | None, device: Device
) -> None:
    spec = read_config(config, "model")
    larger = replace(
        device,
        **{"memory_total_bytes": device.memory_total_bytes * 4, "memory_free_bytes": device.memory_free_bytes * 4},
    )
    before, after = (propose(Situation(spec, data, one), AUTO) for one in (device, larger))
    assert after.fits or not before.fits
    assert not (before.plan.method.kind == "lora" and after.plan.method.kind == "qlora" and before.fits)


@settings(max_examples=20, deadline=None)
@given(configs(), datasets(), devices(), st.sampled_from(["lora.r", "training.batch_size", "training.max_length"]))
def test_memory_grows_with_rank_batch_and_length(
    config: dict[str, Any], data: DataFacts | None, device: Device, key: str
) -> None:
    spec = read_config(config, "model")
    fixed = {
        "method.kind": "lora",
        "training.checkpointing": False,
        "training.batch_size": 2,
        "training.accumulation": 2,
        "training.max_length": 128,
        "lora.r": 8,
        "training.packing": False,
        "training.optimizer": "adamw_torch_fused",
    }
    small = propose(Situation(spec, data, device), AUTO, fixed)
    large = propose(Situation(spec, data, device), AUTO, {**fixed, key: fixed[key] * 4})
    assert large.memory.total_bytes >= small.memory.total_bytes
