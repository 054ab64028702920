"""Which layers get an adapter, under the model's own names for them, and how many parameters that trains.

The counts equal those of PEFT 0.21 on the real class (`tests/core/test_families_real.py`): a layer from `in` to `out`
features gets `r * (in + out)` parameters, and DoRA `out` more for its magnitudes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from loratui.core.architecture import Linear, ModelSpec
from loratui.core.errors import PlanError
from loratui.core.near import near
from loratui.core.plan import Plan

ALL_LINEAR = "all-linear"
ALPHA = 32
"""Constant, whatever the rank: the best learning rate then does not follow it."""
_ADAPTABLE = ("linear", "conv1d")
_HEADS = ("lm_head", "embed_out", "embed_tokens", "embed_in", "wte", "wpe")
_ATTENTION = frozenset(
    {"q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "out_proj", "c_attn", "query_key_value", "dense"}
)


def adaptable(spec: ModelSpec) -> tuple[Linear, ...]:
    """Every layer that can take an adapter: linear layers of attention and MLP, not the head, experts or routers.

    A mixture's few dense MLPs are left out too: PEFT 0.21 takes their names for the experts'. What a worker read from a
    real class says itself which of its layers are refused.
    """
    return tuple(
        linear
        for linear in spec.linears
        if linear.stored in _ADAPTABLE
        and linear.kind != "router"
        and not linear.refused
        and not (spec.experts and linear.kind == "mlp" and not spec.traced)
    )


def target_names(spec: ModelSpec) -> tuple[str, ...]:
    """The names that `lora.targets` may list for this model, in the model's order."""
    return tuple(dict.fromkeys(linear.name for linear in adaptable(spec)))


def attention_names(spec: ModelSpec) -> tuple[str, ...]:
    """Names of the attention's layers. GPT-2 calls two layers c_proj, so its attention's is written attn.c_proj."""
    return _names_of(spec, "attention")


def mlp_names(spec: ModelSpec) -> tuple[str, ...]:
    """Names of the MLP's layers; empty where the MLP is experts that no adapter reaches."""
    return _names_of(spec, "mlp")


def _names_of(spec: ModelSpec, kind: str) -> tuple[str, ...]:
    layers = adaptable(spec)
    elsewhere = {linear.name for linear in layers if linear.kind != kind}
    return tuple(
        dict.fromkeys(
            ".".join(linear.path.split(".")[-2:]) if linear.name in elsewhere else linear.name
            for linear in layers
            if linear.kind == kind
        )
    )


def resolve_targets(spec: ModelSpec, targets: str | Sequence[str]) -> tuple[Linear, ...]:
    """The layers that `lora.targets` means.

    targets: "all-linear", or names as PEFT matches them (a whole module name, or the end of its path). Raises PlanError
    for a name that the model does not have, for the head, and for experts.
    """
    if targets == ALL_LINEAR:
        return adaptable(spec)
    names = [targets] if isinstance(targets, str) else list(targets)
    if not names:
        raise PlanError(
            "lora.targets names no layer.", hint=f"Use {ALL_LINEAR}, or some of: {', '.join(target_names(spec))}."
        )
    chosen: dict[Linear, None] = {}
    for name in names:
        found = [linear for linear in adaptable(spec) if _matches(linear, name)]
        if not found:
            raise _unknown(spec, name)
        chosen.update(dict.fromkeys(found))
    return tuple(linear for linear in adaptable(spec) if linear in chosen)


def _matches(linear: Linear, name: str) -> bool:
    return linear.path == name or linear.path.endswith(f".{name}")


def _unknown(spec: ModelSpec, name: str) -> PlanError:
    allowed = f"This model's layers are: {', '.join(target_names(spec))}."
    if name.rpartition(".")[2] in _HEADS:
        return PlanError(
            f"lora.targets names {name}, but the head and the embedding take no adapter here.", hint=allowed
        )
    if any(linear.stored in ("expert", "parameter") and _matches(linear, name) for linear in spec.linears):
        return PlanError(
            f"lora.targets names {name}, but experts and routers are bare parameters that take no adapter here.",
            hint=allowed,
        )
    meant = near(name, target_names(spec))
    return PlanError(
        f"{spec.id or spec.family} has no layer named {name}.",
        where="lora.targets",
        hint=f"Did you mean {meant[0]}? {allowed}" if meant else allowed,
    )


def translate_targets(spec: ModelSpec, targets: str | Iterable[str]) -> str | list[str]:
    """A preset's layer names as this model calls them.

    Names that the model has stay. Otherwise Llama's names stand for their group: attention alone becomes the model's
    attention layers (query and value alone too, where the model fuses them), attention with MLP becomes "all-linear".
    """
    if isinstance(targets, str):
        return targets
    names = list(targets)
    own = adaptable(spec)
    if all(any(_matches(linear, name) for linear in own) for name in names):
        return names
    if all(name in _ATTENTION for name in names):
        return list(attention_names(spec))
    return ALL_LINEAR


def parameters_per_rank(layers: Iterable[Linear]) -> int:
    """Adapter parameters of these layers for each unit of rank: A is r × in, B is out × r (Hu et al. 2021,
    2106.09685).
    """
    return sum(linear.count * (linear.in_features + linear.out_features) for linear in layers)


def count_adapter(layers: Sequence[Linear], r: int, variant: str = "lora") -> int:
    """Parameters of the adapters of rank `r` on these layers; exact, also for DoRA (`variant` "dora": one magnitude an
    output).
    """
    magnitudes = sum(linear.count * linear.out_features for linear in layers) if variant == "dora" else 0
    return r * parameters_per_rank(layers) + magnitudes


def adapter_parameters(spec: ModelSpec, plan: Plan) -> int:
    """Parameters of the plan's adapter; 0 for full fine-tuning."""
    if plan.method.kind == "full":
        return 0
    return count_adapter(resolve_targets(spec, plan.lora.targets), plan.lora.r, plan.lora.variant)


def trainable_parameters(spec: ModelSpec, plan: Plan) -> int:
    """Parameters that the optimizer moves: all of them, or the adapter's."""
    return spec.total_parameters if plan.method.kind == "full" else adapter_parameters(spec, plan)


def peft_targets(spec: ModelSpec, targets: str | Sequence[str]) -> str | list[str]:
    """`target_modules` for PEFT's LoraConfig that reach exactly the layers of `resolve_targets`.

    PEFT 0.21's own "all-linear" also adapts the experts and routers of mixtures whose layout changed in transformers 5
    (at rank × experts), and every tower of a model that sees images; so those get names, or a pattern over the paths.
    """
    layers = resolve_targets(spec, targets)
    if any(".language_model." in linear.path for linear in layers):
        paths = "|".join(linear.path.replace(".", r"\.").replace("{}", r"\d+") for linear in layers)
        return rf"(?:{paths})"
    if targets == ALL_LINEAR and len(layers) == len(spec.linears):
        return ALL_LINEAR
    return (
        list(target_names(spec)) if targets == ALL_LINEAR else [targets] if isinstance(targets, str) else list(targets)
    )
