"""A miniature autograd that counts bytes instead of computing: what a forward pass keeps, and the peak of its backward.

An operation is recorded with what it reads, what it makes and what it saves for its backward. Two walks give what the
real engine does: forward, a tensor lives until its last reader is done unless something saved it; backward (in reverse
order of recording), the gradient of an output lives until its operation is done, the gradients of the inputs appear
beside it, and what the operation saved is freed after it.

Follows torch 2.13 `csrc/autograd/engine.cpp`: gradients that meet at one tensor are added in place, so that the second
one is only alive for a moment.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


class Value:
    """A tensor: its storage, and the bytes of a gradient that has its shape and dtype.

    Views share the storage of what they look at and have a gradient of their own. `tracked`: autograd follows it.
    """

    __slots__ = ("element", "key", "size", "storage", "tracked", "width")

    def __init__(self, key: int, storage: int, size: int, width: int, element: int, tracked: bool) -> None:
        self.key = key
        self.storage = storage
        self.size = size
        """Bytes of the tensor (of its gradient too)."""
        self.width = width
        """Elements per token."""
        self.element = element
        """Bytes per element."""
        self.tracked = tracked


@dataclass(slots=True)
class Operation:
    """One recorded operation; sizes in bytes."""

    inputs: tuple[Value, ...]
    output: Value
    saved: tuple[int, ...]
    forward_extra: int
    backward_extra: int
    weight_gradient: int
    """Gradient of the operation's own weights, in the dtype in which autograd hands it over."""
    passes_gradient: bool
    """The gradient of the output is that of the inputs of the same size (addition): nothing is allocated for them."""
    saves_weight: bool = False
    """It saves a weight that is there anyway: no bytes, but checkpointing's second forward pass goes on up to it."""


@dataclass(slots=True)
class Walk:
    """What the two walks found, in bytes."""

    kept: int
    """Saved for the backward pass when the forward pass is done; the tape's own input not counted."""
    forward_peak: int
    """Highest level inside the forward pass; the input not counted."""
    recompute_peak: int
    """The same up to the last tensor that is saved, where checkpointing's second forward pass stops."""
    waiting: int
    """Gradients that are there when the backward pass first asks for a saved tensor: when checkpointing runs it
    again.
    """
    backward_peak: int
    """Highest level inside the backward pass, all that is kept counted in, weight gradients of this tape not."""
    backward_peak_late: int
    """The same with the weight gradients of this tape counted as they appear (they stay)."""
    weight_gradients: int
    """Gradients of the weights of this tape."""
    source_kept: int
    """Bytes of the tape's input if an operation saved it, else 0; not counted in `kept`."""


@dataclass(slots=True)
class Tape:
    """Operations in the order in which they ran."""

    sizes: list[int] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    values: int = 0
    pinned: set[int] = field(default_factory=set)
    """Storages that an operation holds by itself, where checkpointing cannot free them."""
    held: dict[int, int] = field(default_factory=dict)
    """Last operation through which a caller's variables hold a storage, beyond its last reader."""

    def hold(self, *values: Value) -> None:
        """These were variables or arguments of the code that just ended: they lived until its last operation."""
        last = len(self.operations) - 1
        for value in values:
            self.held[value.storage] = last

    def value(self, size: int, width: int = 0, element: int = 2, *, tracked: bool = False) -> Value:
        """A new tensor with a storage of its own."""
        self.sizes.append(size)
        self.values += 1
        return Value(self.values, len(self.sizes) - 1, size, width, element, tracked)

    def view(self, x: Value, width: int) -> Value:
        """Part of a tensor (or another shape of it); its gradient is written into zeros of the whole tensor's size."""
        self.values += 1
        part = Value(self.values, x.storage, x.size * width // max(1, x.width), width, x.element, x.tracked)
        return self.record((x,), part, passes_gradient=part.size == x.size)

    def constant(self, size: int) -> int:
        """A storage of `size` bytes that is no result: a copy of a weight, a mask. Returns its number, to be saved by
        an operation.
        """
        self.sizes.append(size)
        return len(self.sizes) - 1

    def part(self, x: Value, size: int) -> Value:
        """A view of `size` bytes of a tensor; record it with the operation that takes it."""
        self.values += 1
        return Value(self.values, x.storage, size, x.width, x.element, x.tracked)

    def record(
        self,
        inputs: tuple[Value, ...],
        output: Value,
        saved: Iterable[int] = (),
        *,
        forward_extra: int = 0,
        backward_extra: int = 0,
        weight_gradient: int = 0,
        passes_gradient: bool = False,
        saves_weight: bool = False,
    ) -> Value:
        """Remember one operation; returns its output."""
        kept = tuple(saved) if output.tracked else ()
        self.operations.append(
            Operation(
                inputs,
                output,
                kept,
                forward_extra,
                backward_extra,
                weight_gradient,
                passes_gradient,
                saves_weight and output.tracked,
            )
        )
        return output

    def walk(self, source: Value) -> Walk:
        """Both walks, from `source` (the tape's input, counted by whoever made it) to the last output."""
        kept, forward_peak, recompute_peak = self._walk_forward(source)
        waiting, backward, late, weight_gradients = self._walk_backward(source, kept)
        saved = any(source.storage in operation.saved for operation in self.operations)
        return Walk(
            kept, forward_peak, recompute_peak, waiting, backward, late, weight_gradients, source.size if saved else 0
        )

    def pinned_alone(self, source: Value) -> int:
        """Bytes that operations hold by themselves and nothing saves in autograd's way: a second forward pass under
        checkpointing drops them when it is over.
        """
        if not self.pinned:
            return 0
        hooked = {
            storage for operation in self.operations if self._checkpoints(operation) for storage in operation.saved
        }
        return sum(self.sizes[storage] for storage in self.pinned - hooked - {source.storage})

    def _checkpoints(self, operation: Operation) -> bool:
        """Whether it saves something in autograd's way, so that checkpointing takes part in it."""
        return operation.saves_weight or any(storage not in self.pinned for storage in operation.saved)

    def _walk_forward(self, source: Value) -> tuple[int, int, int]:
        sizes, operations = self.sizes, self.operations
        last_reader = dict(self.held)
        saved: set[int] = set()
        last_saver = -1
        for index, operation in enumerate(operations):
            for value in operation.inputs:
                if last_reader.get(value.storage, -1) < index:
                    last_reader[value.storage] = index
            saved.update(operation.saved)
            if operation.saves_weight or (operation.saved and (not self.pinned or self._checkpoints(operation))):
                last_saver = index
        saved.discard(source.storage)
        live = peak = recompute = 0
        alive: set[int] = {source.storage}
        ending: dict[int, list[int]] = {}
        for storage, index in last_reader.items():
            if storage not in saved and storage != source.storage:
                ending.setdefault(index, []).append(storage)
        for index, operation in enumerate(operations):
            if index == last_saver:
                recompute = max(peak, live)
            for storage in (operation.output.storage, *operation.saved):
                if storage not in alive:
                    alive.add(storage)
                    live += sizes[storage]
            level = live + operation.forward_extra
            if level > peak:
                peak = level
            for storage in ending.get(index, ()):
                if storage in alive:
                    alive.discard(storage)
                    live -= sizes[storage]
        kept = 0
        for storage in saved:
            kept += sizes[storage]
        return kept, peak, recompute

    def _walk_backward(self, source: Value, kept: int) -> tuple[int, int, int, int]:
        sizes = self.sizes
        savers: dict[int, int] = {}
        for operation in self.operations:
            for storage in operation.saved:
                savers[storage] = savers.get(storage, 0) + 1
        savers.pop(source.storage, None)
        gradients: dict[int, int] = {}
        """Bytes of the gradient waiting at each tensor, by key."""
        owners: dict[int, int] = {}
        """How many tensors wait for the same gradient buffer."""
        shared: dict[int, int] = {}
        """Which buffer a tensor's gradient lies in."""
        live = kept
        final = self.operations[-1].output
        gradients[final.key] = final.size
        shared[final.key] = final.key
        owners[final.key] = 1
        live += final.size
        peak = late = live
        weight_gradients = 0
        waiting = -1
        for operation in reversed(self.operations):
            output = operation.output
            if not output.tracked or output.key not in gradients:
                continue
            if waiting < 0 and (
                operation.saves_weight or (operation.saved and (not self.pinned or self._checkpoints(operation)))
            ):
                waiting = live - kept
            out_size = gradients.pop(output.key)
            buffer = shared.pop(output.key)
            momentary = operation.backward_extra + operation.weight_gradient
            weight_gradients += operation.weight_gradient
            tracked = [value for value in operation.inputs if value.tracked]
            if operation.passes_gradient:
                owners[buffer] -= 1
                for value in tracked:
                    if value.key in gradients:
                        if value.size != out_size:
                            momentary += value.size
                        continue
                    gradients[value.key] = value.size
                    if value.size == out_size:
                        shared[value.key] = buffer
                        owners[buffer] += 1
                    else:
                        shared[value.key] = -1 - len(owners)
                        owners[-1 - len(owners)] = 1
                        live += value.size
                level = live + momentary
                if owners[buffer] == 0:
                    live -= out_size
            else:
                for value in tracked:
                    if value.key in gradients:
                        momentary += value.size
                    else:
                        gradients[value.key] = value.size
                        shared[value.key] = -1 - len(owners)
                        owners[-1 - len(owners)] = 1
                        live += value.size
                level = live + momentary
                owners[buffer] -= 1
                if owners[buffer] == 0:
                    live -= out_size
            if level > peak:
                peak = level
            if level + weight_gradients - operation.weight_gradient > late:
                late = level + weight_gradients - operation.weight_gradient
            for storage in operation.saved:
                left = savers.get(storage)
                if left is not None and storage not in self.pinned:
                    savers[storage] = left - 1
                    if left == 1:
                        live -= sizes[storage]
        return max(waiting, 0), peak, late, weight_gradients

    def walk_forward_only(self, source: Value) -> int:
        """Highest level in bytes of a forward pass that keeps nothing; the input not counted."""
        return self._walk_forward(source)[1]
