"""One training step, phase by phase: where its peak is and how high.

Phases are what `transformers.Trainer` with TRL's SFTTrainer does in each optimizer step: forward and backward of
each micro-batch, then the optimizer; and evaluation between steps. The states (weights, adapter, optimizer) are
always there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from loratui.core.architecture import Linear, ModelSpec
from loratui.core.attention import keeps_rows_apart
from loratui.core.lora_targets import resolve_targets
from loratui.core.memory.block import Attention, Roles, block, final_norm, roles
from loratui.core.memory.formats import Formats
from loratui.core.memory.head import loss
from loratui.core.memory.ops import Layers
from loratui.core.memory.tape import Tape, Value, Walk
from loratui.core.memory.traits import Traits, traits
from loratui.core.plan import Plan
from loratui.core.preferences import copies_adapter

PASS = "forward and backward"
OFFLOAD_STASH = 5
"""Tensors that wait on the device on their way to the host (TRL and torchtune `OffloadActivations`,
max_fwd_stash_size)."""


class Batch(NamedTuple):
    """The largest batch of a run. masked: rows of unlike length share it (padding), or packed rows are kept apart."""

    rows: int
    tokens_per_row: int
    masked: bool
    trained_tokens: int

    @property
    def tokens(self) -> int:
        """Tokens of the batch, padding included."""
        return self.rows * self.tokens_per_row


class Moment(NamedTuple):
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


class _Pass(NamedTuple):
    """What forward and backward of one batch share: all of a plan that decides their bytes, so that plans which differ
    in nothing else are walked through once."""

    spec: ModelSpec
    form: Formats
    batch: Batch
    style: Traits
    part: Roles
    adapted: frozenset[Linear]
    rank: int
    kernel: str
    """`model.attention` of the plan."""
    accumulates: bool

    def start(self, *, tracked: bool = True) -> tuple[Layers, Value]:
        """A new tape with the residual stream on it."""
        run = Layers(Tape(), self.form, self.batch.tokens, self.adapted, self.rank)
        # bitsandbytes' layers answer in the format they were asked in, and autocast's LayerNorm asks in float32
        widens = self.form.quantised and self.form.autocast and self.style.norm == "layer"
        return run, run.tensor(self.spec.hidden_size, 4 if widens else self.form.weight, tracked=tracked)

    def block(self, run: Layers, x: Value, index: int) -> Value:
        """The block of this number on the tape."""
        return block(run, x, self.spec, self.part, self.style, self.attention(index))

    def masked(self, index: int) -> bool:
        """Whether this block's attention needs a mask: padding or packing, or a sliding window shorter than the
        rows."""
        if keeps_rows_apart(self.kernel):
            return False
        window = self.spec.sliding_window
        slides = (
            bool(window)
            and self.batch.tokens_per_row >= window
            and (self.style.full_every == 1 or (index + 1) % self.style.full_every != 0)
        )
        return self.batch.masked or slides

    def attention(self, index: int) -> Attention:
        """What attention costs this block: with a mask, torch's kernel keeps an additive copy of it for each block."""
        batch = self.batch
        masked = self.masked(index)
        eager = self.kernel == "eager" or (self.style.eager and self.kernel == "sdpa")
        size = batch.rows * batch.tokens_per_row**2 * self.form.compute if masked and not eager else 0
        return Attention(masked, size, batch.tokens_per_row, eager)

    @property
    def kinds(self) -> dict[bool, list[int]]:
        """Blocks with and without a mask, by number."""
        if not self.spec.sliding_window:
            return {self.masked(0): list(range(self.spec.layers))}
        found: dict[bool, list[int]] = {}
        for index in range(self.spec.layers):
            found.setdefault(self.masked(index), []).append(index)
        return found

    def tail(self, run: Layers, x: Value) -> int:
        """Final norm, head and loss on the tape; bytes that the loss needs for itself."""
        end = final_norm(run, x, self.style)
        scored = max(1, min(self.batch.trained_tokens, self.batch.tokens - self.batch.rows))
        return loss(run, end, self.spec, scored=scored, rows=self.batch.rows, capped=self.style.softcap)


def _pass(spec: ModelSpec, plan: Plan, form: Formats, batch: Batch, *, accumulates: bool) -> _Pass:
    targets = plan.lora.targets
    adapted = frozenset() if form.full else _adapted(spec, targets if isinstance(targets, str) else tuple(targets))
    rank = 0 if form.full else plan.lora.r
    style, part = traits(spec.family), _roles(spec)
    return _Pass(spec, form, batch, style, part, adapted, rank, plan.model.attention, accumulates)


_roles = lru_cache(maxsize=64)(roles)


@lru_cache(maxsize=64)
def _adapted(spec: ModelSpec, targets: str | Sequence[str]) -> frozenset[Linear]:
    return frozenset(resolve_targets(spec, targets))


def moments(spec: ModelSpec, plan: Plan, form: Formats, batch: Batch, gradients: int) -> list[Moment]:
    """Every candidate for the peak of forward, backward and optimizer. gradients: bytes of all of them."""
    run = _pass(spec, plan, form, batch, accumulates=plan.training.accumulation > 1)
    extra = optimizer_extra(plan, gradients, form)
    return [
        *(_checkpointed if plan.training.checkpointing else _plain)(run, gradients),
        Moment("optimizer step", "in the optimizer's step", extra, 0, gradients),
    ]


@lru_cache(maxsize=512)
def _plain(run: _Pass, gradients: int) -> tuple[Moment, ...]:
    """Without checkpointing every block keeps what its backward needs."""
    spec, form = run.spec, run.form
    accumulates = run.accumulates
    count = spec.layers
    layers, x = run.start()
    y = run.block(layers, x, count - 1)
    middle = layers.tape.walk(x)
    alike = {(run.attention(count - 1), True): middle}

    def walked(index: int, *, tracked: bool) -> Walk:
        """The block of this number alone; blocks that are alike are walked through once."""
        attention = run.attention(index)
        if (attention, tracked) not in alike:
            some, start = run.start(tracked=tracked)
            run.block(some, start, index)
            alike[attention, tracked] = some.tape.walk(start)
        return alike[attention, tracked]

    tail_loss = run.tail(layers, y)
    tail = layers.tape.walk(x)
    between = 0
    for numbers in run.kinds.values():
        inner = [number for number in numbers if 0 < number < count - 1]
        if inner:
            one = walked(inner[0], tracked=True)
            between += len(inner) * (one.kept + one.source_kept)
    first = walked(0, tracked=form.full)
    shared = _shared(run)
    before_last = (first.kept + first.source_kept if count > 1 else 0) + between
    held = gradients if accumulates else 0
    backward = tail.backward_peak if accumulates else tail.backward_peak_late
    last = max(tail.forward_peak, backward)
    end, stream = run.start()
    run.tail(end, stream)
    ending = end.tape.walk(stream)
    in_loss = (
        max(ending.forward_peak, ending.backward_peak if accumulates else ending.backward_peak_late) + middle.kept
        >= last
    )
    logits = tail_loss if in_loss else 0
    found = [
        Moment(
            PASS,
            "in the loss, over the output head" if in_loss else f"in the backward pass of the last of {count} blocks",
            shared + before_last + tail.source_kept + last - logits,
            logits,
            held,
        ),
    ]
    later = tail.weight_gradients + middle.weight_gradients * max(0, count - 2)
    found.append(
        Moment(
            PASS,
            f"in the backward pass of the first of {count} blocks",
            shared
            + first.source_kept
            + (first.backward_peak if accumulates else first.backward_peak_late)
            + _waiting_head(run),
            0,
            held if accumulates else later,
        )
    )
    if accumulates and _waiting_head(run):
        found.append(
            Moment(
                PASS,
                f"in the backward pass of the last of {count} blocks",
                shared + before_last + middle.source_kept + middle.backward_peak + _waiting_head(run),
                0,
                held,
            )
        )
    return (*found, *_embedding(run, gradients, shared))


@lru_cache(maxsize=512)
def _checkpointed(run: _Pass, gradients: int) -> tuple[Moment, ...]:
    """With checkpointing a block keeps its input alone, and is run again when its backward needs it."""
    spec = run.spec
    accumulates = run.accumulates
    end, stream = run.start()
    tail_loss = run.tail(end, stream)
    tail = end.tape.walk(stream)
    count = spec.layers
    shared = _shared(run)
    held = gradients if accumulates else 0
    copies = _cached_copies(run, gradients)
    stash = OFFLOAD_STASH if run.form.software.offloads else spec.layers
    found: list[Moment] = []
    kept = 0
    for numbers in run.kinds.values():
        layers, x = run.start()
        run.block(layers, x, numbers[0])
        again = layers.tape.walk(x)
        pinned = sum(layers.tape.sizes[storage] for storage in layers.tape.pinned if storage != x.storage)
        kept += min(len(numbers), stash) * x.size + len(numbers) * pinned
        backward = (again.backward_peak if accumulates else again.backward_peak_late) - layers.tape.pinned_alone(x)
        inside = max(again.recompute_peak + again.waiting, backward)
        for number in (numbers[-1], numbers[0]):
            before = min(number + 1, stash) * x.size + (number + 1) * pinned
            later = tail.weight_gradients + again.weight_gradients * (count - 1 - number)
            name = "last" if number == count - 1 else "first" if number == 0 else f"{number + 1}th"
            found.append(
                Moment(
                    PASS,
                    f"in the backward pass of the {name} of {count} blocks, run again for it",
                    shared + before + inside + _waiting_head(run),
                    0,
                    held if accumulates else later,
                )
            )
    tail_backward = tail.backward_peak if accumulates else tail.backward_peak_late
    found += [
        Moment(
            PASS,
            "in the loss, over the output head",
            shared + kept + tail.source_kept + copies + tail.forward_peak - tail_loss,
            tail_loss,
            held,
        ),
        Moment(
            PASS,
            "in the backward pass of the output head",
            shared + kept + tail.source_kept + tail_backward - tail_loss,
            tail_loss,
            held,
        ),
    ]
    return (*found, *_embedding(run, gradients, shared))


def _waiting_head(run: _Pass) -> int:
    """A tied head's gradient waits for the embedding's before it is added to one that is there already."""
    accumulates = run.accumulates
    return (
        run.spec.embedding_parameters * run.form.weight
        if run.form.full and run.spec.tied_embeddings and accumulates
        else 0
    )


def _embedding(run: _Pass, gradients: int, shared: int) -> list[Moment]:
    """Full fine-tuning ends its backward at the embedding: one more gradient of its size where one is there already."""
    if not run.form.full:
        return []
    size = run.spec.embedding_parameters * run.form.weight
    accumulates = run.accumulates
    doubled = size * (int(accumulates) + int(run.spec.tied_embeddings))
    stream = run.batch.tokens * run.spec.hidden_size * run.form.weight
    return [Moment(PASS, "in the backward pass of the embedding", shared + stream + doubled, 0, gradients)]


def optimizer_extra(plan: Plan, gradients: int, form: Formats) -> int:
    """What the optimizer's step needs for a moment: torch's unfused AdamW holds a square root of every second
    moment."""
    asked = form.software.foreach
    foreach = plan.training.optimizer == "adamw_torch" if asked is None else asked
    return gradients if foreach else 0


def evaluation(spec: ModelSpec, plan: Plan, form: Formats, batch: Batch, gradients: int = 0) -> Moment:
    """An evaluation batch: nothing is kept, one block's temporaries and the loss's tile count. gradients: bytes that
    all of them would have, from which autocast's copies of trained weights follow."""
    return _evaluation(_pass(spec, plan, form._replace(dropout=False), batch, accumulates=False), gradients)


@lru_cache(maxsize=512)
def _evaluation(run: _Pass, gradients: int) -> Moment:
    layers, x = run.start(tracked=False)
    y = run.block(layers, x, 0)
    inside = _temporary(layers, x)
    end, stream = run.start(tracked=False)
    tail_loss = run.tail(end, stream)
    ending = _temporary(end, stream)
    shared = _shared(run) + _cached_copies(run, gradients)
    if inside + y.size > ending:
        return Moment("evaluation", "in a block of the evaluation's forward pass", shared + x.size + inside, 0, 0)
    return Moment("evaluation", "in the loss of the evaluation", shared + x.size + ending - tail_loss, tail_loss, 0)


def reference_pass(spec: ModelSpec, plan: Plan, form: Formats, batch: Batch, gradients: int) -> Moment:
    """The reference's forward pass at each step of preference training: nothing of it is kept, and everything that the
    trained model's backward pass needs is there already."""
    run = _pass(spec, plan, form, batch, accumulates=plan.training.accumulation > 1)
    adapted = run.adapted if copies_adapter(plan) else frozenset()
    frozen = run._replace(form=form._replace(dropout=False, full=False), adapted=adapted, accumulates=False)
    beside = _evaluation(frozen, 0)
    kept = _kept(run, checkpointing=plan.training.checkpointing) + beside.activations
    return Moment(PASS, "in the reference's forward pass", kept, beside.logits, gradients if run.accumulates else 0)


@lru_cache(maxsize=512)
def _kept(run: _Pass, *, checkpointing: bool) -> int:
    """What a forward pass leaves behind for its backward pass."""
    end, stream = run.start()
    run.tail(end, stream)
    tail = end.tape.walk(stream)
    kept = _shared(run) + tail.kept + tail.source_kept
    if checkpointing:
        return kept + run.spec.layers * stream.size
    for numbers in run.kinds.values():
        begins = int(0 in numbers and not run.form.full)  # before its first adapter nothing is tracked there
        for tracked, count in ((False, begins), (True, len(numbers) - begins)):
            layers, x = run.start(tracked=tracked)
            run.block(layers, x, numbers[-1] if tracked else numbers[0])
            one = layers.tape.walk(x)
            kept += count * (one.kept + one.source_kept)
    return kept


def _temporary(run: Layers, x: Value) -> int:
    for operation in run.tape.operations:
        operation.saved = ()
    return run.tape.walk_forward_only(x)


def _shared(run: _Pass) -> int:
    """Held through the whole pass: token numbers, labels, mask; sines and cosines; the boolean attention mask."""
    batch = run.batch
    numbers = batch.tokens * 8 * 3
    rotary = (
        2 * batch.tokens_per_row * run.spec.head_dim * (4 if run.style.wide_rotary else run.form.weight)
        if run.style.rotary
        else 0
    )
    cells = batch.rows * batch.tokens_per_row**2
    kinds = run.kinds
    mask = 0
    if run.attention(0).eager:
        mask = cells * run.form.weight * (2 if run.spec.sliding_window and run.style.full_every > 1 else 1)
    elif True in kinds:
        mask = cells * (2 if batch.masked and run.spec.sliding_window and run.style.full_every > 1 else 1)
    return numbers + rotary + mask


def _cached_copies(run: _Pass, gradients: int) -> int:
    """Autocast's cache of 16-bit copies of float32 trained weights, which lives until the forward pass is over."""
    form = run.form
    if not form.autocast:
        return 0
    if form.full:
        spec = run.spec  # neither the embedding's look-up nor the loss's own products are autocast's
        blocks = spec.total_parameters - spec.embedding_parameters - spec.head_parameters - spec.norm_parameters
        return blocks * form.compute if form.casts_weights and form.weight == 4 else 0
    return gradients // form.adapter * form.compute if form.casts_adapter and form.adapter == 4 else 0
