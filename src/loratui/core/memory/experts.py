"""A mixture's MLP: tokens sorted by expert, two grouped products over stacked weights, and the router's shares.

Read from transformers 5.23 `integrations/moe.py::grouped_mm_experts_forward` and the families' routers. Expert weights
are 3-D parameters: frozen in LoRA and QLoRA, never quantised.
"""

from __future__ import annotations

from loratui.core.architecture import Linear, ModelSpec
from loratui.core.memory.ops import Layers, activation, add, cast, linear, multiply, scale
from loratui.core.memory.tape import Value


def experts(run: Layers, x: Value, spec: ModelSpec, *, clamped: bool, wide: bool = False) -> Value:
    """The router and the experts of one block. clamped: gpt-oss' gate instead of Llama's. wide: shares in float32."""
    tape, form = run.tape, run.form
    chosen = spec.experts_per_token
    hidden, width = spec.hidden_size, spec.intermediate_size
    router = next((layer for layer in spec.linears if layer.kind == "router"), Linear("router", "router", hidden, spec.experts, spec.layers))
    stacked = [layer for layer in spec.linears if layer.stored == "expert"]
    into = next((layer for layer in stacked if layer.name.startswith("gate_up")), Linear("gate_up_proj", "gate_up_proj", hidden, 2 * width, spec.layers))
    out = next((layer for layer in stacked if layer.name.startswith("down")), Linear("down_proj", "down_proj", width, hidden, spec.layers))
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
    sorted_back = tape.record((weighted,), run.tensor(result.width, weighted.element, tracked=weighted.tracked), (order,))
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
