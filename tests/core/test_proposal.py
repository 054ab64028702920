"""The chain of consequences, and the object that `plan --json` prints."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loratui.core.architecture import ModelSpec
from loratui.core.dataset import DataFacts, uniform
from loratui.core.errors import PlanError
from loratui.core.families import read_config
from loratui.core.hardware import Device
from loratui.core.plan import Plan
from loratui.core.plan_text import fields, plan_from_toml, plan_to_toml
from loratui.core.presets import AUTO, Preset
from loratui.core.proposal import Proposal, propose
from loratui.core.proposal_json import proposal_json
from loratui.core.situation import Situation
from loratui.paths import presets_path
from loratui.presets_store import find_preset, load_presets

GIB = 2**30
QWEN3_0_6B = read_config(
    {
        "model_type": "qwen3",
        "hidden_size": 1024,
        "intermediate_size": 3072,
        "num_hidden_layers": 28,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
        "max_position_embeddings": 40960,
    },
    "Qwen/Qwen3-0.6B",
)
LLAMA_8B = read_config(
    {
        "model_type": "llama",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "num_hidden_layers": 32,
        "num_attention_heads": 32,
        "num_key_value_heads": 8,
        "vocab_size": 128256,
        "max_position_embeddings": 131072,
    },
    "meta-llama/Llama-3.1-8B",
)
DEMO = read_config(
    {
        "model_type": "llama",
        "hidden_size": 128,
        "intermediate_size": 384,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "vocab_size": 1280,
        "tie_word_embeddings": True,
    },
    "demo",
)
PHI = read_config({"model_type": "phi3"}, "microsoft/phi-3")
MIXTURE = read_config({"model_type": "qwen3_moe", "num_hidden_layers": 48}, "Qwen/Qwen3-30B-A3B")
GEMMA = read_config({"model_type": "gemma2"}, "google/gemma-2-2b")
CPU = Device(name="CPU", kind="cpu", memory_total_bytes=16 * GIB, memory_free_bytes=12 * GIB)


def gpu(size_gib: float, capability: tuple[int, int] = (8, 6), count: int = 1) -> Device:
    return Device(
        name=f"GPU {size_gib}",
        memory_total_bytes=int(size_gib * GIB),
        memory_free_bytes=int(size_gib * GIB),
        compute_capability=capability,
        count=count,
    )


T4, A10, H100 = gpu(16, (7, 5)), gpu(24), gpu(80, (9, 0))


def made(
    spec: ModelSpec, device: Device, data: DataFacts | None = None, preset: Preset = AUTO, **by_hand: Any
) -> Proposal:
    return propose(
        Situation(spec, data, device), preset, {key.replace("__", "."): value for key, value in by_hand.items()}
    )


def test_every_key_of_the_plan_has_an_origin_and_every_training_key_a_reason() -> None:
    proposal = made(QWEN3_0_6B, T4)
    assert set(proposal.origins) == set(fields())
    asked = {key for key in fields() if key.split(".")[0] in ("method", "lora", "training")}
    missing = asked - set(proposal.recommendations) - {"lora.adapter", "training.loss_on", "training.objective"}
    assert missing == set()
    for key, reason in proposal.recommendations.items():
        assert reason.key == key and reason.why.endswith((".", "!")), key
        assert proposal.plan.get(key) == reason.value


def test_t4_gets_float16() -> None:
    plan = made(QWEN3_0_6B, T4).plan
    assert (plan.training.precision, plan.method.compute_dtype, plan.model.dtype) == ("fp16", "fp16", "fp16")


def test_cpu_gets_lora_in_float32_without_quantisation() -> None:
    plan = made(DEMO, CPU).plan
    assert (plan.training.precision, plan.model.dtype, plan.method.kind, plan.method.quantization) == (
        "fp32",
        "fp32",
        "lora",
        "none",
    )
    assert plan.training.optimizer == "adamw_torch_fused"


def test_the_method_follows_the_room() -> None:
    assert made(LLAMA_8B, H100).plan.method.kind == "lora"
    small = made(LLAMA_8B, gpu(12))
    assert (small.plan.method.kind, small.plan.method.quantization, small.plan.method.double_quantization) == (
        "qlora",
        "nf4",
        True,
    )
    assert small.fits and not made(LLAMA_8B, gpu(4)).fits


def test_full_fine_tuning_takes_float32_weights_where_they_fit() -> None:
    assert made(QWEN3_0_6B, H100, method__kind="full").plan.model.dtype == "fp32"
    leaner = made(QWEN3_0_6B, gpu(9), uniform(1000, 256), method__kind="full")
    assert (leaner.plan.model.dtype, leaner.plan.training.optimizer) == ("fp32", "paged_adamw_8bit"), (
        "states are lightened before weights"
    )
    assert leaner.fits and not any("rounded away" in warning for warning in leaner.warnings)
    tight = made(QWEN3_0_6B, gpu(7), uniform(1000, 256), method__kind="full")
    assert tight.plan.model.dtype == "bf16"
    assert any("rounded away" in warning for warning in tight.warnings)


def test_checkpointing_only_where_it_is_needed() -> None:
    assert not made(QWEN3_0_6B, H100).plan.training.checkpointing
    assert made(LLAMA_8B, A10, uniform(20_000, 2048)).plan.training.checkpointing


def test_batch_times_accumulation_reaches_the_effective_batch_on_any_number_of_devices() -> None:
    for count in (1, 2, 4):
        proposal = made(QWEN3_0_6B, gpu(24, count=count), uniform(20_000, 512))
        assert proposal.schedule.effective_batch_size == 16


def test_mine_is_never_overwritten() -> None:
    by_hand = {
        "lora.r": 64,
        "training.learning_rate": 1e-5,
        "training.batch_size": 3,
        "lora.targets": ["q_proj"],
        "training.epochs": 7,
    }
    proposal = propose(Situation(LLAMA_8B, None, A10), find_preset("small-data", [presets_path()]), by_hand)
    for key, value in by_hand.items():
        assert proposal.plan.get(key) == value
        assert proposal.origins[key] == "mine"
    assert proposal.origins["lora.alpha"] == "preset" and proposal.plan.lora.alpha == 16
    assert proposal.origins["training.weight_decay"] == "proposed"


def test_what_depends_on_my_value_follows_it() -> None:
    before, after = made(LLAMA_8B, A10), made(LLAMA_8B, A10, training__epochs=10.0)
    assert after.schedule.total_steps == 5 * before.schedule.total_steps
    assert after.plan.training.warmup_steps > before.plan.training.warmup_steps
    assert before.recommendations["training.epochs"].value == after.recommendations["training.epochs"].value


def test_going_back_to_proposed_is_leaving_the_value_out() -> None:
    first = made(LLAMA_8B, A10)
    assert made(LLAMA_8B, A10, lora__r=64) != first
    assert made(LLAMA_8B, A10).plan == first.plan


def test_rules_of_thumb_preset_gives_the_folk_values() -> None:
    plan = made(QWEN3_0_6B, T4, uniform(1000, 512), find_preset("rules-of-thumb", [presets_path()])).plan
    training, lora = plan.training, plan.lora
    assert (lora.r, lora.alpha, lora.dropout, len(lora.targets)) == (16, 32, 0.05, 7)
    assert (training.batch_size, training.accumulation, training.epochs, training.warmup_steps) == (4, 2, 3, 38)
    assert (training.learning_rate, training.weight_decay, training.scheduler, training.precision) == (
        2e-4,
        0.01,
        "cosine",
        "fp16",
    )


def test_the_folk_values_stand_beside_as_the_folk_calculation_alone_gives_them() -> None:
    reasons = made(QWEN3_0_6B, T4, training__max_length=512).recommendations
    folk = {
        "training.batch_size": 4,
        "training.accumulation": 2,
        "training.epochs": 3,
        "training.warmup_steps": 38,
        "training.learning_rate": 2e-4,
        "lora.r": 16,
        "lora.alpha": 32,
        "lora.dropout": 0.05,
        "training.weight_decay": 0.01,
        "training.beta1": 0.9,
        "training.beta2": 0.999,
        "training.epsilon": 1e-8,
        "training.max_grad_norm": 1.0,
        "training.scheduler": "cosine",
        "training.min_lr_ratio": 0.1,
        "training.precision": "fp16",
    }
    assert {key: reasons[key].rule_of_thumb for key in folk} == folk
    fixed = made(QWEN3_0_6B, T4, training__batch_size=8, training__accumulation=4, training__epochs=1.0).recommendations
    assert fixed["training.learning_rate"].rule_of_thumb == 4e-4 and fixed["training.warmup_steps"].rule_of_thumb == 4


def test_a_presets_warmup_ratio_becomes_steps() -> None:
    proposal = made(QWEN3_0_6B, T4, uniform(400, 128), find_preset("small-data", [presets_path()]))
    assert proposal.schedule.total_steps == 75 and proposal.plan.training.warmup_steps == 8
    assert proposal.origins["training.warmup_steps"] == "preset"
    assert (
        made(
            QWEN3_0_6B, T4, uniform(400, 128), find_preset("small-data", [presets_path()]), training__warmup_steps=1
        ).plan.training.warmup_steps
        == 1
    )


def test_a_presets_targets_become_the_models_own() -> None:
    plan = made(PHI, A10, None, find_preset("t4-limited", [presets_path()])).plan
    assert plan.lora.targets == ["qkv_proj", "o_proj"]


@pytest.mark.parametrize("preset", [preset.name for preset in load_presets([presets_path()])[0]])
@pytest.mark.parametrize("spec", [QWEN3_0_6B, PHI, DEMO, MIXTURE], ids=lambda spec: spec.family)
@pytest.mark.parametrize("device", [CPU, T4, H100], ids=lambda device: device.name)
def test_every_preset_gives_a_whole_plan_for_every_model(preset: str, spec: ModelSpec, device: Device) -> None:
    proposal = made(spec, device, None, find_preset(preset, [presets_path()]))
    assert plan_from_toml(plan_to_toml(proposal.plan)) == proposal.plan
    assert sum(proposal.memory.parts.values()) == proposal.memory.total_bytes


def test_my_method_stands_above_the_presets_quantisation() -> None:
    preset = find_preset("t4-limited", [presets_path()])
    assert made(QWEN3_0_6B, T4, None, preset, method__kind="lora").plan.method.quantization == "none"
    assert made(QWEN3_0_6B, T4, None, preset, method__quantization="none").plan.method.kind == "lora"
    assert made(QWEN3_0_6B, T4, None, preset, method__quantization="int8").plan.method.kind == "qlora"
    assert (
        made(
            QWEN3_0_6B, T4, None, find_preset("a100-quality", [presets_path()]), method__quantization="nf4"
        ).plan.method.kind
        == "qlora"
    )


def test_rules_of_thumb_follow_my_method() -> None:
    folk = find_preset("rules-of-thumb", [presets_path()])
    assert made(QWEN3_0_6B, T4, None, folk, method__kind="qlora").plan.method.quantization == "nf4"
    assert made(QWEN3_0_6B, T4, None, folk, method__quantization="fp4").plan.method.kind == "qlora"
    assert made(QWEN3_0_6B, T4, None, folk, method__kind="full").plan.training.learning_rate == 2e-5


def test_my_own_contradiction_is_an_error() -> None:
    with pytest.raises(PlanError) as error:
        made(QWEN3_0_6B, T4, method__kind="lora", method__quantization="nf4")
    assert "qlora" in error.value.sentence


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lora.r", 0),
        ("lora.rank", 8),
        ("training.learning_rate", "fast"),
        ("lora.targets", ["qproj"]),
        ("model.attention", "somebody/flash-attn3"),
        ("model.attention", "kernels-community/../x"),
    ],
)
def test_a_value_that_is_not_allowed_is_named(key: str, value: Any) -> None:
    with pytest.raises(PlanError) as error:
        propose(Situation(QWEN3_0_6B, None, T4), AUTO, {key: value})
    assert key.split(".")[1] in error.value.sentence or str(value) in error.value.sentence


def test_maximum_length_covers_the_rows() -> None:
    even = DataFacts(1000, tuple(range(100, 400)))
    assert made(QWEN3_0_6B, A10, even).plan.training.max_length == 448
    tail = DataFacts(1000, (*range(100, 390), *[9000] * 5))
    assert made(QWEN3_0_6B, A10, tail).plan.training.max_length == 384
    guessed = DataFacts(1000, tuple(range(100, 400)), exact=False)
    assert made(QWEN3_0_6B, A10, guessed).plan.training.max_length == 640


def test_mixture_says_what_it_leaves_out() -> None:
    words = " ".join(made(MIXTURE, H100, method__kind="qlora").warnings)
    assert "experts are 3-D parameters" in words and "does not quantise the experts" in words


def test_gemma_2_keeps_its_capped_scores() -> None:
    large = DataFacts(200_000, tuple(range(10, 1000)))
    plan = made(GEMMA, A10, large).plan
    assert plan.model.attention == "eager" and not plan.training.packing
    assert any("sdpa fails" in warning for warning in made(GEMMA, A10, model__attention="sdpa").warnings)


def test_too_big_is_a_warning_with_alternatives() -> None:
    proposal = made(LLAMA_8B, T4, method__kind="lora", training__batch_size=16, training__max_length=4096)
    assert not proposal.fits and proposal.headroom_bytes < 0
    assert "run out of memory" in proposal.warnings[0]
    assert proposal.alternatives and all(
        other.memory_total_bytes < proposal.memory.total_bytes for other in proposal.alternatives
    )


def test_without_data_1000_rows_of_the_maximum_length() -> None:
    proposal = made(QWEN3_0_6B, T4, training__max_length=512)
    assert proposal.schedule.examples == 1000 and proposal.data.longest == 512
    assert made(QWEN3_0_6B, T4).plan.training.max_length == 1024


def test_the_printed_object_keeps_its_contract() -> None:
    printed = json.loads(json.dumps(proposal_json(made(QWEN3_0_6B, T4, training__max_length=512))))
    assert {"plan", "parameters", "memory", "schedule", "recommendations", "alternatives", "warnings"} <= set(printed)
    assert printed["parameters"] == {"total": 596_049_920, "trainable": 10_092_544}
    memory = printed["memory"]
    assert {"weights", "adapter", "gradients", "optimizer", "activations", "logits", "overhead"} <= set(memory["parts"])
    assert sum(memory["parts"].values()) == memory["total"]
    assert memory["headroom"] == memory["budget"] - memory["total"] and memory["fits"] is True
    assert all(isinstance(memory[key], int) for key in ("total", "budget", "headroom", "device_total", "device_free"))
    assert set(printed["schedule"]) == {
        "examples",
        "effective_batch_size",
        "steps_per_epoch",
        "total_steps",
        "warmup_steps",
    }
    for reason in printed["recommendations"].values():
        assert {"value", "why", "formula", "source", "rule_of_thumb"} <= set(reason)
    Plan.model_validate(printed["plan"])
    assert (
        round(printed["rule_of_thumb"]["model_gb"], 2) == 1.16
        and printed["rule_of_thumb"]["adapter_parameters"] == 2 * 16 * 1024 * 28 * 7
    )
    for other in printed["alternatives"]:
        assert {"change", "memory_total", "cost"} <= set(other)
