"""One decoder block on the tape, dense or a mixture of experts, from the model's own layers and its family's
traits.
"""

from __future__ import annotations

from typing import NamedTuple

from loratui.core.architecture import Linear, ModelSpec
from loratui.core.memory.fused import fused_gate, fused_norm, rotate_in_place
from loratui.core.memory.ops import (
    Layers,
    activation,
    add,
    bare_norm,
    cast,
    eager_attention,
    fused_attention,
    gelu_new,
    layer_norm,
    linear,
    multiply,
    repeat_heads,
    rms_norm,
    rotate,
    scale,
)
from loratui.core.memory.tape import Value
from loratui.core.memory.traits import Traits

_ATTENTION_OUT = ("o_proj", "out_proj", "dense", "c_proj")
_DOWN = ("down_proj", "fc2", "c_proj", "dense_4h_to_h", "fc_out")
_FUSED_QKV = ("qkv_proj", "query_key_value", "c_attn", "Wqkv")
_FUSED_GATE = ("gate_up_proj",)


class Roles(NamedTuple):
    """The block's linear layers by what they do; None where the family fuses or lacks them."""

    query: Linear | None
    key: Linear | None
    value: Linear | None
    qkv: Linear | None
    output: Linear
    gate: Linear | None
    up: Linear | None
    gate_up: Linear | None
    down: Linear | None


def roles(spec: ModelSpec) -> Roles:
    """Sort the model's linear layers by name and kind; layers that differ from block to block take the first."""
    attention = {layer.name: layer for layer in reversed(spec.linears) if layer.kind == "attention"}
    mlp = {layer.name: layer for layer in reversed(spec.linears) if layer.kind == "mlp"}

    def first(table: dict[str, Linear], names: tuple[str, ...]) -> Linear | None:
        return next((table[name] for name in names if name in table), None)

    def stand_in(name: str, wide: int, narrow: int) -> Linear:
        """What a family of another build would have in Llama's place (low-rank projections, states instead of keys)."""
        return Linear(name, name, wide, narrow, spec.layers)

    hidden, query_width, key_width = spec.hidden_size, spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    qkv = first(attention, _FUSED_QKV)
    gate_up, up, down = (
        first(mlp, _FUSED_GATE),
        first(mlp, ("up_proj", "fc1", "c_fc", "dense_h_to_4h", "fc_in")),
        first(mlp, _DOWN),
    )
    if down is not None and gate_up is None and up is None:
        up = stand_in("up_proj", hidden, spec.intermediate_size)
    return Roles(
        query=first(attention, ("q_proj",)) or (None if qkv else stand_in("q_proj", hidden, query_width)),
        key=first(attention, ("k_proj",)) or (None if qkv else stand_in("k_proj", hidden, key_width)),
        value=first(attention, ("v_proj",)) or (None if qkv else stand_in("v_proj", hidden, key_width)),
        qkv=qkv,
        output=first(attention, _ATTENTION_OUT) or stand_in("o_proj", query_width, hidden),
        gate=first(mlp, ("gate_proj",)),
        up=up,
        gate_up=gate_up,
        down=down,
    )


class Attention(NamedTuple):
    """How attention runs: whether a mask is there, and what it costs a layer.

    mask_bytes: the additive mask that a layer's kernel keeps; 0 without one. length: tokens that a token may look at.
    eager: no fused kernel, so that the scores of the whole length are held.
    """

    masked: bool
    mask_bytes: int
    length: int = 0
    eager: bool = False


def block(run: Layers, x: Value, spec: ModelSpec, part: Roles, style: Traits, attention: Attention) -> Value:
    """One block; returns the residual stream after it."""
    if style.order == "parallel":
        normed = _norm(run, x, style)
        return add(
            run,
            add(run, _attention(run, normed, spec, part, style, attention), _mlp(run, normed, spec, part, style)),
            x,
        )
    if style.order == "parallel-two":
        first = _attention(run, _norm(run, x, style), spec, part, style, attention)
        return add(run, add(run, _mlp(run, _norm(run, x, style), spec, part, style), first), x)
    before, after = style.order != "post", style.order in ("post", "sandwich")
    y = _attention(run, _norm(run, x, style) if before else x, spec, part, style, attention)
    x = add(run, x, _scaled(run, _norm(run, y, style) if after else y, style))
    y = _mlp(run, _norm(run, x, style) if before else x, spec, part, style)
    return add(run, x, _scaled(run, _norm(run, y, style) if after else y, style))


def _norm(run: Layers, x: Value, style: Traits) -> Value:
    if style.norm == "layer":
        return layer_norm(run, x)
    if style.norm == "bare":
        return bare_norm(run, x)
    if "norm" in run.form.fused:
        return fused_norm(run, x, in_place=style.order == "pre")
    return rms_norm(run, x, gemma=style.norm == "gemma")


def _scaled(run: Layers, x: Value, style: Traits) -> Value:
    if not style.residual_scale:
        return x
    return run.tape.record((x,), run.tensor(x.width, x.element, tracked=x.tracked))


def _attention(run: Layers, x: Value, spec: ModelSpec, part: Roles, style: Traits, attention: Attention) -> Value:
    q_width, kv_width = spec.heads * spec.head_dim, spec.kv_heads * spec.head_dim
    if part.qkv is not None:
        fused = linear(run, x, part.qkv)
        q, k, v = (run.tape.view(fused, width) for width in (q_width, kv_width, kv_width))
    else:
        assert part.query is not None and part.key is not None and part.value is not None
        q, k, v = linear(run, x, part.query), linear(run, x, part.key), linear(run, x, part.value)
    if style.qk_norm != "none":
        gemma = style.norm == "gemma"
        per_head = style.qk_norm == "head"
        if "head_norm" in run.form.fused:
            q, k = fused_norm(run, q, groups=spec.heads), fused_norm(run, k, groups=spec.kv_heads)
        else:
            q = rms_norm(run, q, groups=spec.heads if per_head else 1, gemma=gemma)
            k = rms_norm(run, k, groups=spec.kv_heads if per_head else 1, gemma=gemma)
    if style.rotary and "rope" in run.form.fused:
        q, k = rotate_in_place(run, q), rotate_in_place(run, k)
    elif style.rotary:
        q, k = rotate(run, q, wide=style.wide_rotary), rotate(run, k, wide=style.wide_rotary)
    if attention.masked or attention.eager:
        times = spec.heads // max(1, spec.kv_heads)
        viewed = spec.kv_heads == 1 and not attention.eager
        k, v = repeat_heads(run, k, times, viewed=viewed), repeat_heads(run, v, times, viewed=viewed)
    if attention.eager:
        out = eager_attention(
            run, q, k, v, heads=spec.heads, length=attention.length, softcap=style.softcap, sinks=style.sinks
        )
    else:
        out = fused_attention(run, q, k, v, heads=spec.heads, mask_bytes=attention.mask_bytes)
    projected = linear(run, out, part.output)
    run.tape.hold(x, q, k, v)
    return projected


def _mlp(run: Layers, x: Value, spec: ModelSpec, part: Roles, style: Traits) -> Value:
    if spec.experts:
        output = experts(run, x, spec, clamped=style.experts == "gpt_oss", wide=style.wide_shares)
        run.tape.hold(x)
        return output
    if part.down is None:
        return x
    if part.gate_up is not None:
        fused = linear(run, x, part.gate_up)
        gate, up = run.tape.view(fused, fused.width // 2), run.tape.view(fused, fused.width // 2)
        if "gate" in run.form.fused:
            product = fused_gate(run, gate, up, halves=True)
        else:
            product = multiply(run, activation(run, gate), up)
    elif "gate" in run.form.fused and part.gate is not None and part.up is not None:
        product = fused_gate(run, linear(run, x, part.gate), linear(run, x, part.up))
    elif style.gated and part.gate is not None and part.up is not None:
        gated = activation(run, linear(run, x, part.gate))
        product = multiply(run, gated, linear(run, x, part.up))
    else:
        assert part.up is not None
        wide = linear(run, x, part.up)
        product = gelu_new(run, wide) if style.activation == "gelu_new" else activation(run, wide)
    output = linear(run, product, part.down)
    run.tape.hold(x)
    return output


def final_norm(run: Layers, x: Value, style: Traits) -> Value:
    """The norm after the last block."""
    return _norm(run, x, style)


__all__ = ["Attention", "Roles", "block", "final_norm", "roles"]


def experts(run: Layers, x: Value, spec: ModelSpec, *, clamped: bool, wide: bool = False) -> Value:
    """The router and the experts of one block. clamped: gpt-oss' gate instead of Llama's. wide: shares in float32."""
    tape, form = run.tape, run.form
    chosen = spec.experts_per_token
    hidden, width = spec.hidden_size, spec.intermediate_size
    router = next(
        (layer for layer in spec.linears if layer.kind == "router"),
        Linear("router", "router", hidden, spec.experts, spec.layers),
    )
    stacked = [layer for layer in spec.linears if layer.stored == "expert"]
    into = next(
        (layer for layer in stacked if layer.name.startswith("gate_up")),
        Linear("gate_up_proj", "gate_up_proj", hidden, 2 * width, spec.layers),
    )
    out = next(
        (layer for layer in stacked if layer.name.startswith("down")),
        Linear("down_proj", "down_proj", width, hidden, spec.layers),
    )
    shares = _router(run, x, router, chosen if clamped else spec.experts)
    order = tape.constant(run.tokens * chosen * 8)
    gathered = run.tensor(chosen * spec.hidden_size, x.element, tracked=x.tracked)
    tape.record((x,), gathered, (order, tape.constant(run.tokens * chosen * 8)))
    both = _grouped(run, gathered, into, spec.experts, chosen)
    first_bias = _bias(run, both) if into.bias else None
    if first_bias is not None:
        both = add(run, both, first_bias)
    half = both.width // 2
    gate, up = tape.view(both, half), tape.view(both, half)
    if clamped:
        gate, up = activation(run, gate), activation(run, up)
        bent = scale(run, gate)
        glow = run.tensor(half, gate.element, tracked=gate.tracked)
        tape.record((bent,), glow, (glow.storage,))
        product = multiply(run, scale(run, up), multiply(run, gate, glow))
    else:
        product = multiply(run, activation(run, gate), up)
    result = _grouped(run, product, out, spec.experts, chosen)
    if first_bias is not None:
        second_bias = _bias(run, result)
        tape.hold(first_bias)
        result = add(run, result, second_bias)
        tape.hold(second_bias)
    weighted = run.tensor(result.width, 4 if wide else result.element, tracked=result.tracked or shares.tracked)
    saved = ((result.storage,) if shares.tracked else ()) + ((shares.storage,) if result.tracked else ())
    tape.record((result, shares), weighted, saved)
    sorted_back = tape.record(
        (weighted,), run.tensor(result.width, weighted.element, tracked=weighted.tracked), (order,)
    )
    tape.hold(gathered, result)
    summed = run.tensor(spec.hidden_size, 4 if form.autocast else weighted.element, tracked=weighted.tracked)
    return cast(run, tape.record((sorted_back,), summed), x.element)


def _router(run: Layers, x: Value, router: Linear, width: int) -> Value:
    """Scores of every expert and the shares of the chosen ones, in float32."""
    tape = run.tape
    scores = cast(run, linear(run, x, router), 4)
    soft = run.tensor(width, 4, tracked=scores.tracked)
    return tape.record((scores,), soft, (soft.storage,))


def _grouped(run: Layers, x: Value, layer: Linear, count: int, chosen: int) -> Value:
    """One product per expert over the tokens sorted by expert; a frozen weight keeps no input."""
    form = run.form
    elements = layer.in_features * layer.out_features * max(1, count)
    output = run.tensor(chosen * layer.out_features, form.weight, tracked=x.tracked or form.full)
    saved = (x.storage,) if form.full else ()
    return run.tape.record((x,), output, saved, weight_gradient=elements * form.weight if form.full else 0)


def _bias(run: Layers, like: Value) -> Value:
    """The experts' biases gathered for every token."""
    return run.tape.record((), run.tape.value(like.size, like.width, like.element, tracked=run.form.full))
