"""From a model's config.json to its shape, for the families that are known to the last parameter.

`read_config` is the door. A causal model of another family is read as if it were built like Llama, with
`ModelSpec.known` False: a guess until a worker has traced the real class.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from loratui.core.architecture import ModelSpec
from loratui.core.errors import ModelError
from loratui.core.families.decoder import DECODERS, Decoder, read_decoder
from loratui.core.families.gpt import GPT2, GPT_NEOX, read_gpt2, read_gpt_neox
from loratui.core.families.mixture import MIXTURES, read_mixture
from loratui.core.families.reading import Config

FAMILIES: tuple[str, ...] = tuple(sorted((*DECODERS, *MIXTURES, "gpt2", "gpt_neox")))
"""`model_type`s whose parameters are counted exactly (`gemma3` is read through its text part)."""

_WRAPPERS = {"gemma3": "gemma3_text"}
_CAUSAL = ("ForCausalLM", "LMHeadModel")


def read_config(config: Mapping[str, Any], id: str = "") -> ModelSpec:
    """The shape that a config.json describes.

    config: the parsed file. id: the name that errors and the spec carry. Raises ModelError where the model is no causal
    language model, or where a size is missing or impossible.
    """
    where = id or str(config.get("_name_or_path") or "config.json")
    spec = _read(config, id, where)
    stored = config.get("quantization_config")
    method = stored.get("quant_method") if isinstance(stored, Mapping) else None
    return (
        replace(spec, stored_quantization=str(method or "unknown")) if isinstance(stored, Mapping) and stored else spec
    )


def _read(config: Mapping[str, Any], id: str, where: str) -> ModelSpec:
    model_type, architecture = config.get("model_type"), _architecture(config)
    if not isinstance(model_type, str) or not model_type:
        raise ModelError(
            "config.json has no model_type.",
            where=where,
            hint="Give a model folder of the transformers library, or a hub id.",
        )
    _check_causal(config, model_type, architecture, where)
    values, prefix = config, "model.layers.{}"
    nested = config.get("text_config")
    if isinstance(nested, Mapping):
        values = {"tie_word_embeddings": config.get("tie_word_embeddings"), **nested}
        prefix = "model.language_model.layers.{}"
    inner = _WRAPPERS.get(model_type, model_type)
    if inner == "gpt2":
        return read_gpt2(Config(values, GPT2, where), id=id, architecture=architecture or "GPT2LMHeadModel")
    if inner == "gpt_neox":
        return read_gpt_neox(Config(values, GPT_NEOX, where), id=id, architecture=architecture or "GPTNeoXForCausalLM")
    if inner in MIXTURES:
        family = MIXTURES[inner]
        return read_mixture(
            Config(values, family.defaults, where),
            family,
            id=id,
            model_type=inner,
            architecture=architecture,
            prefix=prefix,
        )
    known = DECODERS.get(inner)
    dense = known or Decoder({}, attention_bias="all", mlp_bias=True)
    values = values if known else _guessable(values)
    spec = read_decoder(
        Config(values, dense.defaults, where),
        dense,
        id=id,
        model_type=model_type,
        architecture=architecture,
        prefix=prefix,
    )
    return spec if known else replace(spec, known=False)


_OTHER_NAMES = {
    "hidden_size": ("n_embd", "n_embed", "d_model", "model_dim"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads", "num_heads"),
    "intermediate_size": ("ffn_dim", "n_inner", "ffn_hidden_size", "d_ff"),
    "num_key_value_heads": ("num_kv_heads", "n_kv_heads"),
    "max_position_embeddings": ("n_positions", "max_seq_len", "seq_length"),
}
"""What families call the sizes that Llama's config gives."""


def _guessable(values: Mapping[str, Any]) -> dict[str, Any]:
    """An unknown family's sizes under Llama's names, with four times the width for an MLP that is not given."""
    found = dict(values)
    for name, others in _OTHER_NAMES.items():
        given = next((values[other] for other in others if values.get(other) is not None), None)
        if found.get(name) is None and given is not None:
            found[name] = given
    hidden = found.get("hidden_size")
    if found.get("intermediate_size") is None and isinstance(hidden, int):
        found["intermediate_size"] = 4 * hidden
    return found


def _architecture(config: Mapping[str, Any]) -> str:
    names = config.get("architectures")
    return str(names[0]) if isinstance(names, list) and names else ""


def _check_causal(config: Mapping[str, Any], model_type: str, architecture: str, where: str) -> None:
    if config.get("is_encoder_decoder"):
        fault = f"{architecture or model_type} is an encoder-decoder, not a causal language model."
    elif (
        architecture
        and not architecture.endswith(_CAUSAL)
        and model_type not in (*FAMILIES, *_WRAPPERS)
        and not (architecture.endswith("ForConditionalGeneration") and isinstance(config.get("text_config"), Mapping))
    ):
        fault = f"{architecture} is not a causal language model."
    elif not architecture and model_type not in FAMILIES and model_type not in _WRAPPERS:
        fault = f"config.json names no architecture, and the family {model_type!r} is not known."
    else:
        return
    raise ModelError(fault, where=where, hint="Choose a model whose architecture ends in ForCausalLM.")
