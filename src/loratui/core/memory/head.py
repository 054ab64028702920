"""The output head and the loss: as TRL 1.16 computes it, in tiles, never the whole of the logits; and as other trainers
do, every logit at once, in chunks, or fused.

Read from `trl/kernels/chunked_logprob.py` and `trl/trainer/utils.py::add_fused_lm_head`. On CUDA only the tokens that
bear loss are scored, in tiles of 4,096 tokens by 32,768 vocabulary entries in the compute format; the backward pass
makes each tile anew and sums the gradients in float32.

The others from transformers 5.23 `loss/loss_utils.py::ForCausalLMLoss`, TRL 1.15 `sft_trainer.py` (chunked), Liger
`ops/fused_linear_cross_entropy.py`, ml-cross-entropy `cce.py`; torch's `log_softmax` keeps its result alone, and is
one of the operations that autocast runs in float32.
"""

from __future__ import annotations

from typing import NamedTuple

from loratui.core.architecture import Linear, ModelSpec
from loratui.core.memory.ops import Layers, base_linear, cast, scale
from loratui.core.memory.tape import Value

TILE_TOKENS = 4096
TILE_VOCABULARY = 32768
STATISTICS = 7
"""float32 numbers per scored token while the tiles are folded: running maximum, sums, target's logit and so on."""
RESULTS = 5
"""float32 numbers per scored token that the loss leaves behind: log-probability, entropy, their scattered copies."""


def loss(run: Layers, x: Value, spec: ModelSpec, *, scored: int, rows: int, capped: bool = False) -> int:
    """Put the selection of scored tokens, the head and the loss on the tape; bytes of the loss's own, at their most.

    x: the final norm's output. capped: whole logits pass a tanh (Gemma 2). Another trainer's loss is `other_loss`.
    """
    form, tape = run.form, run.tape
    if form.software.loss.kind == "odds":
        return _odds(run, x, spec, rows, capped=capped)
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


class _Copies(NamedTuple):
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


CHUNK_FORWARD, CHUNK_BACKWARD = 10, 12
"""Bytes per logit of a chunk at work: 16 bit, float32 and log-probabilities; log-probabilities and two gradients."""
PIECE_FORWARD, PIECE_BACKWARD = 6, 10
"""Bytes per logit of a piece at work whose log-probabilities are kept: 16 bit and float32; two gradients in float32,
one in 16 bit."""
FUSED_LOGIT = 6
"""Bytes per logit of Liger's chunk: in 16 bit, and in float32 while its gradient is made in place."""


def other_loss(run: Layers, x: Value, spec: ModelSpec, *, scored: int, rows: int) -> int:
    """Put head and loss on the tape as the run's trainer has them; bytes of the logits at their most."""
    style = run.form.software.loss
    if style.kind == "whole":
        return _whole(run, x, spec, rows)
    return _by_chunks(run, x, spec, scored=scored if style.scored_only else run.tokens)


def _whole(run: Layers, x: Value, spec: ModelSpec, rows: int) -> int:
    form, tape, style = run.form, run.tape, run.form.software.loss
    head = Linear("lm_head", "lm_head", spec.hidden_size, spec.vocab_size, 1, stored="parameter")
    logits = base_linear(run, x, head)
    entries = run.tokens * spec.vocab_size
    if style.held:
        logits = tape.record((logits,), tape.part(logits, logits.size), (logits.storage,), passes_gradient=True)
    element = 4 if style.wide or form.autocast else logits.element
    if style.pieces > 1:
        kept = logits.storage if style.saves_logits else tape.constant(entries * element)
        piece = entries * element // style.pieces
        tape.record(
            (logits,),
            tape.value(run.tokens * 4, 0, 4, tracked=True),
            (kept,),
            forward_extra=2 * piece,
            backward_extra=2 * piece,
        )
        return entries * (logits.element + (0 if style.saves_logits else element)) + 2 * piece
    wide = cast(run, logits, element)
    if style.copies:
        wide = tape.record(
            (wide,), tape.value((run.tokens - rows) * spec.vocab_size * element, spec.vocab_size, element, tracked=True)
        )
    soft = tape.value(wide.size, spec.vocab_size, element, tracked=True)
    tape.record((wide,), soft, (soft.storage,))
    tape.record((soft,), tape.value(run.tokens * 4, 0, 4, tracked=True))
    tape.hold(logits)
    forward = logits.size + wide.size + soft.size
    return max(forward, 3 * soft.size + (logits.size if style.held else 0))


def _odds(run: Layers, x: Value, spec: ModelSpec, rows: int, *, capped: bool) -> int:
    """`trl/experimental/orpo/orpo_trainer.py::concatenated_forward`: accelerate hands the logits over in float32; those
    of the chosen half are copied for cross entropy, and a kernel scores those of both halves and keeps them.
    """
    form, tape, vocabulary = run.form, run.tape, spec.vocab_size
    head = Linear("lm_head", "lm_head", spec.hidden_size, vocabulary, 1, stored="parameter")
    logits = base_linear(run, x, head)
    if capped:
        bent = tape.value(logits.size, vocabulary, logits.element, tracked=logits.tracked)
        logits = scale(run, tape.record((scale(run, logits),), bent, (bent.storage,)))
    logits = cast(run, logits, 4) if form.autocast else logits
    element, cut = logits.element, run.tokens - rows
    half = tape.part(logits, cut // 2 * vocabulary * element)
    if rows > 2:  # of one row the last token is left out by a view
        half = tape.value(half.size, vocabulary, element, tracked=logits.tracked)
    tape.record((logits,), half)
    soft = tape.value(half.size, vocabulary, element, tracked=logits.tracked)
    tape.record((half,), soft, (soft.storage,))
    chosen = tape.record((soft,), tape.value(4, 0, 4, tracked=True))
    both = tape.record((logits,), tape.part(logits, cut * vocabulary * element))
    scored = tape.value(cut * 4, 0, 4, tracked=True)
    scored = tape.record((both,), scored, (logits.storage, tape.constant(cut * 4 * 4)))
    tape.record((chosen, scored), tape.value(4, 0, 4, tracked=True))
    tape.hold(logits)
    return logits.size + soft.size + max(half.size, both.size)


def _by_chunks(run: Layers, x: Value, spec: ModelSpec, *, scored: int) -> int:
    """Liger's, cut cross entropy's and TRL's earlier chunks: hidden states are kept, logits are not. torchtune's linear
    loss makes logits by pieces, too, but keeps their log-probabilities."""
    form, tape, style = run.form, run.tape, run.form.software.loss
    hidden, vocabulary = spec.hidden_size, spec.vocab_size
    element = form.compute if form.autocast else x.element
    head = vocabulary * hidden
    copy = head * element if form.weight != element else 0
    weight_gradient = head * form.weight if form.full else 0
    sums = head * 4 if form.full and form.weight != 4 else 0
    saved = [x.storage, tape.constant(run.tokens * 12)]
    kept = 0
    if style.kind == "projected":
        kept, tokens = scored * vocabulary * 4, -(-scored // style.pieces)
        saved.append(tape.constant(kept))
        forward = tokens * vocabulary * PIECE_FORWARD + copy
        backward = tokens * vocabulary * PIECE_BACKWARD + copy + sums
    elif style.kind == "cut":
        forward = backward = copy
    elif style.kind == "fused":
        tokens = _liger_chunk(run.tokens, vocabulary, hidden)
        saved = [tape.constant(run.tokens * hidden * element), *([tape.constant(head * element)] if form.full else [])]
        forward, backward = tokens * vocabulary * FUSED_LOGIT + copy + sums, 0
    else:
        tokens = min(style.tokens, scored)
        wide = head * 4 if style.wide_weight else copy
        forward, backward = (
            tokens * vocabulary * CHUNK_FORWARD + wide,
            tokens * vocabulary * CHUNK_BACKWARD + wide + sums,
        )
    result = tape.value(run.tokens * 4, 0, 4, tracked=True)
    tape.record((x,), result, saved, forward_extra=forward, backward_extra=backward, weight_gradient=weight_gradient)
    return max(forward, backward) + kept


def _liger_chunk(tokens: int, vocabulary: int, hidden: int) -> int:
    """Tokens of one of Liger's chunks: its logits take about as much as the hidden states."""
    pieces = -(-vocabulary // hidden)
    wanted = -(-tokens // pieces)
    return min(tokens, 1 << (wanted - 1).bit_length())
