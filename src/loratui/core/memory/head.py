"""The output head and the loss: as TRL 1.16 computes it, in tiles, never the whole of the logits.

Read from `trl/kernels/chunked_logprob.py` and `trl/trainer/utils.py::add_fused_lm_head`. On CUDA only the tokens that
bear loss are scored, in tiles of 4,096 tokens by 32,768 vocabulary entries in the compute format; the backward pass
makes each tile anew and sums the gradients in float32.
"""

from __future__ import annotations

from dataclasses import dataclass

from loratui.core.architecture import ModelSpec
from loratui.core.memory.losses import other_loss
from loratui.core.memory.ops import Layers
from loratui.core.memory.tape import Value

TILE_TOKENS = 4096
TILE_VOCABULARY = 32768
STATISTICS = 7
"""float32 numbers per scored token while the tiles are folded: running maximum, sums, target's logit and so on."""
RESULTS = 5
"""float32 numbers per scored token that the loss leaves behind: log-probability, entropy, their scattered copies."""


def loss(run: Layers, x: Value, spec: ModelSpec, *, scored: int, rows: int) -> int:
    """Put the selection of scored tokens, the head and the loss on the tape; bytes of the loss's own, at their most.

    x: the final norm's output. Another trainer's loss is `losses.other_loss`.
    """
    form, tape = run.form, run.tape
    if form.software.loss.kind != "tiled":
        return other_loss(run, x, spec, scored=scored, rows=rows)
    hidden = spec.hidden_size
    cut = max(1, run.tokens - rows)
    shifted = tape.part(x, cut * hidden * x.element)
    tape.record((x,), shifted)
    indices = tape.constant(cut + cut * 8)
    selected = tape.value(scored * hidden * x.element, hidden, x.element, tracked=x.tracked)
    tape.record((shifted,), selected, (indices,))
    element = form.compute if form.autocast else x.element
    tile = min(scored, TILE_TOKENS) * TILE_VOCABULARY * element
    hidden_copies = _copies(scored, TILE_TOKENS, 0 if x.element == element else hidden * element)
    weight_copies = _copies(
        spec.vocab_size, TILE_VOCABULARY, 0 if form.weight == element else hidden * element, again=scored > TILE_TOKENS
    )
    summed = scored * hidden * 4 if x.element != 4 else 0
    weight_sum = spec.vocab_size * hidden * 4 if form.full and form.weight != 4 else 0
    weight_gradient = spec.vocab_size * hidden * form.weight if form.full else 0
    forward = tile + max(hidden_copies.two, hidden_copies.one + weight_copies.one) + scored * 4 * STATISTICS
    ending = hidden_copies.last + weight_copies.last
    looping = max(hidden_copies.two + weight_copies.last, hidden_copies.one + weight_copies.two)
    # the results in the caller's format only come to be when the loop is over
    backward = (
        tile
        + max(ending, looping - (selected.size if summed else 0) - (weight_gradient if weight_sum else 0))
        + summed
        + weight_sum
        + scored * 4 * 2
    )
    result = tape.value(scored * 4 * RESULTS, 0, 4, tracked=True)
    kept = tape.constant(scored * (4 + 4 + 8))
    tape.record(
        (selected,),
        result,
        (selected.storage, kept),
        forward_extra=forward,
        backward_extra=backward,
        weight_gradient=weight_gradient,
    )
    return max(forward, backward)


@dataclass(frozen=True, slots=True)
class _Copies:
    """Bytes of copies in another format that a loop over chunks makes: the largest one, two while a name goes from one
    chunk to the next, and the one that is left over.
    """

    one: int
    two: int
    last: int


def _copies(length: int, chunk: int, width_bytes: int, *, again: bool = False) -> _Copies:
    """length: rows to go through, `chunk` at a time. again: the loop is run more than once."""
    first, last = min(length, chunk), length % chunk or min(length, chunk)
    following = 0 if length <= chunk else chunk if length >= 2 * chunk else last
    return _Copies(
        first * width_bytes, (first + (following or (first if again else 0))) * width_bytes, last * width_bytes
    )
