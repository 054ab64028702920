"""GPT-2 and GPT-NeoX (Pythia): fused attention projections, biases everywhere, LayerNorm."""

from __future__ import annotations

from typing import Any

from loratui.core.architecture import Linear, ModelSpec
from loratui.core.families.reading import Config

GPT2: dict[str, Any] = {
    "vocab_size": 50257,
    "n_positions": 1024,
    "n_embd": 768,
    "n_layer": 12,
    "n_head": 12,
    "tie_word_embeddings": True,
}
GPT_NEOX: dict[str, Any] = {
    "vocab_size": 50432,
    "hidden_size": 6144,
    "num_hidden_layers": 44,
    "num_attention_heads": 64,
    "intermediate_size": 24576,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
    "attention_bias": True,
}


_ALIASES = {
    "hidden_size": "n_embd",
    "num_hidden_layers": "n_layer",
    "num_attention_heads": "n_head",
    "max_position_embeddings": "n_positions",
}


def read_gpt2(config: Config, *, id: str, architecture: str) -> ModelSpec:
    """GPT-2: Conv1D layers (a linear layer with its weight transposed) and learned positions."""
    aliases = {
        own: config.values[alias]
        for alias, own in _ALIASES.items()
        if alias in config.values and own not in config.values
    }
    config = Config({**config.values, **aliases}, config.defaults, config.where)
    hidden, layers, heads = config.integer("n_embd"), config.integer("n_layer"), config.integer("n_head")
    width = config.integer("n_inner", default=4 * hidden)
    vocab, positions = config.integer("vocab_size"), config.integer("n_positions")
    tied = config.flag("tie_word_embeddings")
    block = "transformer.h.{}"
    linears = (
        Linear("c_attn", f"{block}.attn.c_attn", hidden, 3 * hidden, layers, True, "attention", "conv1d"),
        Linear("c_proj", f"{block}.attn.c_proj", hidden, hidden, layers, True, "attention", "conv1d"),
        Linear("c_fc", f"{block}.mlp.c_fc", hidden, width, layers, True, "mlp", "conv1d"),
        Linear("c_proj", f"{block}.mlp.c_proj", width, hidden, layers, True, "mlp", "conv1d"),
    )
    return ModelSpec(
        id=id,
        family="gpt2",
        architecture=architecture,
        hidden_size=hidden,
        intermediate_size=width,
        layers=layers,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        vocab_size=vocab,
        max_positions=positions,
        tied_embeddings=tied,
        linears=linears,
        embedding_parameters=(vocab + positions) * hidden,
        head_parameters=0 if tied else vocab * hidden,
        norm_parameters=(2 * layers + 1) * 2 * hidden,
    )


def read_gpt_neox(config: Config, *, id: str, architecture: str) -> ModelSpec:
    """GPT-NeoX: `attention_bias` governs the attention's biases; the MLP always has them."""
    hidden, layers = config.integer("hidden_size"), config.integer("num_hidden_layers")
    heads, width = config.integer("num_attention_heads"), config.integer("intermediate_size")
    vocab, tied, bias = config.integer("vocab_size"), config.flag("tie_word_embeddings"), config.flag("attention_bias")
    block = "gpt_neox.layers.{}"
    linears = (
        Linear("query_key_value", f"{block}.attention.query_key_value", hidden, 3 * hidden, layers, bias),
        Linear("dense", f"{block}.attention.dense", hidden, hidden, layers, bias),
        Linear("dense_h_to_4h", f"{block}.mlp.dense_h_to_4h", hidden, width, layers, True, "mlp"),
        Linear("dense_4h_to_h", f"{block}.mlp.dense_4h_to_h", width, hidden, layers, True, "mlp"),
    )
    return ModelSpec(
        id=id,
        family="gpt_neox",
        architecture=architecture,
        hidden_size=hidden,
        intermediate_size=width,
        layers=layers,
        heads=heads,
        kv_heads=heads,
        head_dim=hidden // heads,
        vocab_size=vocab,
        max_positions=config.integer("max_position_embeddings"),
        tied_embeddings=tied,
        linears=linears,
        embedding_parameters=vocab * hidden,
        head_parameters=0 if tied else vocab * hidden,
        norm_parameters=(2 * layers + 1) * 2 * hidden,
    )
