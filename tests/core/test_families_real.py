"""The formulas against the real classes: every parameter, every layer's shape, every adapter that PEFT makes."""

from __future__ import annotations

import re
from typing import Any

import pytest

from loratui.core.architecture import ModelSpec
from loratui.core.families import FAMILIES, read_config
from loratui.core.lora_targets import attention_names, count_adapter, mlp_names, peft_targets, resolve_targets

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
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "llama": [
        {"attention_bias": True, "mlp_bias": True, "head_dim": 10},
        {"tie_word_embeddings": True, "num_key_value_heads": None},
    ],
    "mistral": [{"head_dim": 12}],
    "qwen2": [{"tie_word_embeddings": True}],
    "qwen3": [{"head_dim": 16}, {"attention_bias": True, "tie_word_embeddings": True}],
    "qwen3_moe": [
        {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 40, "head_dim": 8},
        {
            "num_experts": 4,
            "num_experts_per_tok": 2,
            "moe_intermediate_size": 40,
            "mlp_only_layers": [1],
            "attention_bias": True,
        },
        {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 40, "decoder_sparse_step": 2},
    ],
    "mixtral": [{"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8}],
    "gpt_oss": [{"num_local_experts": 4, "num_experts_per_tok": 2, "head_dim": 8}],
    "gemma": [{"head_dim": 8}],
    "gemma2": [{"head_dim": 8}],
    "gemma3_text": [{"head_dim": 8, "attention_bias": True}],
    "phi3": [{}, {"num_key_value_heads": None, "tie_word_embeddings": True}],
    "olmo": [{}],
    "olmo2": [{"attention_bias": True}],
    "olmo3": [{"attention_bias": True}],
    "arcee": [{"attention_bias": True, "mlp_bias": True}, {"head_dim": 10}],
    "hunyuan_v1_dense": [{"head_dim": 10}, {"attention_bias": True, "tie_word_embeddings": True, "head_dim": 8}],
    "seed_oss": [{}, {"attention_bias": False, "head_dim": 10}],
    "granite": [{"attention_bias": True, "mlp_bias": True}],
    "smollm3": [{}, {"tie_word_embeddings": False}],
    "glm4": [{"head_dim": 8}, {"attention_bias": False}],
    "gpt_neox": [{}, {"attention_bias": False, "tie_word_embeddings": True}],
    "gpt2": [{}, {"n_inner": 100, "tie_word_embeddings": False}],
}
CASES = [(family, {**SMALL, **extra}) for family, variants in VARIANTS.items() for extra in variants]
FULL = [(family, {}) for family in FAMILIES]
"""Every family at the size of its config class's defaults: what an almost empty config.json means."""


NEEDED: dict[str, dict[str, Any]] = {
    "hunyuan_v1_dense": {"head_dim": 128, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}
}
"""What a class cannot be built without, though its config class has no default for it: here, what hidden size and heads
come to.
"""


def build(family: str, values: dict[str, Any]) -> Any:
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING

    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(CONFIG_MAPPING[family](**{**NEEDED.get(family, {}), **values}))


def test_every_known_family_is_covered() -> None:
    assert set(VARIANTS) == set(FAMILIES)


@pytest.mark.parametrize(
    ("family", "values"), CASES + FULL, ids=[f"{f}-{'full' if not v else i}" for i, (f, v) in enumerate(CASES + FULL)]
)
def test_every_parameter_and_layer_is_the_real_one(family: str, values: dict[str, Any]) -> None:
    model = build(family, values)
    spec = read_config({"model_type": family, **values}, family)

    assert spec.known
    assert spec.total_parameters == sum(parameter.numel() for parameter in model.parameters())
    assert spec.tied_embeddings == (model.get_output_embeddings().weight is model.get_input_embeddings().weight)
    assert described(spec) == found(model)


def described(spec: ModelSpec) -> dict[str, tuple[int, int, int, bool]]:
    return {
        linear.path: (linear.in_features, linear.out_features, linear.count, linear.bias)
        for linear in spec.linears
        if linear.stored in ("linear", "conv1d")
    }


def found(model: Any) -> dict[str, tuple[int, int, int, bool]]:
    import torch
    from transformers.pytorch_utils import Conv1D

    head, shapes = model.get_output_embeddings(), {}
    for name, module in model.named_modules():
        if module is head or not isinstance(module, torch.nn.Linear | Conv1D):
            continue
        path = re.sub(r"\.\d+\.", ".{}.", name)
        wide, narrow = module.weight.shape if isinstance(module, Conv1D) else reversed(module.weight.shape)
        count = shapes.get(path, (0, 0, 0, False))[2] + 1
        shapes[path] = (wide, narrow, count, module.bias is not None)
    return shapes


@pytest.mark.parametrize(("family", "values"), CASES, ids=[f"{f}-{i}" for i, (f, _) in enumerate(CASES)])
@pytest.mark.parametrize("variant", ["lora", "dora"])
def test_adapters_have_as_many_parameters_as_peft_makes(family: str, values: dict[str, Any], variant: str) -> None:
    """rsLoRA differs from LoRA in a factor alone: one family stands for it."""
    assert_as_many(family, values, variant, ranks=(6,))


@pytest.mark.parametrize("variant", ["lora", "rslora", "dora"])
def test_so_at_the_least_rank_and_for_each_variant(variant: str) -> None:
    assert_as_many(*CASES[0], variant, ranks=(1, 6))


def assert_as_many(family: str, values: dict[str, Any], variant: str, ranks: tuple[int, ...]) -> None:
    from peft import LoraConfig, get_peft_model

    spec = read_config({"model_type": family, **values}, family)
    choices: list[Any] = ["all-linear", list(attention_names(spec))]
    if mlp_names(spec):
        choices.append(list(mlp_names(spec)))
    for targets in choices:
        for r in ranks:
            config = LoraConfig(
                r=r,
                target_modules=peft_targets(spec, targets),
                task_type="CAUSAL_LM",
                use_dora=variant == "dora",
                use_rslora=variant == "rslora",
            )
            adapted = get_peft_model(build(family, values), config)
            made = sum(p.numel() for p in adapted.parameters() if p.requires_grad)
            assert count_adapter(resolve_targets(spec, targets), r, variant) == made, (targets, r)


def test_text_part_of_gemma_3_with_images_is_read_and_adapted_alone() -> None:
    from peft import LoraConfig, get_peft_model

    text = {**SMALL, "head_dim": 8}
    vision = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 28,
        "patch_size": 14,
    }
    values = {"text_config": text, "vision_config": vision, "mm_tokens_per_image": 4}
    spec = read_config(
        {"model_type": "gemma3", "architectures": ["Gemma3ForConditionalGeneration"], **values}, "gemma3"
    )
    model = build("gemma3", values)

    language = sum(
        p.numel() for name, p in model.named_parameters() if "vision" not in name and "multi_modal" not in name
    )
    assert spec.total_parameters == language
    config = LoraConfig(r=4, target_modules=peft_targets(spec, "all-linear"), task_type="CAUSAL_LM")
    adapted = get_peft_model(model, config)
    assert count_adapter(resolve_targets(spec, "all-linear"), 4) == sum(
        p.numel() for p in adapted.parameters() if p.requires_grad
    )


def test_families_that_refuse_sdpa_are_known() -> None:
    from loratui.core.recommend.precision import WITHOUT_SDPA

    refusing = {
        family for family in FAMILIES if not type(build(family, SMALL if family != "gpt2" else {}))._supports_sdpa
    }
    assert refusing == set(WITHOUT_SDPA)
