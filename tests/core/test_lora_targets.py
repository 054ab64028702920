"""Targets by the model's own names."""

from __future__ import annotations

from typing import Any

import pytest

from loratui.core.architecture import ModelSpec
from loratui.core.errors import PlanError
from loratui.core.families import read_config
from loratui.core.lora_targets import (
    adapter_parameters,
    attention_names,
    peft_targets,
    resolve_targets,
    trainable_parameters,
    translate_targets,
)
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values

SMALL: dict[str, Any] = {
    "vocab_size": 100,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "n_embd": 32,
    "n_layer": 2,
    "n_head": 4,
    "num_experts": 4,
    "num_local_experts": 4,
    "moe_intermediate_size": 16,
}
SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def spec(family: str) -> ModelSpec:
    return read_config({"model_type": family, **SMALL}, family)


def test_names_match_the_end_of_the_path() -> None:
    both = resolve_targets(spec("gpt2"), ["c_proj"])
    assert [linear.path for linear in both] == ["transformer.h.{}.attn.c_proj", "transformer.h.{}.mlp.c_proj"]
    assert [linear.path for linear in resolve_targets(spec("gpt2"), ["attn.c_proj"])] == [
        "transformer.h.{}.attn.c_proj"
    ]


def test_a_layer_named_twice_counts_once() -> None:
    assert len(resolve_targets(spec("llama"), ["q_proj", "self_attn.q_proj"])) == 1


@pytest.mark.parametrize(
    ("family", "name", "words"),
    [
        ("llama", "qproj", "Did you mean q_proj?"),
        ("llama", "lm_head", "take no adapter"),
        ("gpt_oss", "gate_up_proj", "take no adapter"),
        ("qwen3_moe", "gate", "take no adapter"),
        ("gpt2", "q_proj", "c_attn"),
    ],
)
def test_a_layer_that_takes_no_adapter_is_refused(family: str, name: str, words: str) -> None:
    with pytest.raises(PlanError) as error:
        resolve_targets(spec(family), ["q_proj" if family != "gpt2" else "c_attn", name])
    assert words in error.value.sentence


def test_no_layer_is_refused() -> None:
    with pytest.raises(PlanError):
        resolve_targets(spec("llama"), [])


@pytest.mark.parametrize(
    ("family", "names", "translated"),
    [
        ("llama", SEVEN, SEVEN),
        ("llama", SEVEN[:4], SEVEN[:4]),
        ("phi3", SEVEN[:4], ["qkv_proj", "o_proj"]),
        ("phi3", ["q_proj", "v_proj"], ["qkv_proj", "o_proj"]),
        ("phi3", SEVEN, "all-linear"),
        ("gpt2", SEVEN[:4], ["c_attn", "attn.c_proj"]),
        ("gpt_neox", SEVEN[:4], ["query_key_value", "dense"]),
        ("glm4", SEVEN, "all-linear"),
        ("gpt_oss", SEVEN, "all-linear"),
        ("llama", "all-linear", "all-linear"),
    ],
)
def test_a_presets_names_become_the_models(family: str, names: Any, translated: Any) -> None:
    assert translate_targets(spec(family), names) == translated
    resolve_targets(spec(family), translated)


def test_attention_layers_alone() -> None:
    assert attention_names(spec("gpt2")) == ("c_attn", "attn.c_proj")
    assert {linear.kind for linear in resolve_targets(spec("gpt2"), list(attention_names(spec("gpt2"))))} == {
        "attention"
    }


def test_full_fine_tuning_trains_everything() -> None:
    plan = with_values(Plan(), {"method.kind": "full"})
    model = spec("llama")
    assert (adapter_parameters(model, plan), trainable_parameters(model, plan)) == (0, model.total_parameters)


def test_dora_adds_a_magnitude_per_output() -> None:
    model, plan = spec("llama"), with_values(Plan(), {"lora.r": 4, "lora.targets": ["k_proj"]})
    plain = adapter_parameters(model, plan)
    assert plain == 2 * 4 * (32 + 16)
    assert adapter_parameters(model, with_values(plan, {"lora.variant": "dora"})) == plain + 2 * 16
    assert adapter_parameters(model, with_values(plan, {"lora.variant": "rslora"})) == plain


def test_peft_gets_names_where_its_own_all_linear_would_reach_further() -> None:
    assert peft_targets(spec("llama"), "all-linear") == "all-linear"
    assert peft_targets(spec("qwen3_moe"), "all-linear") == SEVEN[:4]
