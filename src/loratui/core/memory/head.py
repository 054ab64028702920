"""The output head and the loss, as TRL 1.16 computes it: in tiles, never the whole of the logits.

Read from `trl/kernels/chunked_logprob.py` and `trl/trainer/utils.py::add_fused_lm_head`. On CUDA only the tokens that
bear loss are scored, in tiles of 4,096 tokens by 32,768 vocabulary entries in the compute format; the backward pass makes
each tile anew and sums the gradients in float32.
"""

from __future__ import annotations

from dataclasses import dataclass

from loratui.core.architecture import ModelSpec
from loratui.core.memory.ops import Layers
from loratui.core.memory.tape import Value

TILE_TOKENS = 4096
TILE_VOCABULARY = 32768
STATISTICS = 7
"""float32 numbers per scored token while the tiles are folded: running maximum, sums, target's logit and so on."""
RESULTS = 5
"""float32 numbers per scored token that the loss leaves behind: log-probability, entropy, their scattered copies."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Bytes that the loss itself needs for a moment, in each direction, beyond hidden states and their gradient."""

    forward: int
    backward: int
    weight_gradient: int


def loss(run: Layers, x: Value, spec: ModelSpec, *, scored: int, rows: int) -> Loss:
    """Put the selection of scored tokens, the head and the loss on the tape. x: the final norm's output."""
    form, tape = run.form, run.tape
    hidden = spec.hidden_size
    cut = max(1, run.tokens - rows)
    shifted = tape.part(x, cut * hidden * x.element)
    tape.record((x,), shifted)
    indices = tape.constant(cut + cut * 8)
    selected = tape.value(scored * hidden * x.element, hidden, x.element, tracked=x.tracked)
    tape.record((shifted,), selected, (indices,))
    element = form.compute if form.autocast else x.element
    tile_tokens = min(scored, TILE_TOKENS)
    tile = tile_tokens * TILE_VOCABULARY * element
    if x.element != element:
        tile += tile_tokens * hidden * element
    if form.weight != element:
        tile += min(TILE_VOCABULARY, spec.vocab_size) * hidden * element
    summed = scored * hidden * 4 if x.element != 4 else 0
    weight_sum = spec.vocab_size * hidden * 4 if form.full and form.weight != 4 else 0
    weight_gradient = spec.vocab_size * hidden * form.weight if form.full else 0
    forward = tile + scored * 4 * STATISTICS
    backward = tile + summed + weight_sum + scored * 4 * 2
    result = tape.value(scored * 4 * RESULTS, 0, 4, tracked=True)
    kept = tape.constant(scored * (4 + 4 + 8))
    tape.record(
        (selected,), result, (selected.storage, kept), forward_extra=forward, backward_extra=backward,
        weight_gradient=weight_gradient,
    )
    return Loss(forward, backward, weight_gradient)
