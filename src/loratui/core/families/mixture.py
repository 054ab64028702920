"""Mixtures of experts: attention as in the dense decoders, the MLP as stacked experts behind a router.

In transformers 5.23 all experts of a block are 3-D parameters and the router is a module of its own with a bare
weight, so bitsandbytes quantises neither and an adapter on `all-linear` reaches neither.
"""

from __future__ import annotations

from dataclasses import replace

from loratui.core.architecture import Linear, ModelSpec
from loratui.core.families.decoder import (
    LLAMA,
    Decoder,
    assemble,
    attention_linears,
    mlp_linears,
    norm_parameters,
    read_shape,
)
from loratui.core.families.reading import Config

QWEN3_MOE = Decoder(
    LLAMA
    | {
        "vocab_size": 151936,
        "hidden_size": 2048,
        "intermediate_size": 6144,
        "num_hidden_layers": 24,
        "num_key_value_heads": 4,
        "max_position_embeddings": 32768,
        "decoder_sparse_step": 1,
        "moe_intermediate_size": 768,
        "num_experts_per_tok": 8,
        "num_experts": 128,
    },
    attention_bias="all",
    qk_norm="head",
)
MIXTRAL = Decoder(
    LLAMA
    | {
        "intermediate_size": 14336,
        "num_key_value_heads": 8,
        "max_position_embeddings": 131072,
        "num_experts_per_tok": 2,
        "num_local_experts": 8,
    },
)
GPT_OSS = Decoder(
    LLAMA
    | {
        "vocab_size": 201088,
        "hidden_size": 2880,
        "intermediate_size": 2880,
        "num_hidden_layers": 36,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "head_dim": 64,
        "max_position_embeddings": 131072,
        "sliding_window": 128,
        "num_experts_per_tok": 4,
        "num_local_experts": 128,
        "attention_bias": True,
    },
    attention_bias="all",
)

MIXTURES: dict[str, Decoder] = {"qwen3_moe": QWEN3_MOE, "mixtral": MIXTRAL, "gpt_oss": GPT_OSS}


def read_mixture(
    config: Config, family: Decoder, *, id: str, model_type: str, architecture: str, prefix: str
) -> ModelSpec:
    """The spec of a mixture of experts. prefix: path of one block, e.g. `model.layers.{}`."""
    shape = read_shape(config)
    experts = config.integer("num_experts" if model_type == "qwen3_moe" else "num_local_experts")
    width = config.integer("moe_intermediate_size") if model_type == "qwen3_moe" else shape.intermediate
    sparse = shape.layers
    if model_type == "qwen3_moe":
        dense, step = config.integers("mlp_only_layers"), config.integer("decoder_sparse_step")
        sparse = sum(layer not in dense and (layer + 1) % step == 0 for layer in range(shape.layers))
    biased = model_type == "gpt_oss"
    router = "router" if biased else "gate"
    linears = [
        *attention_linears(shape, family, config, prefix),
        Linear(router, f"{prefix}.mlp.{router}", shape.hidden, experts, sparse, biased, "router", "parameter"),
        Linear(
            "gate_up_proj",
            f"{prefix}.mlp.experts.gate_up_proj",
            shape.hidden,
            2 * width,
            sparse * experts,
            biased,
            "expert",
            "expert",
        ),
        Linear(
            "down_proj",
            f"{prefix}.mlp.experts.down_proj",
            width,
            shape.hidden,
            sparse * experts,
            biased,
            "expert",
            "expert",
        ),
    ]
    if sparse < shape.layers:
        linears += mlp_linears(shape, family, config, prefix, layers=shape.layers - sparse, width=shape.intermediate)
    sinks = shape.layers * shape.heads if biased else 0
    spec = assemble(
        config,
        shape,
        tuple(linears),
        norm_parameters(shape, family) + sinks,
        id=id,
        model_type=model_type,
        architecture=architecture,
        experts=experts,
        experts_per_token=config.integer("num_experts_per_tok"),
    )
    return replace(spec, intermediate_size=width) if sparse == shape.layers else spec
