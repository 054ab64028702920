"""The output head and the loss, as TRL 1.16 computes it: in tiles, never the whole of the logits.

Read from `trl/kernels/chunked_logprob.py` and `trl/trainer/utils.py::add_fused_lm_head`. On CUDA only the tokens that
bear loss are scored, in tiles of 4,096 tokens by 32,768 vocabulary entries in the compute format; the backward pass makes
each tile anew and sums the gradients in float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from loratui.core.architecture import ModelSpec
from loratui.core.memory.formats import Formats
from loratui.core.memory.ops import Layers, layer_norm, rms_norm
from loratui.core.memory.tape import Tape
from loratui.core.memory.traits import Traits

if TYPE_CHECKING:
    from loratui.core.memory.step import Batch

TILE_TOKENS = 4096
TILE_VOCABULARY = 32768


@dataclass(frozen=True, slots=True)
class Head:
    """Bytes of the loss beyond the last block's output."""

    forward: int
    backward: int
    norm_backward: int
    weight_gradient: int


def head(spec: ModelSpec, form: Formats, batch: Batch, style: Traits) -> Head:
    """What the final norm, the output head and the loss need."""
    run = Layers(Tape(), form, batch.tokens, frozenset(), 0)
    x = run.tensor(spec.hidden_size, form.weight, tracked=True)
    normed = layer_norm(run, x) if style.norm == "layer" else rms_norm(run, x, gemma=style.norm == "gemma")
    walk = run.tape.walk(x)
    element = form.compute
    scored = batch.trained_tokens
    tile_tokens, tile_width = min(scored, TILE_TOKENS), TILE_VOCABULARY
    tile = tile_tokens * tile_width * element
    hidden = scored * spec.hidden_size * normed.element
    statistics = scored * 4 * 7
    pieces = 0
    if normed.element != element:
        pieces += tile_tokens * spec.hidden_size * element
    if form.weight != element:
        pieces += min(tile_width, spec.vocab_size) * spec.hidden_size * element
    kept = walk.kept + hidden + scored * 20 + batch.tokens * 24
    forward = max(walk.forward_peak, kept + normed.size + tile + statistics + pieces)
    summed = scored * spec.hidden_size * 4
    weight_sum = weight_gradient = 0
    if form.full:
        weight_sum = spec.vocab_size * spec.hidden_size * 4
        weight_gradient = spec.vocab_size * spec.hidden_size * form.weight
    returned = hidden + (weight_gradient if form.weight != 4 else 0)
    backward = kept + summed + weight_sum + max(tile + pieces, returned if normed.element != 4 else 0)
    after = walk.backward_peak + 2 * normed.size
    return Head(forward, backward, after, weight_gradient)
