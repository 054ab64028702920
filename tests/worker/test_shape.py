"""Classes that no formula knows, read on the meta device: every parameter, and every adapter as PEFT makes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loratui.core.dataset import uniform
from loratui.core.errors import ModelError
from loratui.core.families import FAMILIES, read_config
from loratui.core.hardware import Device
from loratui.core.lora_targets import (
    attention_names,
    count_adapter,
    mlp_names,
    peft_targets,
    resolve_targets,
    target_names,
)
from loratui.core.proposal import propose
from loratui.core.recommend.precision import without_sdpa
from loratui.core.situation import Situation
from loratui.worker.shape import build, read_shape

pytestmark = pytest.mark.worker

SMALL: dict[str, Any] = {
    "vocab_size": 203,
    "hidden_size": 48,
    "intermediate_size": 72,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
MIXTURE = {**SMALL, "num_experts": 4, "num_local_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 40}
CONFIGS: dict[str, dict[str, Any]] = {
    "cohere": SMALL,
    "cohere2": SMALL,
    "starcoder2": {**SMALL, "use_bias": True},
    "stablelm": {**SMALL, "use_qkv_bias": True},
    "falcon": {
        "vocab_size": 203,
        "hidden_size": 48,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "new_decoder_architecture": True,
        "num_kv_heads": 2,
    },
    "bloom": {"vocab_size": 203, "hidden_size": 48, "n_layer": 3, "n_head": 6},
    "opt": {
        "vocab_size": 203,
        "hidden_size": 48,
        "word_embed_proj_dim": 24,
        "ffn_dim": 96,
        "num_hidden_layers": 3,
        "num_attention_heads": 6,
        "max_position_embeddings": 64,
        "pad_token_id": 1,
    },
    "gptj": {"vocab_size": 203, "n_positions": 64, "n_embd": 48, "n_layer": 3, "n_head": 6, "rotary_dim": 4},
    "gpt_bigcode": {"vocab_size": 203, "n_positions": 64, "n_embd": 48, "n_layer": 3, "n_head": 6, "multi_query": True},
    "mpt": {"vocab_size": 203, "d_model": 48, "n_layers": 3, "n_heads": 6, "max_seq_len": 64},
    "phi": {**SMALL, "num_key_value_heads": None},
    "nemotron": {**SMALL, "head_dim": 8},
    "exaone4": SMALL,
    "olmo3": SMALL,
    "seed_oss": {**SMALL, "head_dim": 8},
    "qwen2_moe": {**MIXTURE, "shared_expert_intermediate_size": 56},
    "olmoe": MIXTURE,
    "granitemoe": MIXTURE,
    "falcon_h1": {**SMALL, "mamba_d_ssm": 48, "mamba_n_heads": 6, "mamba_d_head": 8, "mamba_d_state": 16},
    "gemma4_text": {
        **SMALL,
        "head_dim": 8,
        "global_head_dim": 16,
        "hidden_size_per_layer_input": 16,
        "vocab_size_per_layer_input": 203,
    },
}


@pytest.mark.parametrize("family", CONFIGS)
def test_every_parameter_and_every_adapter_is_the_real_one(family: str) -> None:
    from peft import LoraConfig, get_peft_model

    config = {"model_type": family, **CONFIGS[family]}
    spec = read_shape(config, family)

    assert spec.known and spec.traced and spec.family == family
    assert spec.total_parameters == sum(parameter.numel() for parameter in build(config).parameters())
    choices: list[Any] = ["all-linear", list(target_names(spec)[:2])]
    choices += [list(names) for names in (attention_names(spec), mlp_names(spec)) if names]
    for targets in choices:
        adapted = get_peft_model(
            build(config), LoraConfig(r=3, target_modules=peft_targets(spec, targets), task_type="CAUSAL_LM")
        )
        made = sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)
        assert count_adapter(resolve_targets(spec, targets), 3) == made, targets


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"gpt2", "gpt_neox"}))
def test_what_is_read_of_a_known_family_is_what_its_formula_says(family: str) -> None:
    """The two ways to a shape agree: totals, embeddings, head, and the adapter on every layer."""
    config = {"model_type": family, **MIXTURE, "head_dim": 8}
    traced, counted = read_shape(config), read_config(config, family)

    assert traced.total_parameters == counted.total_parameters
    assert (traced.embedding_parameters, traced.head_parameters, traced.norm_parameters) == (
        counted.embedding_parameters,
        counted.head_parameters,
        counted.norm_parameters,
    )
    assert (traced.hidden_size, traced.heads, traced.kv_heads, traced.head_dim, traced.layers) == (
        counted.hidden_size,
        counted.heads,
        counted.kv_heads,
        counted.head_dim,
        counted.layers,
    )
    assert (traced.intermediate_size, traced.experts, traced.vocab_size, traced.tied_embeddings) == (
        counted.intermediate_size,
        counted.experts,
        counted.vocab_size,
        counted.tied_embeddings,
    )
    assert sorted(traced.linears, key=str) == sorted(counted.linears, key=str)
    assert traced.sdpa == (not without_sdpa(counted))


def test_a_config_that_was_saved_is_read_with_the_librarys_own_numbers(tmp_path: Path) -> None:
    """transformers writes infinity in a way of its own; quantised files and code of a repository change no shape."""
    from transformers import CONFIG_MAPPING

    CONFIG_MAPPING["falcon_h1"](**CONFIGS["falcon_h1"]).save_pretrained(tmp_path)
    saved = json.loads((tmp_path / "config.json").read_text())
    spec = read_shape(
        {**saved, "auto_map": {"AutoConfig": "evil.Config"}, "quantization_config": {"quant_method": "gptq"}}
    )
    assert spec.total_parameters == read_shape({"model_type": "falcon_h1", **CONFIGS["falcon_h1"]}).total_parameters


def test_a_class_without_fused_attention_is_planned_with_eager() -> None:
    spec = read_shape({"model_type": "gptj", **CONFIGS["gptj"]})
    card = Device(name="A10", memory_total_bytes=24 << 30, memory_free_bytes=23 << 30, compute_capability=(8, 6))
    proposal = propose(Situation(spec, uniform(500, 60), card))
    assert not spec.sdpa and proposal.plan.model.attention == "eager"
    insisting = propose(Situation(spec, uniform(500, 60), card), by_hand={"model.attention": "sdpa"})
    assert any("use eager" in warning for warning in insisting.warnings)


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"model_type": "nobody-knows-this"}, "has no class for 'nobody-knows-this'"),
        (
            {"model_type": "baichuan", "auto_map": {"AutoModelForCausalLM": "modeling.X"}},
            "code of its own, which is not run here",
        ),
        ({"model_type": "t5"}, "has no causal language model for 't5'"),
        ({"model_type": "cohere", "hidden_size": "wide"}, "cannot build the class of 'cohere'"),
    ],
)
def test_what_cannot_be_read_says_why(config: dict[str, Any], says: str) -> None:
    with pytest.raises(ModelError, match=says):
        read_shape(config)
