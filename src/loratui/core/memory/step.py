"""One training step, phase by phase: where its peak is and how high.

Phases are what `transformers.Trainer` with TRL's SFTTrainer does in each optimizer step: forward and backward of each
micro-batch, then the optimizer; and evaluation between steps. The states (weights, adapter, optimizer) are always there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from loratui.core.architecture import Linear, ModelSpec
from loratui.core.lora_targets import resolve_targets
from loratui.core.memory.block import Attention, Roles, block, final_norm, roles
from loratui.core.memory.formats import Formats
from loratui.core.memory.head import loss
from loratui.core.memory.ops import Layers
from loratui.core.memory.tape import Tape, Value
from loratui.core.memory.traits import Traits, traits
from loratui.core.plan import Plan

PASS = "forward and backward"


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
    """One candidate for the peak: bytes beyond weights, adapter and optimizer states, split, and where it is."""

    phase: str
    where: str
    activations: int
    logits: int
    gradients: int

    @property
    def total(self) -> int:
        """Bytes beyond weights, adapter and optimizer states."""
        return self.activations + self.logits + self.gradients


@dataclass(slots=True)
class _Pass:
    """What forward and backward of one batch share."""

    spec: ModelSpec
    plan: Plan
    form: Formats
    batch: Batch
    style: Traits
    part: Roles
    attention: Attention
    adapted: frozenset[Linear]

    def start(self, *, tracked: bool = True) -> tuple[Layers, Value]:
        """A new tape with the residual stream on it."""
        run = Layers(Tape(), self.form, self.batch.tokens, self.adapted, self.plan.lora.r)
        return run, run.tensor(self.spec.hidden_size, self.form.weight, tracked=tracked)

    def block(self, run: Layers, x: Value) -> Value:
        """One block on the tape."""
        return block(run, x, self.spec, self.part, self.style, self.attention)

    def tail(self, run: Layers, x: Value) -> int:
        """Final norm, head and loss on the tape; bytes that the loss needs for itself."""
        end = final_norm(run, x, self.style)
        scored = max(1, min(self.batch.trained_tokens, self.batch.tokens - self.batch.rows))
        needs = loss(run, end, self.spec, scored=scored, rows=self.batch.rows)
        return max(needs.forward, needs.backward)


def _pass(spec: ModelSpec, plan: Plan, form: Formats, batch: Batch) -> _Pass:
    adapted = frozenset() if form.full else frozenset(resolve_targets(spec, plan.lora.targets))
    return _Pass(spec, plan, form, batch, traits(spec.family), roles(spec), _attention(plan, form, batch), adapted)


def moments(spec: ModelSpec, plan: Plan, form: Formats, batch: Batch, gradients: int) -> list[Moment]:
    """Every candidate for the peak of forward, backward and optimizer. gradients: bytes of all of them."""
    run = _pass(spec, plan, form, batch)
    found = _checkpointed(run, gradients) if plan.training.checkpointing else _plain(run, gradients)
    found.append(Moment("optimizer step", "in the optimizer's step", optimizer_extra(plan, gradients), 0, gradients))
    return found


def _plain(run: _Pass, gradients: int) -> list[Moment]:
    """Without checkpointing every block keeps what its backward needs."""
    spec, form = run.spec, run.form
    accumulates = run.plan.training.accumulation > 1
    layers, x = run.start()
    y = run.block(layers, x)
    middle = layers.tape.walk(x)
    tail_loss = run.tail(layers, y)
    tail = layers.tape.walk(x)
    if form.full:
        first, first_kept = middle, middle.kept + middle.source_kept
    else:
        start, begun = run.start(tracked=False)
        run.block(start, begun)
        first = start.tape.walk(begun)
        first_kept = first.kept + first.source_kept
    count = spec.layers
    shared = _shared(run)
    one = middle.kept + middle.source_kept
    before_last = first_kept + (count - 2) * one if count > 1 else 0
    held = gradients if accumulates else 0
    backward = tail.backward_peak if accumulates else tail.backward_peak_late
    last = max(tail.forward_peak, backward)
    end, stream = run.start()
    run.tail(end, stream)
    ending = end.tape.walk(stream)
    in_loss = max(ending.forward_peak, ending.backward_peak if accumulates else ending.backward_peak_late) + middle.kept >= last
    logits = tail_loss if in_loss else 0
    found = [
        Moment(
            PASS, "in the loss, over the output head" if in_loss else f"in the backward pass of the last of {count} blocks",
            shared + before_last + tail.source_kept + last - logits, logits, held,
        ),
    ]
    later = tail.weight_gradients + middle.weight_gradients * max(0, count - 2)
    found.append(Moment(
        PASS, f"in the backward pass of the first of {count} blocks",
        shared + first.source_kept + (first.backward_peak if accumulates else first.backward_peak_late), 0, held if accumulates else later,
    ))
    return found + _embedding(run, gradients, shared)


def _checkpointed(run: _Pass, gradients: int) -> list[Moment]:
    """With checkpointing a block keeps its input alone, and is run again when its backward needs it."""
    spec = run.spec
    accumulates = run.plan.training.accumulation > 1
    layers, x = run.start()
    run.block(layers, x)
    again = layers.tape.walk(x)
    pinned = sum(layers.tape.sizes[storage] for storage in layers.tape.pinned if storage != x.storage)
    end, stream = run.start()
    tail_loss = run.tail(end, stream)
    tail = end.tape.walk(stream)
    count = spec.layers
    shared = _shared(run)
    kept = count * (x.size + pinned)
    held = gradients if accumulates else 0
    copies = _cached_copies(run, gradients)
    backward = again.backward_peak if accumulates else again.backward_peak_late
    tail_backward = tail.backward_peak if accumulates else tail.backward_peak_late
    recompute = max(again.recompute_peak + again.waiting, backward)
    found = [
        Moment(PASS, "in the loss, over the output head", shared + kept + stream.size + copies + tail.forward_peak - tail_loss, tail_loss, held),
        Moment(PASS, "in the backward pass of the output head", shared + kept + stream.size + tail_backward - tail_loss, tail_loss, held),
        Moment(
            PASS, f"in the backward pass of the last of {count} blocks, run again for it", shared + kept + recompute - pinned, 0,
            held if accumulates else tail.weight_gradients,
        ),
        Moment(
            PASS, f"in the backward pass of the first of {count} blocks, run again for it", shared + x.size + recompute, 0,
            held if accumulates else tail.weight_gradients + again.weight_gradients * (count - 1),
        ),
    ]
    return found + _embedding(run, gradients, shared)


def _embedding(run: _Pass, gradients: int, shared: int) -> list[Moment]:
    """Full fine-tuning ends its backward at the embedding: one more gradient of its size where one is there already."""
    if not run.form.full:
        return []
    size = run.spec.embedding_parameters * run.form.weight
    accumulates = run.plan.training.accumulation > 1
    doubled = size if accumulates or run.spec.tied_embeddings else 0
    stream = run.batch.tokens * run.spec.hidden_size * run.form.weight
    return [Moment(PASS, "in the backward pass of the embedding", shared + stream + doubled, 0, gradients)]


def optimizer_extra(plan: Plan, gradients: int) -> int:
    """What the optimizer's step needs for a moment: torch's unfused AdamW holds a square root of every second moment."""
    return gradients if plan.training.optimizer == "adamw_torch" else 0


def evaluation(spec: ModelSpec, plan: Plan, form: Formats, batch: Batch) -> Moment:
    """An evaluation batch: nothing is kept, one block's temporaries and the loss's tile count."""
    run = _pass(spec, plan, replace(form, dropout=False), batch)
    layers, x = run.start(tracked=False)
    y = run.block(layers, x)
    inside = _temporary(layers, x)
    end, stream = run.start(tracked=False)
    tail_loss = run.tail(end, stream)
    ending = _temporary(end, stream)
    shared = _shared(run)
    if inside + y.size > ending:
        return Moment("evaluation", "in a block of the evaluation's forward pass", shared + x.size + inside, 0, 0)
    return Moment("evaluation", "in the loss of the evaluation", shared + x.size + ending - tail_loss, tail_loss, 0)


def _temporary(run: Layers, x: Value) -> int:
    for operation in run.tape.operations:
        operation.saved = ()
    return run.tape.walk_forward_only(x)


def _attention(plan: Plan, form: Formats, batch: Batch) -> Attention:
    """What this batch's attention costs a block: with a mask, torch's kernel keeps an additive copy of it per block."""
    if not batch.masked or plan.model.attention.startswith("flash"):
        return Attention(masked=False, mask_bytes=0)
    return Attention(masked=True, mask_bytes=batch.rows * batch.tokens_per_row**2 * form.compute)


def _shared(run: _Pass) -> int:
    """Held through the whole pass: token numbers, labels, mask; sines and cosines; the boolean attention mask."""
    batch = run.batch
    numbers = batch.tokens * 8 * 3
    rotary = 2 * batch.tokens_per_row * run.spec.head_dim * run.form.weight if run.style.rotary else 0
    mask = batch.rows * batch.tokens_per_row**2 if run.attention.masked else 0
    return numbers + rotary + mask


def _cached_copies(run: _Pass, gradients: int) -> int:
    """Autocast's cache of 16-bit copies of float32 trained weights, which lives until the forward pass is over."""
    form = run.form
    if not form.autocast:
        return 0
    if form.full:
        return run.spec.total_parameters * form.compute if form.casts_weights and form.weight == 4 else 0
    return gradients // form.adapter * form.compute if form.casts_adapter and form.adapter == 4 else 0
