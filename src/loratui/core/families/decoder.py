"""Decoder-only models built like Llama: attention and a gated MLP per block, with each family's own differences.

Read from transformers 5.23, `models/*/modeling_*.py`; `tests/core/test_families_real.py` builds each real class on the
meta device and compares every parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from loratui.core.architecture import Linear, LinearKind, ModelSpec
from loratui.core.families.reading import Config

Biases = Literal["none", "qkv", "all"]


@dataclass(frozen=True, slots=True)
class Decoder:
    """In what one family differs from the others.

    attention_bias: which attention layers have biases where the config's `attention_bias` is true (or, for families
    that do not ask their config, always: `bias_asks_config` False).
    """

    defaults: Mapping[str, Any]
    attention_bias: Biases = "none"
    bias_asks_config: bool = True
    mlp_bias: bool = False
    """Whether the config's `mlp_bias` is obeyed."""
    qk_norm: Literal["none", "head", "width"] = "none"
    """Norms of queries and keys: none, over one head, or over the whole width."""
    block_norms: int = 2
    norm_weights: bool = True
    """False where the norms have no parameters (OLMo 1)."""
    fused_qkv: bool = False
    fused_gate_up: bool = False
    gated: bool = True
    """False where the MLP has no gate (Arcee)."""
    mlp: Mapping[str, str] = field(
        default_factory=lambda: {"gate": "mlp.gate_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}
    )


LLAMA: dict[str, Any] = {
    "vocab_size": 32000,
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": False,
}
QWEN2 = LLAMA | {
    "vocab_size": 151936,
    "intermediate_size": 22016,
    "num_key_value_heads": 32,
    "max_position_embeddings": 32768,
}
MISTRAL = LLAMA | {
    "intermediate_size": 14336,
    "num_key_value_heads": 8,
    "max_position_embeddings": 131072,
    "sliding_window": 4096,
}
GEMMA2: dict[str, Any] = {
    "vocab_size": 256000,
    "hidden_size": 2304,
    "intermediate_size": 9216,
    "num_hidden_layers": 26,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 256,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
    "sliding_window": 4096,
}
OLMO = LLAMA | {"vocab_size": 50304}

DECODERS: dict[str, Decoder] = {
    "llama": Decoder(LLAMA, attention_bias="all", mlp_bias=True),
    "mistral": Decoder(MISTRAL),
    "qwen2": Decoder(QWEN2, attention_bias="qkv", bias_asks_config=False),
    "qwen3": Decoder(QWEN2 | {"head_dim": 128}, attention_bias="all", qk_norm="head"),
    "gemma": Decoder(
        GEMMA2
        | {
            "hidden_size": 3072,
            "intermediate_size": 24576,
            "num_hidden_layers": 28,
            "num_attention_heads": 16,
            "num_key_value_heads": 16,
            "sliding_window": None,
        },
        attention_bias="all",
    ),
    "gemma2": Decoder(GEMMA2, attention_bias="all", block_norms=4),
    "gemma3_text": Decoder(
        GEMMA2 | {"vocab_size": 262208, "max_position_embeddings": 131072},
        attention_bias="all",
        qk_norm="head",
        block_norms=4,
    ),
    "phi3": Decoder(
        LLAMA | {"vocab_size": 32064, "hidden_size": 3072, "intermediate_size": 8192, "max_position_embeddings": 4096},
        fused_qkv=True,
        fused_gate_up=True,
    ),
    "olmo": Decoder(OLMO, attention_bias="all", norm_weights=False),
    "olmo2": Decoder(OLMO, attention_bias="all", qk_norm="width"),
    "olmo3": Decoder(OLMO | {"sliding_window": 4096}, attention_bias="all", qk_norm="width"),
    "granite": Decoder(LLAMA, attention_bias="all", mlp_bias=True),
    "arcee": Decoder(
        LLAMA | {"hidden_size": 2560, "intermediate_size": 18432, "max_position_embeddings": 4096},
        attention_bias="all",
        mlp_bias=True,
        gated=False,
    ),
    "hunyuan_v1_dense": Decoder(LLAMA | {"vocab_size": 290943}, attention_bias="all", qk_norm="head"),
    "seed_oss": Decoder(
        LLAMA
        | {
            "vocab_size": 155136,
            "intermediate_size": 27648,
            "num_hidden_layers": 64,
            "num_attention_heads": 80,
            "num_key_value_heads": 8,
            "head_dim": 128,
            "max_position_embeddings": 524288,
            "attention_bias": True,
        },
        attention_bias="qkv",
        mlp_bias=True,
    ),
    "smollm3": Decoder(
        LLAMA
        | {
            "vocab_size": 128256,
            "hidden_size": 2048,
            "num_hidden_layers": 36,
            "num_attention_heads": 16,
            "num_key_value_heads": 4,
            "max_position_embeddings": 32768,
            "tie_word_embeddings": True,
        },
        attention_bias="all",
        mlp_bias=True,
    ),
    "glm4": Decoder(
        LLAMA
        | {
            "vocab_size": 151552,
            "intermediate_size": 13696,
            "num_hidden_layers": 40,
            "num_key_value_heads": 2,
            "head_dim": 128,
            "max_position_embeddings": 131072,
            "attention_bias": True,
        },
        attention_bias="qkv",
        block_norms=4,
        fused_gate_up=True,
    ),
}


class Shape(NamedTuple):
    """The widths that every family of this kind reads from its config, in features."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int

    @property
    def query_width(self) -> int:
        """Features of all query heads together."""
        return self.heads * self.head_dim

    @property
    def key_width(self) -> int:
        """Features of all key (or value) heads together."""
        return self.kv_heads * self.head_dim


def read_shape(config: Config) -> Shape:
    """Widths in features, and counts; ModelError for the first that is missing or impossible."""
    hidden, heads = config.integer("hidden_size"), config.integer("num_attention_heads")
    return Shape(
        hidden=hidden,
        intermediate=config.integer("intermediate_size"),
        layers=config.integer("num_hidden_layers"),
        heads=heads,
        kv_heads=config.integer("num_key_value_heads", default=heads),
        head_dim=config.integer("head_dim", default=max(1, hidden // heads)),
        vocab=config.integer("vocab_size"),
    )


def attention_linears(shape: Shape, family: Decoder, config: Config, prefix: str) -> tuple[Linear, ...]:
    """The projections of one block's attention, counted over all blocks."""
    asked = config.flag("attention_bias") if family.bias_asks_config else True
    bias = family.attention_bias if asked else "none"
    into, out = bias in ("qkv", "all"), bias == "all"
    names = (
        [("qkv_proj", shape.hidden, shape.query_width + 2 * shape.key_width, into)]
        if family.fused_qkv
        else [
            ("q_proj", shape.hidden, shape.query_width, into),
            ("k_proj", shape.hidden, shape.key_width, into),
            ("v_proj", shape.hidden, shape.key_width, into),
        ]
    )
    names.append(("o_proj", shape.query_width, shape.hidden, out))
    return tuple(
        Linear(name, f"{prefix}.self_attn.{name}", wide, narrow, shape.layers, has_bias)
        for name, wide, narrow, has_bias in names
    )


def mlp_linears(
    shape: Shape, family: Decoder, config: Config, prefix: str, *, layers: int, width: int, kind: LinearKind = "mlp"
) -> tuple[Linear, ...]:
    """The MLP of `layers` blocks, `width` features wide."""
    bias = family.mlp_bias and config.flag("mlp_bias")
    if family.fused_gate_up:
        into = [("gate_up_proj", shape.hidden, 2 * width)]
    elif not family.gated:
        into = [("up_proj", shape.hidden, width)]
    else:
        into = [("gate_proj", shape.hidden, width), ("up_proj", shape.hidden, width)]
    return tuple(
        Linear(name, f"{prefix}.mlp.{name}", wide, narrow, layers, bias, kind)
        for name, wide, narrow in [*into, ("down_proj", width, shape.hidden)]
    )


def norm_parameters(shape: Shape, family: Decoder) -> int:
    """Weights of all norms, the last one before the head included."""
    if not family.norm_weights:
        return 0
    queries = {"none": 0, "head": 2 * shape.head_dim, "width": shape.query_width + shape.key_width}[family.qk_norm]
    return shape.layers * (family.block_norms * shape.hidden + queries) + shape.hidden


def read_decoder(
    config: Config, family: Decoder, *, id: str, model_type: str, architecture: str, prefix: str
) -> ModelSpec:
    """The spec of a dense decoder. prefix: path of one block, e.g. `model.layers.{}`."""
    shape = read_shape(config)
    linears = (
        *attention_linears(shape, family, config, prefix),
        *mlp_linears(shape, family, config, prefix, layers=shape.layers, width=shape.intermediate),
    )
    return assemble(
        config, shape, linears, norm_parameters(shape, family), id=id, model_type=model_type, architecture=architecture
    )


def assemble(
    config: Config,
    shape: Shape,
    linears: tuple[Linear, ...],
    norms: int,
    *,
    id: str,
    model_type: str,
    architecture: str,
    experts: int = 0,
    experts_per_token: int = 0,
) -> ModelSpec:
    """A spec from its parts; embedding, head and limits are read from the config."""
    tied = config.flag("tie_word_embeddings")
    none = "sliding_window" in config.values and config.values["sliding_window"] is None  # null means no window here
    sliding = 0 if none else config.integer("sliding_window", least=0, default=0)
    if not config.flag("use_sliding_window", default=model_type not in ("qwen2", "qwen3", "qwen3_moe", "smollm3")):
        sliding = 0
    return ModelSpec(
        id=id,
        family=model_type,
        architecture=architecture,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        layers=shape.layers,
        heads=shape.heads,
        kv_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        vocab_size=shape.vocab,
        max_positions=config.integer("max_position_embeddings", default=2048),
        tied_embeddings=tied,
        linears=linears,
        embedding_parameters=shape.vocab * shape.hidden,
        head_parameters=0 if tied else shape.vocab * shape.hidden,
        norm_parameters=norms,
        experts=experts,
        experts_per_token=experts_per_token,
        sliding_window=sliding,
    )
