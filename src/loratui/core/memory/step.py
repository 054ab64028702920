"""One training step, phase by phase: where its peak is and how high.

Phases are what `transformers.Trainer` with TRL's SFTTrainer does in each optimizer step: forward and backward of each
micro-batch, then the optimizer; and evaluation between steps. The states (weights, adapter, optimizer) are always there.
"""

from __future__ import annotations

from dataclasses import dataclass

from loratui.core.architecture import ModelSpec
from loratui.core.lora_targets import resolve_targets
from loratui.core.memory.block import Attention, Roles, block, final_norm, roles
from loratui.core.memory.formats import Formats
from loratui.core.memory.head import Head, head
from loratui.core.memory.ops import Layers
from loratui.core.memory.tape import Tape, Value, Walk
from loratui.core.memory.traits import Traits, traits
from loratui.core.plan import Plan


@dataclass(frozen=True, slots=True)
class Batch:
    """The largest batch of a run. masked: rows of unlike length share it (padding), or packed rows are kept apart."""

    rows: int
    tokens_per_row: int
    masked: bool
    trained_tokens: int

    @property
    def tokens(self) -> int:
        """Tokens of the batch, padding included."""
        return self.rows * self.tokens_per_row


@dataclass(frozen=True, slots=True)
class Moment:
    """One candidate for the peak: bytes beyond the states, split, and where it is."""

    phase: str
    where: str
    activations: int
    logits: int
    gradients: int

    @property
    def total(self) -> int:
        """Bytes beyond weights, adapter and optimizer states."""
        return self.activations + self.logits + self.gradients


def moments(spec: ModelSpec, plan: Plan, form: Formats, batch: Batch, gradients: int) -> list[Moment]:
    """Every candidate for the peak of forward, backward and optimizer."""
    style, part = traits(spec.family), roles(spec)
    adapted = frozenset(resolve_targets(spec, plan.lora.targets)) if not form.full else frozenset()
    checkpointing = plan.training.checkpointing
    accumulates = plan.training.accumulation > 1
    attention = _attention(plan, form, batch)
    shared = _shared(spec, form, batch, attention)

    def walk(tracked: bool) -> Walk:
        run = Layers(Tape(), form, batch.tokens, adapted, plan.lora.r)
        x = run.tensor(spec.hidden_size, form.weight, tracked=tracked)
        block(run, x, spec, part, style, attention)
        return run.tape.walk(x)

    later = walk(True)
    first = later if checkpointing or form.full else walk(False)
    stream = batch.tokens * spec.hidden_size * form.weight
    end = head(spec, form, batch, style)
    layers = spec.layers
    held = gradients if accumulates else 0
    embedding_gradient = spec.embedding_parameters * form.weight if form.full else 0
    copies = _cached_copies(spec, plan, form, gradients) if checkpointing else 0
    if checkpointing:
        kept = layers * stream
        inside = later.kept + stream
        last = kept + max(later.forward_peak + stream, later.backward_peak)
        body_first = stream + later.backward_peak
    else:
        kept = first.kept + (layers - 1) * later.kept + layers * stream
        inside = 0
        last = kept - stream + later.backward_peak - later.kept
        body_first = first.backward_peak
    del inside
    head_gradient = end.weight_gradient if form.full else 0
    block_gradients = later.weight_gradients
    found = [
        Moment("forward and backward", "in the loss, over the output head", shared + kept + stream + copies, max(end.forward, 0), held),
        Moment("forward and backward", "in the backward pass of the output head", shared + kept + stream, end.backward, held),
        Moment("forward and backward", "in the backward pass of the last norm", shared + kept + end.norm_backward, 0, held + (0 if accumulates else head_gradient)),
        Moment(
            "forward and backward", f"in the backward pass of the last of {layers} blocks",
            shared + last, 0, held + (0 if accumulates else head_gradient),
        ),
        Moment(
            "forward and backward", f"in the backward pass of the first of {layers} blocks",
            shared + body_first, 0,
            held if accumulates else max(0, head_gradient + block_gradients * (layers - 1)),
        ),
    ]
    if form.full:
        found.append(Moment("forward and backward", "in the backward pass of the embedding", shared + stream + embedding_gradient, 0, gradients if accumulates else gradients - embedding_gradient))
    found.append(Moment("optimizer step", "in the optimizer step", optimizer_extra(plan, form, gradients), 0, gradients))
    return found


def optimizer_extra(plan: Plan, form: Formats, gradients: int) -> int:
    """What the optimizer's step needs for a moment: torch's unfused AdamW holds a square root of every second moment."""
    return gradients if plan.training.optimizer == "adamw_torch" else 0


def evaluation(spec: ModelSpec, plan: Plan, form: Formats, batch: Batch) -> Moment:
    """An evaluation batch: nothing is kept, one block's temporaries and the loss's tile count."""
    style, part = traits(spec.family), roles(spec)
    adapted = frozenset(resolve_targets(spec, plan.lora.targets)) if not form.full else frozenset()
    run = Layers(Tape(), _eval_form(form), batch.tokens, adapted, plan.lora.r)
    x = run.tensor(spec.hidden_size, form.weight, tracked=False)
    block(run, x, spec, part, style, _attention(plan, form, batch))
    for operation in run.tape.operations:
        operation.saved = ()
    walk = run.tape.walk_forward_only(x)
    stream = x.size
    end = head(spec, form, batch, style)
    if walk + stream > end.forward + stream:
        return Moment("evaluation", "in a block of the evaluation's forward pass", walk + 2 * stream, 0, 0)
    return Moment("evaluation", "in the loss of the evaluation", 2 * stream, end.forward, 0)


def _eval_form(form: Formats) -> Formats:
    from dataclasses import replace

    return replace(form, dropout=False)


def _attention(plan: Plan, form: Formats, batch: Batch) -> Attention:
    """What this batch's attention costs a block: with a mask, torch's kernel keeps an additive copy of it per block."""
    if not batch.masked or plan.model.attention.startswith("flash"):
        return Attention(masked=False, mask_bytes=0)
    length = -(-batch.tokens_per_row // 8) * 8
    return Attention(masked=True, mask_bytes=batch.rows * batch.tokens_per_row * length * form.compute)


def _shared(spec: ModelSpec, form: Formats, batch: Batch, attention: Attention) -> int:
    """Held through the whole pass: token numbers, labels, positions, sines and cosines, and the boolean mask."""
    numbers = batch.tokens * 8 * 3
    rotary = 2 * batch.tokens_per_row * spec.head_dim * form.weight
    mask = batch.rows * batch.tokens_per_row**2 if attention.masked else 0
    return numbers + rotary + mask


def _cached_copies(spec: ModelSpec, plan: Plan, form: Formats, gradients: int) -> int:
    """Autocast's cache of 16-bit copies of float32 trained weights, which lives until the forward pass is over."""
    if not form.autocast:
        return 0
    if form.full:
        return spec.total_parameters * form.compute if form.casts_weights and form.weight == 4 else 0
    return gradients // form.adapter * form.compute if form.casts_adapter and form.adapter == 4 else 0


__all__ = ["Batch", "Head", "Moment", "Roles", "Traits", "Value", "evaluation", "final_norm", "moments", "optimizer_extra"]
