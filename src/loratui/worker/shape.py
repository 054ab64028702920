"""`python -m loratui.worker shape CONFIG.json`: the exact layers of a model's real class, read on the meta device, and
what a step with them holds (`worker.tracing.ratios`).

For families that no formula knows. Needs no weights and no memory to speak of, and runs no code from the model's
repository. Prints `{"spec": …}`, or one sentence and exit status 1. `-` is for our own program: it answers the one
question that comes on its input (`child_process.answer_one`), {"config": …}.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from loratui.child_process import answer_one
from loratui.core.architecture import Linear, LinearKind, ModelSpec
from loratui.core.errors import LoratuiError, ModelError
from loratui.core.lora_targets import count_adapter, peft_targets, resolve_targets, target_names
from loratui.format import first_line
from loratui.models.shapes import libraries, remember, spec_of, spec_to_json
from loratui.terminal import say, say_json

_ATTENTION = re.compile(r"attn|attention|mixer|mamba|ssm|rglru|recurrent|time_mix", re.IGNORECASE)
_EXPERT = re.compile(r"expert", re.IGNORECASE)
_ROUTER = re.compile(r"(^|\.)(router|gate|wg)(\.|$)")
_INTO_HIDDEN = re.compile(r"down|w2|output|out_proj", re.IGNORECASE)
_EXPERTS = ("num_experts", "num_local_experts", "n_routed_experts", "moe_num_experts")
_EXPERTS_PER_TOKEN = ("num_experts_per_tok", "num_experts_per_token", "moe_topk", "moe_k", "top_k")


def main(argv: list[str]) -> int:
    """Print the shape; exit status 0, or 1 with one sentence on standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m loratui.worker shape", description=__doc__.splitlines()[0] if __doc__ else ""
    )
    parser.add_argument("config", help="a config.json, or - to be asked on standard input")
    asked = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    if asked.config == "-":
        return answer_one("spec", lambda question: spec_to_json(read_shape(question["config"])))
    try:
        spec = read_shape(json.loads(Path(asked.config).read_text(encoding="utf-8")))
    except LoratuiError as error:
        say(error.sentence, err=True)
        return 1
    except (OSError, ValueError) as error:
        say(f"the config cannot be read: {error}.", err=True)
        return 2
    say_json({"spec": spec_to_json(spec)}, indent=None)
    return 0


def shape_of(config: Mapping[str, Any], id: str = "") -> ModelSpec:
    """The shape, exact wherever it can be: by formula, as remembered, or read from the class now and remembered.

    For workers, which have torch loaded. Raises ModelError where the config is no causal language model's.
    """
    spec = spec_of(config, id)
    if spec.known:
        return spec
    try:
        exact = read_shape(config, id)
    except ModelError as error:
        logging.getLogger("loratui").warning("the shape stays a guess: %s", error.sentence)
        return spec
    with contextlib.suppress(OSError):  # it is only a memory
        remember(config, {"spec": spec_to_json(exact), "libraries": libraries()})
    return exact


def read_shape(config: Mapping[str, Any], id: str = "") -> ModelSpec:
    """The shape of the class that transformers has for a parsed config.json; ModelError in one sentence where it has
    none.
    """
    from loratui.worker.tracing.ratios import activation_ratios

    model = build(config)
    if model.get_input_embeddings() is None or model.get_output_embeddings() is None:
        raise ModelError(f"{type(model).__name__} has no head over a vocabulary: it is no causal language model.")
    spec = describe(model, id or str(config.get("_name_or_path", "")))
    spec = without_refused(spec, config)
    return replace(spec, activation_ratios=activation_ratios(config, spec))


def without_refused(spec: ModelSpec, config: Mapping[str, Any]) -> ModelSpec:
    """The same shape with the layers marked that PEFT refuses, or whose name it gives to others too."""
    if adapter_fits(spec, config, "all-linear"):
        return spec
    refused = {name for name in target_names(spec) if not adapter_fits(spec, config, [name])}
    marked = replace(spec, linears=tuple(replace(linear, refused=linear.name in refused) for linear in spec.linears))
    if not target_names(marked):
        raise ModelError(f"PEFT can adapt none of the layers of {spec.architecture}.")
    return marked


def adapter_fits(spec: ModelSpec, config: Mapping[str, Any], targets: str | list[str]) -> bool:
    """Whether PEFT makes exactly the adapter of these targets that the shape counts."""
    from peft import LoraConfig, get_peft_model

    asked = LoraConfig(r=2, target_modules=peft_targets(spec, targets), task_type="CAUSAL_LM")
    try:
        adapted = get_peft_model(build(config), asked)
    except Exception:  # noqa: BLE001 (PEFT refuses by many kinds of errors; each means no)
        return False
    made = sum(parameter.numel() for parameter in adapted.parameters() if parameter.requires_grad)
    return made == count_adapter(resolve_targets(spec, targets), 2)


def build(config: Mapping[str, Any]) -> Any:
    """The causal language model of this config on the meta device."""
    import torch
    import transformers
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING, AutoModelForCausalLM

    kind = str(config.get("model_type"))
    installed = f"transformers {transformers.__version__}"
    if kind not in CONFIG_MAPPING:
        remote = (
            " its repository brings code of its own, which is not run here"
            if config.get("auto_map")
            else " another version may have it"
        )
        raise ModelError(f"{installed} has no class for {kind!r}:{remote}.")
    try:
        loaded = _loaded(config)
        if type(loaded) not in MODEL_FOR_CAUSAL_LM_MAPPING:
            raise ModelError(f"{installed} has no causal language model for {kind!r}.")
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(loaded, trust_remote_code=False)
    except LoratuiError:
        raise
    except Exception as error:  # whatever a foreign class raises becomes one sentence
        raise ModelError(f"{installed} cannot build the class of {kind!r}: {first_line(error, 200)}") from error


def _loaded(config: Mapping[str, Any]) -> Any:
    """A transformers config, read from a file as the library does (numbers such as infinity are written in its own
    way).
    """
    from transformers import AutoConfig

    values = {key: value for key, value in config.items() if key not in ("auto_map", "quantization_config")}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(values), encoding="utf-8")
        return AutoConfig.from_pretrained(folder, trust_remote_code=False)


def describe(model: Any, id: str = "") -> ModelSpec:
    """The shape of a model that was built: every linear layer by name, and what else it holds. Parameters add up
    exactly.
    """
    config = model.config.get_text_config()
    hidden = int(_first(config, ("hidden_size", "d_model", "n_embd"), 0)) or int(
        model.get_input_embeddings().weight.shape[1]
    )
    heads = int(_first(config, ("num_attention_heads",), 1))
    head_dim = int(_first(config, ("head_dim",), 0) or max(1, hidden // heads))
    head = model.get_output_embeddings()
    embedding = model.get_input_embeddings()
    tied = head is not None and head.weight is embedding.weight
    inside = _language_part(model)
    linears = tuple(_linears(model, head, hidden, inside))
    total = sum(parameter.numel() for name, parameter in model.named_parameters() if inside(name))
    embeddings = sum(weight.numel() for weight in _embeddings(model, head if tied else None, inside))
    own_head = 0 if head is None else sum(p.numel() for p in head.parameters() if p is not embedding.weight)
    rest = total - sum(linear.parameters for linear in linears) - embeddings - own_head
    experts = int(_first(config, _EXPERTS, 0)) if any(linear.kind == "expert" for linear in linears) else 0
    return ModelSpec(
        id=id,
        family=str(model.config.model_type),
        architecture=type(model).__name__,
        hidden_size=hidden,
        intermediate_size=_intermediate(config, linears, hidden),
        layers=int(_first(config, ("num_hidden_layers",), 0)) or _layers(linears),
        heads=heads,
        kv_heads=_kv_heads(config, linears, heads, head_dim),
        head_dim=head_dim,
        vocab_size=int(embedding.weight.shape[0]),
        max_positions=int(_first(config, ("max_position_embeddings", "max_seq_len", "seq_length"), 2048)),
        tied_embeddings=tied,
        linears=linears,
        embedding_parameters=embeddings,
        head_parameters=0 if tied else own_head,
        norm_parameters=rest + (own_head if tied else 0),
        experts=experts,
        experts_per_token=int(_first(config, _EXPERTS_PER_TOKEN, 1)) if experts else 0,
        sliding_window=_window(config),
        sdpa=bool(getattr(model, "_supports_sdpa", False)),
        traced=True,
    )


def _language_part(model: Any) -> Callable[[str], bool]:
    """Which names belong to the language model: all, or in a class with image or sound towers those below
    `language_model`.
    """
    head = next((name for name, module in model.named_modules() if module is model.get_output_embeddings()), "lm_head")
    names = [name for name, _ in model.named_modules()]
    if model.config.get_text_config() is model.config or not any(".language_model." in name for name in names):
        return lambda name: True
    return lambda name: ".language_model." in name or name == head or name.startswith(f"{head}.")


def _first(config: Any, names: tuple[str, ...], default: int) -> Any:
    """The first of these settings that the config has (under its own names for them)."""
    for name in names:
        try:
            value = getattr(config, name, None)
        except RuntimeError:  # a setting that each layer has of its own
            continue
        if isinstance(value, int) and not isinstance(value, bool):
            return value
    return default


def _linears(model: Any, head: Any, hidden: int, inside: Callable[[str], bool]) -> Iterator[Linear]:
    import torch
    from transformers.pytorch_utils import Conv1D

    counts: dict[tuple[Any, ...], int] = {}
    for name, module in model.named_modules():
        if module is head or not inside(name):
            continue
        if isinstance(module, torch.nn.Linear | Conv1D):
            shape = module.weight.shape
            wide, narrow = shape if isinstance(module, Conv1D) else (shape[1], shape[0])
            stored = "conv1d" if isinstance(module, Conv1D) else "linear"
            key = (_template(name), int(wide), int(narrow), module.bias is not None, _kind(name), stored)
            counts[key] = counts.get(key, 0) + 1
        elif not isinstance(module, torch.nn.Embedding):
            for key, count in _bare(name, module, hidden):
                counts[key] = counts.get(key, 0) + count
    for (path, wide, narrow, bias, kind, stored), count in counts.items():
        yield Linear(path.rpartition(".")[2], path, wide, narrow, count, bias, kind, stored)


def _bare(name: str, module: Any, hidden: int) -> Iterator[tuple[tuple[Any, ...], int]]:
    """Stacked experts and routers that are bare parameters of a module."""
    own = dict(module.named_parameters(recurse=False))
    for label, weight in own.items():
        path = f"{name}.{label}"
        if weight.ndim == 3 and _EXPERT.search(path):
            experts, first, second = (int(size) for size in weight.shape)
            bias = own.get(f"{label}_bias")
            into = bool(_INTO_HIDDEN.search(label))
            other = second if first == hidden else first
            wide, narrow = (other, hidden) if into else (hidden, other)
            if hidden not in (first, second):
                wide, narrow = second, first
            biased = bias is not None and tuple(bias.shape) == (experts, narrow)
            yield (_template(path), wide, narrow, biased, "expert", "expert"), experts
        elif weight.ndim == 2 and label == "weight" and _ROUTER.search(name):
            narrow, wide = (int(size) for size in weight.shape)
            bias = own.get("bias")
            biased = bias is not None and tuple(bias.shape) == (narrow,)
            yield (_template(name), wide, narrow, biased, "router", "parameter"), 1


def _template(name: str) -> str:
    return ".".join("{}" if part.isdigit() else part for part in name.split("."))


def _kind(name: str) -> LinearKind:
    if _EXPERT.search(name) and "shared_expert" not in name:
        return "expert"
    if _ROUTER.search(name):
        return "router"
    return "attention" if _ATTENTION.search(name) else "mlp"


def _embeddings(model: Any, tied_head: Any, inside: Callable[[str], bool]) -> list[Any]:
    """Weights of all embeddings, each once; a head that is tied to one of them is that one."""
    import torch

    found = {
        id(module.weight): module.weight
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Embedding) and module is not tied_head and inside(name)
    }
    main = model.get_input_embeddings().weight
    return list({**found, id(main): main}.values())


def _intermediate(config: Any, linears: tuple[Linear, ...], hidden: int) -> int:
    """Width of one MLP (or one expert): what its last layer takes in."""
    out = [
        linear.in_features for linear in linears if linear.kind in ("mlp", "expert") and linear.out_features == hidden
    ]
    return max(out, default=int(_first(config, ("intermediate_size",), 4 * hidden)))


def _layers(linears: tuple[Linear, ...]) -> int:
    return max((linear.count for linear in linears if linear.kind == "attention"), default=1)


def _kv_heads(config: Any, linears: tuple[Linear, ...], heads: int, head_dim: int) -> int:
    """Key heads, from the layers where they show them, else from the config."""
    for linear in linears:
        if linear.name == "k_proj" and linear.out_features % head_dim == 0:
            return max(1, linear.out_features // head_dim)
        fused = linear.out_features - heads * head_dim
        if (
            linear.name in ("query_key_value", "Wqkv", "qkv_proj", "c_attn")
            and fused > 0
            and fused % (2 * head_dim) == 0
        ):
            return fused // (2 * head_dim)
    return int(_first(config, ("num_key_value_heads", "num_kv_heads"), heads))


def _window(config: Any) -> int:
    if getattr(config, "use_sliding_window", True) is False:
        return 0
    return int(_first(config, ("sliding_window",), 0))
