"""Shapes from config.json: counts that others published, and errors that name what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loratui.core.errors import ModelError
from loratui.core.families import FAMILIES, read_config
from loratui.core.lora_targets import count_adapter, parameters_per_rank, resolve_targets

CATALOGUE = Path(__file__).parents[3] / "shared" / "data" / "catalogue.json"
KEYS = (
    "model_type",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
    "tie_word_embeddings",
    "max_position_embeddings",
    "num_experts_per_tok",
    "moe_intermediate_size",
)
UNSAID = {"zai-org/GLM-4-32B-0414": {"attention_bias": False}}
"""Keys of the real config.json that the catalogue leaves out."""
QWEN3_0_6B: dict[str, Any] = {
    "architectures": ["Qwen3ForCausalLM"],
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
    "sliding_window": None,
    "use_sliding_window": False,
}
PER_RANK = {
    # (hidden, MLP, layers, heads, key-value heads, head width): MLP, attention; published by the tinker-cookbook.
    "Llama-3.2-1B": ((2048, 8192, 16, 32, 8, 64), 491520, 212992),
    "Llama-3.2-3B": ((3072, 8192, 28, 24, 8, 128), 946176, 573440),
    "Llama-3.1-8B": ((4096, 14336, 32, 32, 8, 128), 1769472, 851968),
    "Llama-3.1-70B": ((8192, 28672, 80, 64, 8, 128), 8847360, 4096000),
    "Qwen3-4B": ((2560, 9728, 36, 32, 8, 128), 1327104, 737280),
    "Qwen3-8B": ((4096, 12288, 36, 32, 8, 128), 1769472, 958464),
    "Qwen3-32B": ((5120, 25600, 64, 64, 8, 128), 5898240, 2490368),
}


def rows() -> list[dict[str, Any]]:
    if not CATALOGUE.exists():
        return []
    found: list[dict[str, Any]] = json.loads(CATALOGUE.read_text(encoding="utf-8"))["models"]
    return found


def config_of(row: dict[str, Any]) -> dict[str, Any]:
    config = {key: row[key] for key in KEYS if row[key] is not None}
    if row["num_experts"] is not None:
        config["num_local_experts" if row["model_type"] == "gpt_oss" else "num_experts"] = row["num_experts"]
    return config | UNSAID.get(row["repo_id"], {})


@pytest.mark.skipif(not CATALOGUE.exists(), reason="the catalogue of published counts is not here")
@pytest.mark.parametrize("row", rows(), ids=lambda row: row["repo_id"])
def test_counts_equal_the_published_ones(row: dict[str, Any]) -> None:
    spec = read_config(config_of(row), row["repo_id"])
    assert spec.total_parameters == row["params_computed"]
    per_rank = row["lora_params_per_rank_all_linear"]
    assert parameters_per_rank(resolve_targets(spec, "all-linear")) == per_rank
    for r in (1, 16, 64):
        assert count_adapter(resolve_targets(spec, "all-linear"), r) == r * per_rank


@pytest.mark.parametrize("name", PER_RANK)
def test_adapter_parameters_per_rank_by_group(name: str) -> None:
    (hidden, width, layers, heads, kv_heads, head_dim), mlp, attention = PER_RANK[name]
    spec = read_config(
        {
            "model_type": "llama",
            "hidden_size": hidden,
            "intermediate_size": width,
            "num_hidden_layers": layers,
            "num_attention_heads": heads,
            "num_key_value_heads": kv_heads,
            "head_dim": head_dim,
            "vocab_size": 1000,
        }
    )
    assert parameters_per_rank(linear for linear in spec.linears if linear.kind == "mlp") == mlp
    assert parameters_per_rank(linear for linear in spec.linears if linear.kind == "attention") == attention


def test_qwen3_0_6b_has_10_1_million_adapter_parameters_at_rank_16() -> None:
    spec = read_config(QWEN3_0_6B, "Qwen/Qwen3-0.6B")
    assert spec.total_parameters == 596_049_920
    assert count_adapter(resolve_targets(spec, "all-linear"), 16) == 10_092_544
    assert spec.sliding_window == 0


def test_defaults_stand_in_for_missing_keys() -> None:
    spec = read_config({"model_type": "gpt2"})
    assert spec.total_parameters == 124_439_808  # published: GPT-2 small
    assert spec.tied_embeddings


def test_null_head_dim_means_the_default() -> None:
    assert read_config(QWEN3_0_6B | {"model_type": "llama", "head_dim": None}).head_dim == 64


def test_a_model_with_images_is_read_by_its_text_part() -> None:
    text = {
        key: value
        for key, value in QWEN3_0_6B.items()
        if key not in ("model_type", "architectures", "tie_word_embeddings")
    }
    spec = read_config(
        {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], "text_config": text}
    )
    assert spec.hidden_size == 1024 and spec.tied_embeddings and spec.known
    assert spec.linears[0].path == "model.language_model.layers.{}.self_attn.q_proj"


def test_files_that_are_quantised_already_are_noticed() -> None:
    assert read_config(QWEN3_0_6B | {"quantization_config": {"quant_method": "mxfp4"}}).stored_quantization == "mxfp4"
    assert read_config(QWEN3_0_6B).stored_quantization == ""


def test_an_unknown_family_is_a_guess() -> None:
    spec = read_config(QWEN3_0_6B | {"model_type": "shiny", "architectures": ["ShinyForCausalLM"]})
    assert not spec.known and spec.family == "shiny"


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({}, "no model_type"),
        ({"model_type": 3}, "no model_type"),
        (
            {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"], "is_encoder_decoder": True},
            "encoder-decoder",
        ),
        (
            {"model_type": "bert", "architectures": ["BertForMaskedLM"]},
            "BertForMaskedLM is not a causal language model",
        ),
        ({"model_type": "shiny"}, "shiny"),
        (QWEN3_0_6B | {"hidden_size": "big"}, "hidden_size = 'big'"),
        (QWEN3_0_6B | {"num_hidden_layers": 0}, "num_hidden_layers = 0"),
        (QWEN3_0_6B | {"vocab_size": True}, "vocab_size = True"),
        ({"model_type": "shiny", "architectures": ["ShinyForCausalLM"], "num_attention_heads": 4}, "no hidden_size"),
    ],
)
def test_what_is_wrong_is_named(config: dict[str, Any], words: str) -> None:
    with pytest.raises(ModelError) as error:
        read_config(config, "my/model")
    assert words in error.value.sentence and error.value.sentence.startswith("my/model: ")


def test_families_are_named_by_model_type() -> None:
    assert {"llama", "qwen3", "gpt2", "gpt_oss", "glm4"} <= set(FAMILIES)
