"""What the building blocks of a decoder keep for their backward pass, each read from the code that runs it.

Sizes are in bytes. Sources: transformers 5.23 `modeling_llama.py` and its relatives, PEFT 0.21 `tuners/lora/layer.py`
and `bnb.py`, bitsandbytes 0.50 `autograd/_functions.py`, torch 2.13 `derivatives.yaml` and its list of operations that
autocast on CUDA runs in float32 (layer_norm, softmax, pow, rsqrt among them).
"""

from __future__ import annotations

from dataclasses import dataclass

from loratui.core.architecture import Linear
from loratui.core.memory.formats import Formats
from loratui.core.memory.states import is_quantised
from loratui.core.memory.tape import Tape, Value


@dataclass(slots=True)
class Layers:
    """What every operation of one forward pass shares."""

    tape: Tape
    form: Formats
    tokens: int
    """Tokens of the batch, padding included."""
    adapted: frozenset[Linear]
    """Layers with an adapter."""
    rank: int

    def tensor(self, width: int, element: int, *, tracked: bool = True) -> Value:
        """A new activation of `width` elements per token."""
        return self.tape.value(self.tokens * width * element, width, element, tracked=tracked)


def cast(run: Layers, x: Value, element: int) -> Value:
    """`x.to(dtype)`: a copy unless it is in that format already; keeps nothing."""
    if x.element == element:
        return x
    return run.tape.record((x,), run.tensor(x.width, element, tracked=x.tracked))


def add(run: Layers, x: Value, y: Value) -> Value:
    """`x + y`: keeps nothing; the wider format wins, and a narrower operand's gradient is cast back."""
    element = max(x.element, y.element)
    output = run.tensor(x.width, element, tracked=x.tracked or y.tracked)
    return run.tape.record((x, y), output, passes_gradient=True)


def multiply(run: Layers, x: Value, y: Value) -> Value:
    """`x * y` of two activations: each is kept for the other's gradient."""
    output = run.tensor(x.width, max(x.element, y.element), tracked=x.tracked or y.tracked)
    saved = ((x.storage,) if y.tracked else ()) + ((y.storage,) if x.tracked else ())
    # a narrower operand's gradient is made in the wider format first
    narrower = sum(output.size - value.size for value in (x, y) if value.tracked and value.size < output.size)
    return run.tape.record((x, y), output, saved, backward_extra=narrower)


def rms_norm(run: Layers, x: Value, *, groups: int = 1, gemma: bool = False, trained: bool = True) -> Value:
    """Llama's RMSNorm, in float32 inside: keeps a float32 copy, the reciprocal roots, and with trained weights the
    result.

    groups: norms side by side over the width (one per head for query and key norms). gemma: multiplies in float32 and
    casts last.
    """
    form, tape = run.form, run.tape
    trains = form.full and trained
    wide = cast(run, x, 4)
    roots = tape.constant(run.tokens * groups * 4)
    normed = run.tensor(x.width, 4, tracked=wide.tracked)
    # pow's gradient: its own, the spread gradient of the mean, the power below and its product, all at once
    tape.record((wide,), normed, (wide.storage, roots), forward_extra=normed.size, backward_extra=3 * normed.size)
    if gemma:
        scaled = run.tensor(x.width, 4, tracked=normed.tracked or trains)
        tape.record(
            (normed,),
            scaled,
            (normed.storage,) if trains else (),
            backward_extra=normed.size if trains else 0,
            weight_gradient=x.width // groups * 4 if trains else 0,
            saves_weight=True,
        )
        return cast(run, scaled, x.element)
    narrow = cast(run, normed, x.element)
    element = max(x.element, form.weight)
    output = run.tensor(x.width, element, tracked=narrow.tracked or trains)
    return tape.record(
        (narrow,),
        output,
        (narrow.storage,) if trains else (),
        backward_extra=output.size if trains else 0,
        weight_gradient=x.width // groups * form.weight if trains else 0,
        saves_weight=True,
    )


def layer_norm(run: Layers, x: Value) -> Value:
    """torch's LayerNorm: float32 under autocast on CUDA; keeps its (widened) input, mean and reciprocal deviation."""
    form = run.form
    wide = cast(run, x, 4) if form.autocast else x
    stats = run.tape.constant(run.tokens * 8)
    output = run.tensor(x.width, wide.element, tracked=x.tracked or form.full)
    return run.tape.record(
        (wide,), output, (wide.storage, stats), weight_gradient=2 * x.width * form.weight if form.full else 0
    )


def linear(run: Layers, x: Value, layer: Linear) -> Value:
    """A linear layer, with its adapter where it has one."""
    adapted = layer in run.adapted
    output = base_linear(run, x, layer)
    if adapted:
        output = _adapter(run, x, output, layer)
    run.tape.hold(x)
    return output


def base_linear(run: Layers, x: Value, layer: Linear) -> Value:
    """The layer itself: a frozen one keeps no input, a trained one does; a weight in another format is copied and
    kept.
    """
    form, tape = run.form, run.tape
    elements = layer.in_features * layer.out_features
    quantised = is_quantised(layer, form)
    if quantised:
        return _quantised_linear(run, x, layer)
    read = cast(run, x, form.compute) if form.autocast else x
    element = form.compute if form.autocast else max(form.weight, x.element)
    output = run.tensor(layer.out_features, element, tracked=read.tracked or form.full)
    saved: list[int] = []
    gradient = extra = 0
    # a copy that nothing keeps for a backward pass is there for the product alone
    momentary = elements * form.compute if form.casts_weights and not output.tracked and not form.full else 0
    if form.full:
        saved.append(read.storage)
        gradient = (elements + (layer.out_features if layer.bias else 0)) * form.weight
    if form.casts_weights and read.tracked:
        saved.append(tape.constant(elements * form.compute))
        if form.full:
            extra += elements * form.compute
    return tape.record(
        (read,),
        output,
        saved,
        forward_extra=momentary,
        backward_extra=extra,
        weight_gradient=gradient,
        saves_weight=read.tracked,
    )


def _quantised_linear(run: Layers, x: Value, layer: Linear) -> Value:
    """bitsandbytes' layers. 4 bit: keeps nothing, unpacks the weight for each product. 8 bit: keeps its input, on its
    own account (checkpointing cannot free it), and needs int8 and int32 copies for a moment.
    """
    form, tape = run.form, run.tape
    elements = layer.in_features * layer.out_features
    if form.quantization == "int8":
        output = run.tensor(layer.out_features, x.element, tracked=x.tracked)
        wide = run.tokens * layer.out_features
        extra = run.tokens * layer.in_features + wide * 4
        tape.record((x,), output, (x.storage,), forward_extra=extra, backward_extra=elements * x.element)
        if x.tracked:
            tape.pinned.add(x.storage)
        return output
    read = cast(run, x, form.quantised_compute)
    unpacked = elements * read.element
    output = run.tensor(layer.out_features, read.element, tracked=read.tracked)
    kept = (read.storage,) if form.software.pins_inputs else ()
    tape.record((read,), output, kept, forward_extra=unpacked, backward_extra=unpacked)
    if kept and read.tracked and not form.software.reentrant:
        tape.pinned.add(read.storage)
    return cast(run, output, x.element)


def _adapter(run: Layers, x: Value, base: Value, layer: Linear) -> Value:
    """`base + B(A(dropout(x))) * scaling`, each in the format that PEFT and autocast give it.

    PEFT casts the input to the adapter's format, autocast casts it back for the product: with float32 adapters each
    layer keeps a 16-bit copy of its own, even where several share one input. The worker spares both casts.
    """
    form, tape = run.form, run.tape
    spared = form.autocast and not form.software.widens_inputs and not (form.dora or form.dropout)
    if form.quantised:
        output = run.tensor(base.width, base.element, tracked=True)
        if form.quantization != "int8":
            base = tape.record(
                (base,), run.tensor(base.width, base.element, tracked=base.tracked), passes_gradient=False
            )
        read = x if form.autocast else cast(run, x, form.adapter)
    else:
        output = run.tensor(base.width, base.element, tracked=True)
        read = x if spared else cast(run, x, form.adapter)
    held = read  # PEFT's own `x`, which lives until the layer is done
    if form.dropout:
        mask = tape.constant(run.tokens * x.width)
        dropped = run.tensor(x.width, read.element, tracked=read.tracked)
        read = tape.record((read,), dropped, (mask,))
    element = form.compute if form.autocast else form.adapter
    read = cast(run, read, element)
    copies = element != form.adapter
    inner = run.tensor(run.rank, element)
    a_elements, b_elements = run.rank * layer.in_features, run.rank * layer.out_features
    saved = [read.storage]
    if copies and read.tracked:
        saved.append(tape.constant(a_elements * element))
    tape.record(
        (read,),
        inner,
        saved,
        backward_extra=a_elements * element if copies else 0,
        weight_gradient=a_elements * form.adapter,
    )
    outer = run.tensor(layer.out_features, element)
    saved = [inner.storage]
    if copies:
        saved.append(tape.constant(b_elements * element))
    tape.record(
        (inner,),
        outer,
        saved,
        backward_extra=b_elements * element if copies else 0,
        weight_gradient=b_elements * form.adapter,
    )
    scaled = tape.record((outer,), run.tensor(layer.out_features, element))
    if form.quantised and not form.autocast:  # PEFT's quantised layers go back to the caller's format themselves
        scaled = cast(run, scaled, base.element)
    if base.element == scaled.element:
        tape.record((base, scaled), output, passes_gradient=True)
    else:
        output = cast(run, add(run, base, scaled), output.element)
    tape.hold(held)
    return output


def rotate(run: Layers, x: Value, *, wide: bool = False) -> Value:
    """Rotary position embedding: keeps only the shared sines and cosines. wide: in float32, and cast back."""
    element = max(4, x.element) if wide else x.element
    output = run.tensor(x.width, element, tracked=x.tracked)
    run.tape.record((x,), output, forward_extra=2 * output.size, backward_extra=2 * output.size)
    return cast(run, output, x.element)


def repeat_heads(run: Layers, x: Value, times: int, *, viewed: bool = False) -> Value:
    """`repeat_kv`: a copy of keys or values for every query head of their group. viewed: one head for all, which is
    looked at from every one without a copy.
    """
    if times == 1:
        return x
    if viewed:
        return run.tape.record((x,), run.tape.part(x, x.size * times))
    return run.tape.record((x,), run.tensor(x.width * times, x.element, tracked=x.tracked))


def fused_attention(
    run: Layers, q: Value, k: Value, v: Value, *, heads: int, mask: int = -1, mask_bytes: int = 0
) -> Value:
    """A fused kernel: keeps q, k, v, its output, the log-sum-exp of each row in float32, and a mask where there is one.

    Its backward sums dQ in float32 and, where heads share keys, makes dK and dV for every query head first.
    """
    if run.form.autocast:
        q, k, v = cast(run, q, run.form.compute), cast(run, k, run.form.compute), cast(run, v, run.form.compute)
    tracked = q.tracked or k.tracked or v.tracked
    output = run.tensor(q.width, q.element, tracked=tracked)
    saved = [q.storage, k.storage, v.storage, output.storage, run.tape.constant(run.tokens * heads * 4)]
    if mask_bytes:
        saved.append(run.tape.constant(mask_bytes))
    room = run.tokens * q.width * 4 + run.tokens * heads * 4
    return run.tape.record((q, k, v), output, saved, backward_extra=room)


def activation(run: Layers, x: Value) -> Value:
    """SiLU, GELU, ReLU as one kernel: keeps its input."""
    return run.tape.record((x,), run.tensor(x.width, x.element, tracked=x.tracked), (x.storage,))


def gelu_new(run: Layers, x: Value) -> Value:
    """GPT-2's GELU, written out: `0.5 x (1 + tanh(c (x + 0.044715 x³)))`; the power runs in float32 under autocast."""
    tape = run.tape
    half = scale(run, x)
    wide = cast(run, x, 4) if run.form.autocast else x
    power = tape.record(
        (wide,), run.tensor(x.width, wide.element, tracked=x.tracked), (wide.storage,), backward_extra=2 * wide.size
    )
    inner = scale(run, add(run, x, scale(run, power)))
    bent = run.tensor(x.width, inner.element, tracked=x.tracked)
    tape.record((inner,), bent, (bent.storage,))
    return multiply(run, half, scale(run, bent))


def scale(run: Layers, x: Value) -> Value:
    """`x * number` or `x + number`: keeps nothing."""
    return run.tape.record((x,), run.tensor(x.width, x.element, tracked=x.tracked))


def bare_norm(run: Layers, x: Value) -> Value:
    """OLMo's LayerNorm without weights: float32 inside, cast back to the input's format."""
    wide = cast(run, x, 4)
    output = run.tensor(x.width, 4, tracked=x.tracked)
    run.tape.record((wide,), output, (wide.storage, run.tape.constant(run.tokens * 8)))
    return cast(run, output, x.element)


def eager_attention(
    run: Layers, q: Value, k: Value, v: Value, *, heads: int, length: int, softcap: bool, sinks: bool
) -> Value:
    """Attention written out: scores of every head over the whole length, in the compute format and in float32.

    Read from `eager_attention_forward` of transformers' Llama, Gemma 2 (`softcap`) and gpt-oss (`sinks`: one more
    score, softmax in the compute format).
    """
    tape, form = run.tape, run.form
    if form.autocast:
        q, k, v = cast(run, q, form.compute), cast(run, k, form.compute), cast(run, v, form.compute)
    tracked = q.tracked or k.tracked
    scores = run.tensor(heads * length, q.element, tracked=tracked)
    tape.record((q, k), scores, ((q.storage,) if k.tracked else ()) + ((k.storage,) if q.tracked else ()))
    scores = scale(run, scores)
    if softcap:
        scores = scale(run, scores)
        bent = run.tensor(scores.width, scores.element, tracked=tracked)
        scores = scale(run, tape.record((scores,), bent, (bent.storage,)))
    # the mask has the model's own format, which widens the scores of a float32 base under autocast
    masked = run.tensor(scores.width, max(scores.element, form.weight), tracked=tracked)
    tape.record((scores,), masked, passes_gradient=masked.element == scores.element)
    if sinks:
        joined = tape.record((masked,), run.tensor(scores.width, masked.element, tracked=tracked), passes_gradient=True)
        soft = scale(run, joined)
        shares = run.tensor(scores.width + heads, soft.element, tracked=tracked)
        shares = tape.record((soft,), shares, (shares.storage,))
        tape.hold(masked)
        shares = cast(run, shares, q.element)
        variables: tuple[Value, ...] = (soft,)
    else:
        wide = cast(run, masked, 4)
        soft = run.tensor(scores.width, 4, tracked=tracked)
        shares = cast(run, tape.record((wide,), soft, (soft.storage,)), q.element)
        tape.hold(masked)
        variables = ()
    output = run.tensor(q.width, q.element, tracked=tracked or v.tracked)
    # without its last column a share's gradient is written into zeros of the whole
    extra = shares.size if sinks and tracked else 0
    tape.record(
        (shares, v),
        output,
        ((shares.storage,) if v.tracked else ()) + ((v.storage,) if tracked else ()),
        backward_extra=extra,
    )
    final = tape.record((output,), run.tensor(output.width, output.element, tracked=output.tracked))
    tape.hold(*variables)
    return final
