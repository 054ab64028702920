"""The search for what fits: method, weights' format, batch, checkpointing and optimizer, weighed together.

The ladder goes from the best to the leanest. On each rung the largest batch is sought, without checkpointing and with
it; among all batches up to these the fastest by the prediction is taken, padding and recomputing counted. Everything
that was weighed is kept: the reasons are made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from loratui.core import rules_of_thumb
from loratui.core.accelerators import lack
from loratui.core.memory import Budget, Estimate, Verdict, verdict
from loratui.core.memory.sharding import together
from loratui.core.plan import Plan
from loratui.core.recommend.context import Context, changed, evaluates
from loratui.core.recommend.preference import fewest_of_a_pass
from loratui.core.time import row_seconds

BUSY_TOKENS = 2048
"""Tokens of a forward pass from which a GPU is busy enough that a larger batch gains little."""
AS_FAST = 0.03
"""Share by which a prediction of time may differ and still tell nothing: then the larger batch is taken."""
DIVIDED: tuple[dict[str, Any], ...] = ({"hardware.parallelism": "hybrid"}, {"hardware.parallelism": "fsdp"})
"""Where a whole copy does not fit on one of several GPUs, each holds a share of the weights: a copy on each of several
nodes if that fits, for then only gradients travel between them.
"""
Rung = Mapping[str, Any]


class Fit(NamedTuple):
    """One point that was weighed.

    changes: the plan keys that make it. needed: its memory. rung: its place on the ladder.
    """

    changes: Mapping[str, Any]
    needed: Estimate
    room: Budget
    rung: int

    @property
    def total_bytes(self) -> int:
        """The point's predicted peak."""
        return self.needed.total_bytes

    @property
    def verdict(self) -> Verdict:
        """Whether the device has room for it."""
        return verdict(self.needed, self.room)

    @property
    def fits(self) -> bool:
        """Whether the device has room for it, be it with little to spare."""
        return self.verdict != "too big"

    @property
    def comfortable(self) -> bool:
        """Whether it fits at the upper end of what it may need, too."""
        return self.verdict == "fits"

    @property
    def batch(self) -> int:
        """Rows of a forward pass."""
        return int(self.changes["training.batch_size"])

    @property
    def checkpointing(self) -> bool:
        """Whether activations are computed again in the backward pass."""
        return bool(self.changes["training.checkpointing"])

    @property
    def divided(self) -> bool:
        """Whether each of several GPUs holds a share of the weights."""
        return bool(self.changes["hardware.parallelism"] != "ddp")


def ladder(context: Context) -> Iterator[Rung]:
    """Methods to try, the best first, as far as nothing is pinned against them."""
    pinned, folk = context.pinned, context.calculation == "rules-of-thumb"
    kind, quantisation = pinned.get("method.kind"), pinned.get("method.quantization")
    cpu = context.device.kind == "cpu"
    half = context.get("training.precision")
    adamw = rules_of_thumb.OPTIMIZER if folk else "adamw_torch_fused"
    whole_states = str(pinned.get("training.optimizer", adamw)).startswith("adamw_torch")
    several = context.device.count > 1 and pinned.get("hardware.parallelism") != "ddp" and whole_states
    divided = context.device.count > 1 and pinned.get("hardware.parallelism", "ddp") != "ddp"
    nodes, count = context.device.nodes, context.device.count
    ways = DIVIDED if 1 < nodes < count else DIVIDED[1:]
    small_states = not divided and not cpu and not folk  # 8-bit states cannot be divided
    small_states = small_states and not lack(context.device.vendor, "paged")
    if kind == "full":
        plain = {"method.kind": "full", "method.quantization": "none", "training.optimizer": adamw}
        yield {**plain, "model.dtype": "fp32"}
        if several:
            yield from ({**plain, "model.dtype": "fp32", **way} for way in ways)
        if small_states:
            yield {**plain, "model.dtype": "fp32", "training.optimizer": "paged_adamw_8bit"}
        if half == "bf16":
            yield {**plain, "model.dtype": "bf16"}
            if small_states:
                yield {**plain, "model.dtype": "bf16", "training.optimizer": "paged_adamw_8bit"}
        return
    base = {"model.dtype": half, "training.optimizer": adamw}
    if kind != "qlora" and quantisation in (None, "none"):
        lora: Rung = {**base, "method.kind": "lora", "method.quantization": "none", "method.double_quantization": False}
        yield lora
        if several:
            yield from ({**lora, **way} for way in ways)
        if small_states and (kind == "lora" or quantisation == "none"):  # else the next is a quantised base
            yield {**lora, "training.optimizer": "paged_adamw_8bit"}
    if folk and kind != "qlora" and quantisation in (None, "none"):
        return  # the folk rule is LoRA, whatever the memory
    if kind != "lora" and quantisation != "none" and (not cpu or kind == "qlora" or quantisation is not None):
        double = quantisation != "int8"
        four_bit = {**base, "method.kind": "qlora", "method.quantization": "nf4", "method.double_quantization": double}
        yield four_bit
        if several and quantisation != "int8":
            yield from ({**four_bit, **way} for way in ways)
        if small_states:
            yield {**four_bit, "training.optimizer": "paged_adamw_8bit"}


def accumulation_for(wanted: int, batch: int, devices: int) -> int:
    """Forward passes per step that come nearest to the wanted effective batch."""
    return max(1, round(wanted / (batch * devices)))


class Search:
    """One search and everything it weighed.

    wanted: rows of an optimizer step. found: the first rung that fits comfortably, at its best batch; else the first
    point that fits at all; else the leanest. hopeless: rungs whose weights alone are larger than the room.
    """

    def __init__(self, context: Context, wanted: int) -> None:
        self.context, self.wanted, self.room = context, wanted, context.budget()
        self.before = context.plan()
        """What was decided before it."""
        self.length = min(int(context.get("training.max_length")), context.data.longest)
        """Tokens of the longest row."""
        self.batches = self._batches()
        self.rungs: list[Rung] = []
        for rung in ladder(context):
            whole = {"hardware.parallelism": "ddp", **rung}
            fixed = {key: context.pinned.get(key, value) for key, value in whole.items()}
            if fixed not in self.rungs:
                self.rungs.append(fixed)
        self.hopeless: list[int] = []
        self._weighed: dict[tuple[int, int, bool], Fit] = {}
        self._seconds: dict[tuple[int, int, bool], float] = {}
        self.found = self._find()

    @property
    def tried(self) -> list[Fit]:
        """Every point that was weighed, in that order."""
        return list(self._weighed.values())

    def at(self, rung: int, batch: int, checkpointing: bool) -> Fit:
        """One point of the search, weighed now if it was not before."""
        place = (rung, batch, checkpointing)
        if place not in self._weighed:
            changes = self.changes_at(rung, batch, checkpointing)
            self._weighed[place] = Fit(changes, self.context.estimate(self._plan(changes)), self.room, rung)
        return self._weighed[place]

    def changes_at(self, rung: int, batch: int, checkpointing: bool) -> dict[str, Any]:
        """The plan keys that make one point; what is fixed stays."""
        context = self.context
        passes = (
            rules_of_thumb.accumulation(batch)
            if context.calculation == "rules-of-thumb"
            else accumulation_for(self.wanted, batch, context.device.count)
        )
        changes = {
            **self.rungs[rung],
            "training.batch_size": batch,
            "training.accumulation": passes,
            "training.checkpointing": checkpointing,
            "evaluation.batch_size": batch,
            "evaluation.every_steps": 1 if evaluates(context) else 0,
        }
        return {key: context.pinned.get(key, value) for key, value in changes.items()}

    def seconds(self, rung: int, batch: int, checkpointing: bool) -> float:
        """Predicted time of a row at one point, padding and recomputing counted; memory is not weighed for it."""
        place = (rung, batch, checkpointing)
        if place not in self._seconds:
            context = self.context
            plan = self._plan(self.changes_at(rung, batch, checkpointing))
            self._seconds[place] = row_seconds(context.spec, plan, context.data, context.device)
        return self._seconds[place]

    def _plan(self, changes: Mapping[str, Any]) -> Plan:
        """The plan of a point: nothing else is decided while the search goes on."""
        return changed(self.before, changes)

    def fastest(self, rung: int, *largest: Fit) -> Fit:
        """The fastest point by the prediction with at most the rows of one of these; of those as fast the largest.

        Where the accumulation is fixed, the batch decides the rows of a step: then the largest comes first.
        """
        points = [(batch, most.checkpointing) for most in largest for batch in self.batches if batch <= most.batch]
        if "training.accumulation" in self.context.pinned:
            rows = max(batch for batch, _ in points)
            points = [point for point in points if point[0] == rows]
        _, wanted = fewest_of_a_pass(self.context)
        points = [point for point in points if point[0] >= wanted] or points
        limit = min(self.seconds(rung, *point) for point in points) * (1 + AS_FAST)
        alike = [point for point in points if self.seconds(rung, *point) <= limit]
        found = sorted(alike, key=lambda point: (-point[0], self.seconds(rung, *point)))
        return next((fit for fit in (self.at(rung, *point) for point in found) if fit.comfortable), largest[0])

    def leanest(self, *, quantised: bool) -> Fit | None:
        """Of all that was weighed with quantised weights, or without, what needs least; None where nothing was."""
        points = [point for point in self.tried if (point.changes["method.quantization"] != "none") == quantised]
        return min(points, key=lambda point: point.total_bytes, default=None)

    def weights_bytes(self, rung: int) -> float:
        """Bytes of one device's unquantised weights on a rung."""
        fixed = self.rungs[rung]
        shares = together(changed(self.before, fixed), self.context.device).shares
        return (4 if fixed["model.dtype"] == "fp32" else 2) * self.context.spec.total_parameters / shares

    def _batches(self) -> list[int]:
        """Batch sizes to try, the largest first: the pinned one, or powers of two up to the effective batch."""
        context = self.context
        pinned = context.pinned.get("training.batch_size")
        if pinned is not None:
            return [int(pinned)]
        if context.calculation == "rules-of-thumb":
            return [context.rule_of_thumb().batch_size]
        passes = context.pinned.get("training.accumulation")
        most = max(1, self.wanted // context.device.count // int(passes or 1))
        fewest, _ = fewest_of_a_pass(context)
        powers = [2**power for power in range(most.bit_length() - 1, -1, -1)]
        return [power for power in powers if power >= fewest] or [fewest]

    def largest(self, rung: int, checkpointing: bool) -> Fit:
        """The largest batch that fits comfortably, the smallest where none does.

        Memory grows nearly in proportion to the batch, so what the largest and the smallest need tells where to begin.
        """
        largest = self.at(rung, self.batches[0], checkpointing)
        if largest.comfortable or len(self.batches) == 1:
            return largest
        best = self.at(rung, self.batches[-1], checkpointing)
        if not best.comfortable:
            return best
        per_row = max(
            1.0, (largest.needed.upper_bytes - best.needed.upper_bytes) / (self.batches[0] - self.batches[-1])
        )
        guess = self.batches[-1] + (self.room.bytes - best.needed.upper_bytes) / per_row
        begin = next((place for place, batch in enumerate(self.batches) if batch <= guess), len(self.batches) - 1)
        place = max(1, begin)
        while place < len(self.batches) - 1 and not self.at(rung, self.batches[place], checkpointing).comfortable:
            place += 1
        while place > 1 and self.at(rung, self.batches[place - 1], checkpointing).comfortable:
            place -= 1
        return self.at(rung, self.batches[place], checkpointing)

    def _is_hopeless(self, rung: int) -> bool:
        """Whether the unquantised weights alone are too large, so that nothing need be weighed."""
        return bool(self.rungs[rung]["method.quantization"] == "none") and self.weights_bytes(rung) > self.room.bytes

    def alike(self, rung: int, other: int) -> bool:
        """Whether two rungs differ in nothing but the optimizer."""
        first, second = ({**self.rungs[place], "training.optimizer": ""} for place in (rung, other))
        return first == second

    def _no_better(self, rung: int) -> bool:
        """Whether a rung that only lightens the optimizer's states cannot help: even without any it would not fit."""
        stateless = [
            point.total_bytes - point.needed.parts["optimizer"] for point in self.tried if self.alike(point.rung, rung)
        ]
        return bool(stateless) and min(stateless) > self.room.bytes

    def _may_gain(self, rung: int, without: Fit) -> bool:
        """Whether recomputing could be worth it: it allows a batch that none without it reaches, and is as fast."""
        larger = [batch for batch in self.batches if batch > without.batch]
        if not larger or "training.accumulation" in self.context.pinned:
            return bool(larger)
        best = min(self.seconds(rung, batch, False) for batch in self.batches if batch <= without.batch)
        return min(self.seconds(rung, batch, True) for batch in larger) <= best * (1 + AS_FAST)

    def _find(self) -> Fit:
        pinned = self.context.pinned.get("training.checkpointing")
        second: list[Fit] = []
        no_better: list[int] = []
        for rung in range(len(self.rungs)):
            last = rung == len(self.rungs) - 1
            if not last and self._is_hopeless(rung):
                self.hopeless.append(rung)
                continue
            if self._no_better(rung):
                no_better.append(rung)
                continue
            comfortable: list[Fit] = []
            for checkpointing in (False, True):
                if pinned is (not checkpointing) or (comfortable and not self._may_gain(rung, comfortable[0])):
                    continue
                largest = self.largest(rung, checkpointing)
                (comfortable if largest.comfortable else second).append(largest)
            if comfortable:
                return self.fastest(rung, *comfortable)
        if fits := next((point for point in second if point.fits), None):
            return fits
        for rung in no_better:  # nothing fits: smaller states come nearer
            ways = (False, True) if pinned is None else (bool(pinned),)
            second += [self.at(rung, self.batches[-1], checkpointing) for checkpointing in ways]
        return min(second, key=lambda point: point.total_bytes)
