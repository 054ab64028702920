"""The gentlest ways to need less memory, in the order in which they are to be tried, each with its price.

First what keeps the result (smaller passes of the same effective batch, recomputed activations, shares), then what
holds the same in fewer bits, then a smaller adapter, and last what cuts rows: that loses answers, so only a person
may choose it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from loratui.core.accelerators import lack
from loratui.core.architecture import ModelSpec
from loratui.core.capabilities import capabilities
from loratui.core.dataset import DataFacts
from loratui.core.float16 import fp16_fault, slow_fp16
from loratui.core.hardware import Device
from loratui.core.lora_targets import ALPHA, attention_names, resolve_targets
from loratui.core.memory.budget import budget
from loratui.core.memory.estimate import Estimate, estimate
from loratui.core.memory.fit import changed, longest_length
from loratui.core.memory.sharding import together
from loratui.core.plan import Plan
from loratui.core.plan_change import Start, start_after
from loratui.core.preferences import estimates_kl, fewest_rows

LEAST_LENGTH, LEAST_RANK = 256, 4
ADAPTER_RATE = 10.0
"""LoRA's best rate over that of full fine-tuning (`core.recommend.learning_rate`)."""
EIGHT_BIT = "paged_adamw_8bit"
"""Its states also leave the card while they are not needed."""


LEAST_SHARE, LEAST_BYTES = 0.01, 64 * 2**20
"""What a change must save to be worth a line: a share of the peak, and on a GPU so many bytes."""


class Alternative(NamedTuple):
    """One change of the plan. cost: what it costs in quality (and, in a proposal, in time), in words.

    change: every key that reaches `memory_total_bytes`. held: those of them that only hold the rest as it is.
    """

    change: dict[str, Any]
    memory_total_bytes: int
    cost: str
    fits: bool
    start: Start
    """What it means for a run that has begun: on from its checkpoint, from its adapter, or anew from the base."""
    unattended: bool = True
    """Whether a run may take it without a person: never what loses rows or tokens."""
    held: tuple[str, ...] = ()


class _Rung(NamedTuple):
    change: dict[str, Any]
    cost: str
    unattended: bool = True
    lowers: bool = False
    """Whether it surely lowers the moment at which memory ran out, even where the estimate sees the peak elsewhere."""


def alternatives(
    spec: ModelSpec, plan: Plan, data: DataFacts, device: Device, *, where: str = "", held: Collection[str] = ()
) -> list[Alternative]:
    """Each rung alone that saves enough memory to be worth it, the gentlest first; where none so far fits, after them
    the first sum of rungs that does. Empty only where nothing can be lowered.

    where: in which moment memory ran out (`load`, `step`, `evaluation`, `generation`, `save`), empty where it is
    only planned. What has run out needs more than the estimate says: then what lowers that moment is offered
    whatever the estimate sees, and what cannot lower it is left out. held: keys that may not be moved: a rung that
    would move one is left out.
    """
    ladder = _Ladder(spec, plan, data, device, where)
    before = ladder.needed({}).total_bytes
    least = max(round(before * LEAST_SHARE), LEAST_BYTES if device.kind == "gpu" else 0) if not where else 1
    found: list[Alternative] = []
    together: dict[str, Any] = {}
    lowest = before
    taken: list[_Rung] = []
    fitting = False
    for rung in _rungs(ladder):
        if not rung.change.keys().isdisjoint(held):
            continue
        alone = ladder.weigh(rung.change, rung.cost, rung.unattended)
        worth = rung.lowers or alone.memory_total_bytes <= before - least
        if worth:
            found.append(alone)
            fitting = fitting or alone.fits
        summed = ladder.needed(together | rung.change).total_bytes
        if worth or summed < lowest:
            together |= rung.change
            lowest = summed
            taken.append(rung)
        if len(taken) > 1 and not fitting:
            total = ladder.weigh(together, " ".join(one.cost for one in taken), all(one.unattended for one in taken))
            if total.fits:
                found.append(total)
                fitting = True
    return found


@dataclass(frozen=True, slots=True)
class _Ladder:
    spec: ModelSpec
    plan: Plan
    data: DataFacts
    device: Device
    where: str
    weighed: dict[str, Estimate] = field(default_factory=dict)
    """What was weighed so far, by its change."""

    @property
    def limit(self) -> int:
        return budget(self.device).bytes

    def needed(self, change: Mapping[str, Any]) -> Estimate:
        place = repr(sorted(change.items()))
        if place not in self.weighed:
            values = {key.replace(".", "__"): value for key, value in change.items()}
            self.weighed[place] = estimate(self.spec, changed(self.plan, **values), self.data, self.device)
        return self.weighed[place]

    def weigh(self, change: Mapping[str, Any], cost: str, unattended: bool) -> Alternative:
        needed = self.needed(change)
        fits = needed.upper_bytes <= self.limit
        return Alternative(dict(change), needed.total_bytes, cost, fits, start_after(self.plan, change), unattended)


def _rungs(ladder: _Ladder) -> Iterator[_Rung]:
    """Every way down, the gentlest first; a rung that saves nothing here is left out by the caller."""
    training = ladder.plan.training
    if (
        ladder.where in ("", "evaluation", "generation")
        and ladder.plan.evaluation.every_steps
        and ladder.plan.evaluation.batch_size > 1
    ):
        rows = _halved(ladder, "evaluation.batch_size", ladder.plan.evaluation.batch_size)
        yield _Rung(rows, "Evaluations in smaller batches; the same training.", lowers=bool(ladder.where))
    if ladder.where in ("", "step") and _fewer(training.batch_size, fewest_rows(ladder.plan)):
        cost = "More passes a step; the same effective batch, the same result."
        if estimates_kl(ladder.plan):
            cost = "More passes a step; the same effective batch, but KTO's KL is estimated from fewer rows."
        yield _Rung(_halved(ladder, "training.batch_size", training.batch_size), cost, lowers=bool(ladder.where))
    if ladder.where in ("", "step") and not training.checkpointing:
        cost = "Activations are computed again in the backward pass; the same result."
        yield _Rung({"training.checkpointing": True}, cost, lowers=bool(ladder.where))
    yield from _shares(ladder)
    yield from _fewer_bits(ladder)
    yield from _smaller_adapter(ladder)
    if ladder.where not in ("load", "save"):
        yield from _shorter_rows(ladder)


def _halved(ladder: _Ladder, key: str, rows: int) -> dict[str, Any]:
    """Half as many rows a pass, and half again, until they fit; the training's effective batch is kept."""
    change: dict[str, Any] = {}
    for smaller in _fewer(rows, fewest_rows(ladder.plan) if key == "training.batch_size" else 1):
        change = {key: smaller}
        if key == "training.batch_size":
            change["training.accumulation"] = ladder.plan.training.accumulation * rows // smaller
            evaluation = ladder.plan.evaluation
            if not ladder.where and evaluation.every_steps and evaluation.batch_size > smaller:
                change["evaluation.batch_size"] = smaller
        if ladder.needed(change).upper_bytes <= ladder.limit:
            break
    return change


def _fewer(rows: int, fewest: int) -> list[int]:
    """Into how few rows a pass of so many can be divided evenly, the most first."""
    return [rows // parts for parts in range(2, rows + 1) if rows % parts == 0 and rows // parts >= fewest]


def _shares(ladder: _Ladder) -> Iterator[_Rung]:
    plan = ladder.plan
    if ladder.device.count > 1 and plan.hardware.parallelism != "fsdp" and plan.method.quantization != "int8":
        change = (
            {} if plan.training.optimizer.startswith("adamw_torch") else {"training.optimizer": "adamw_torch_fused"}
        )
        yield _Rung(
            {"hardware.parallelism": "fsdp", **change},
            "Each GPU holds a share of the weights: more traffic between them; the same result.",
        )


def _fewer_bits(ladder: _Ladder) -> Iterator[_Rung]:
    """Optimizer states, weights and the base in fewer bits, where the device computes in them."""
    plan, device = ladder.plan, ladder.device
    gpu = device.kind != "cpu"
    can = capabilities(device.compute_capability) if gpu and device.compute_capability else None
    divided = together(plan, device).divided
    eight_bit = not lack(device.vendor, "paged") and not lack(device.vendor, "8bit")
    if gpu and not divided and eight_bit and "8bit" not in plan.training.optimizer:
        yield _Rung({"training.optimizer": EIGHT_BIT}, "The optimizer's states in 8 bit: hardly a loss of quality.")
    bf16 = can.bf16 == "yes" if can else device.bf16 or device.vendor == "nvidia"
    if plan.model.dtype == "fp32" and plan.method.kind != "full" and plan.method.quantization == "none":
        short = "bf16" if bf16 else "fp16"
        slow = "" if bf16 else slow_fp16(device)
        cost = f"The frozen base in {short} instead of fp32: a slight loss of precision."
        if bf16 or not fp16_fault(ladder.spec.family)[0]:  # what overflows in it is no way to need less memory
            yield _Rung({"model.dtype": short}, f"{cost} {device.name}: {slow}." if slow else cost)
    if plan.method.kind == "full":
        yield _Rung(
            {"method.kind": "lora", **_adapter_rate(ladder)},
            "An adapter instead of all weights: less capacity, and less is forgotten.",
            False,
        )
    four_bit = can is None or can.nf4 != "no"
    if gpu and four_bit and (plan.method.kind != "qlora" or plan.method.quantization == "int8"):
        change: dict[str, Any] = {
            "method.kind": "qlora",
            "method.quantization": "nf4",
            "method.double_quantization": True,
        }
        if plan.method.compute_dtype != plan.training.precision:
            change["method.compute_dtype"] = plan.training.precision
        cost = "The base is read in 4 bit: a slight loss of quality."
        if plan.method.kind == "full":
            change, cost = change | _adapter_rate(ladder), f"An adapter instead of all weights. {cost}"
        yield _Rung(change, cost, plan.method.kind != "full")


def _adapter_rate(ladder: _Ladder) -> dict[str, Any]:
    """For a run that goes on by itself: an adapter learns at about ten times the rate (a wizard proposes one anew)."""
    return (
        {"training.learning_rate": min(1.0, ADAPTER_RATE * ladder.plan.training.learning_rate)} if ladder.where else {}
    )


def _smaller_adapter(ladder: _Ladder) -> Iterator[_Rung]:
    plan, spec = ladder.plan, ladder.spec
    if plan.method.kind == "full":
        return
    if plan.lora.r > LEAST_RANK:
        rank = 8 if plan.lora.r > 8 else LEAST_RANK
        kept = {} if plan.lora.alpha == ALPHA else {"lora.alpha": plan.lora.alpha * rank / plan.lora.r}
        yield _Rung({"lora.r": rank, **kept}, "A smaller adapter: less capacity for new facts.")
    attention = list(attention_names(spec))
    if attention and len(resolve_targets(spec, plan.lora.targets)) > len(resolve_targets(spec, attention)):
        yield _Rung({"lora.targets": attention}, "Attention layers alone learn less than all layers at the same rank.")


def _shorter_rows(ladder: _Ladder) -> Iterator[_Rung]:
    """Last, and never unattended: what is cut is mostly answers, which stand at the rows' ends."""
    data, training = ladder.data, ladder.plan.training
    length = min(training.max_length, data.longest)
    if length <= LEAST_LENGTH:
        return
    half = length // 2
    shorter = max(LEAST_LENGTH, min(half, _fitting_length(ladder, half) or half)) // 8 * 8
    yield _Rung({"training.max_length": shorter}, cut_words(data, length, shorter), False)


def cut_words(data: DataFacts, length: int, shorter: int) -> str:
    """How many rows and tokens are lost where rows of at most `length` tokens are cut to `shorter`."""
    if data.divided:
        pieces = data.at(shorter).examples
        return f"Texts are divided into {pieces:,} pieces of at most {shorter} tokens: nothing is cut."
    if data.supposed:
        return (
            f"Rows of up to {shorter:,} tokens are then supposed; a dataset's longer ones are cut, where answers end."
        )
    rows = [min(row, length) for row in data.lengths]
    cut = [row - shorter for row in rows if row > shorter]
    share = len(cut) / len(rows)
    about = "" if data.exact and len(rows) == data.examples else "about "
    lost = sum(cut)
    answers = min(1.0, lost / max(1.0, sum(rows) * data.trained_share))
    return (
        (
            f"{about}{round(share * data.examples):,} of {data.examples:,} rows are cut to {shorter} tokens and "
            f"lose {lost / max(1, sum(rows)):.0%} of all tokens, "
            f"at the rows' ends, where answers stand: up to {answers:.0%} of what is learnt from."
        )
        .replace("%", " %")
        .capitalize()
    )


def _fitting_length(ladder: _Ladder, most: int) -> int:
    training = ladder.plan.training
    leanest = changed(
        ladder.plan,
        training__batch_size=1,
        training__accumulation=training.batch_size * training.accumulation,
        training__checkpointing=True,
    )
    return longest_length(ladder.spec, leanest, ladder.data, ladder.device, most=most)
