"""What fits: method, weights' format, batch, accumulation, checkpointing and optimizer, decided together.

The ladder goes from the best to the leanest. On each rung the largest batch is sought, first without checkpointing;
without it a batch must still be large enough to keep the device busy, or recomputing is the better price.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loratui.core import rules_of_thumb
from loratui.core.memory import Estimate
from loratui.core.recommend.context import Context, evaluates
from loratui.core.recommend.parallel import several_gpus
from loratui.core.recommend.precision import best_precision
from loratui.core.recommendation import Recommendation
from loratui.core.schedule import packed_sequences

BUSY_TOKENS = 2048
"""Tokens of a forward pass from which a GPU is busy enough that a larger batch gains little."""
MIN_STEPS = 100
DIVIDED: dict[str, Any] = {"hardware.parallelism": "fsdp"}
"""Where a whole copy does not fit on one of several GPUs, each holds a share of the weights."""
GIB = 2**30


@dataclass(frozen=True, slots=True)
class Fit:
    """One point that was tried. changes: the plan keys that make it. needed: its memory."""

    changes: Mapping[str, Any]
    needed: Estimate
    room_bytes: int

    @property
    def total_bytes(self) -> int:
        """The point's predicted peak."""
        return self.needed.total_bytes

    @property
    def fits(self) -> bool:
        """Whether the device has room for it."""
        return self.total_bytes <= self.room_bytes

    @property
    def comfortable(self) -> bool:
        """Whether it fits at the upper end of what it may need, too."""
        return self.needed.upper_bytes <= self.room_bytes


def effective_batch(context: Context) -> tuple[int, str]:
    """Rows per optimizer step that learning wants, and why."""
    if context.calculation == "rules-of-thumb":
        return rules_of_thumb.EFFECTIVE_BATCH_SIZE, "folk rule: 8"
    packing, passes = bool(context.get("training.packing")), float(context.get("training.epochs"))
    examples = packed_sequences(context.data, int(context.get("training.max_length"))) if packing else context.data.examples
    word = "sequences" if packing else "rows"
    if examples > 50_000:
        return 32, f"{examples:,} {word}: 32 above 50,000"
    size = 16
    while size > 4 and examples * passes / size < MIN_STEPS:
        size //= 2
    return size, f"{examples:,} {word} × {passes:g} epochs / {size} = {examples * passes / size:,.0f} steps: 16, halved down to 4 while there are fewer than {MIN_STEPS}"


def _rungs(context: Context) -> Iterator[dict[str, Any]]:
    """Methods to try, the best first, as far as nothing is pinned against them."""
    pinned = context.pinned
    kind, quantisation = pinned.get("method.kind"), pinned.get("method.quantization")
    cpu = context.device.kind == "cpu"
    half = best_precision(context.device)
    several = context.device.count > 1 and pinned.get("hardware.parallelism") != "ddp"
    if kind == "full":
        plain = {"method.kind": "full", "method.quantization": "none", "training.optimizer": "adamw_torch_fused"}
        yield {**plain, "model.dtype": "fp32"}
        if several:
            yield {**plain, "model.dtype": "fp32", **DIVIDED}
        if half == "bf16":
            yield {**plain, "model.dtype": "bf16"}
            yield {**plain, "model.dtype": "bf16", "training.optimizer": "paged_adamw_8bit"}
        elif half == "fp16":
            yield {**plain, "model.dtype": "fp32", "training.optimizer": "paged_adamw_8bit"}
        return
    base = {"model.dtype": half, "training.optimizer": "adamw_torch_fused"}
    if kind != "qlora" and quantisation in (None, "none"):
        lora: dict[str, Any] = {**base, "method.kind": "lora", "method.quantization": "none", "method.double_quantization": False}
        yield lora
        if several:
            yield {**lora, **DIVIDED}
    if kind != "lora" and quantisation != "none" and (not cpu or kind == "qlora" or quantisation is not None):
        four_bit = {**base, "method.kind": "qlora", "method.quantization": "nf4", "method.double_quantization": True}
        yield four_bit
        if several and quantisation != "int8":
            yield {**four_bit, **DIVIDED}
        if not cpu:
            yield {**four_bit, "training.optimizer": "paged_adamw_8bit"}


def accumulation_for(wanted: int, batch: int, devices: int) -> int:
    """Forward passes per step that come nearest to the wanted effective batch."""
    return max(1, round(wanted / (batch * devices)))


def _try(context: Context, rung: Mapping[str, Any], batch: int, checkpointing: bool, wanted: int) -> Fit:
    changes = {
        "hardware.parallelism": "ddp",
        **rung,
        "training.batch_size": batch,
        "training.accumulation": accumulation_for(wanted, batch, context.device.count),
        "training.checkpointing": checkpointing,
        "evaluation.batch_size": batch,
        "evaluation.every_steps": 1 if evaluates(context) else 0,
    }
    changes = {key: context.pinned.get(key, value) for key, value in changes.items()}
    return Fit(changes, context.estimate(changes), context.budget().bytes)


def _batches(context: Context, wanted: int) -> list[int]:
    """Batch sizes to try, the largest first: the pinned one, or powers of two up to the effective batch."""
    pinned = context.pinned.get("training.batch_size")
    if pinned is not None:
        return [int(pinned)]
    if context.calculation == "rules-of-thumb":
        return [context.thumb().batch_size]
    passes = context.pinned.get("training.accumulation")
    most = max(1, wanted // context.device.count // int(passes or 1))
    return [2**power for power in range(most.bit_length() - 1, -1, -1)]


def _largest(context: Context, rung: Mapping[str, Any], batches: Sequence[int], checkpointing: bool, wanted: int) -> Fit:
    """The largest batch that fits comfortably, the smallest where none does.

    Memory grows nearly in proportion to the batch, so what the largest and the smallest need tells which to try.
    """
    best = _try(context, rung, batches[0], checkpointing, wanted)
    if best.comfortable or len(batches) == 1:
        return best
    largest, best = best, _try(context, rung, batches[-1], checkpointing, wanted)
    if not best.comfortable:
        return best
    room = best.room_bytes - best.needed.upper_bytes
    per_row = (largest.needed.upper_bytes - best.needed.upper_bytes) / (batches[0] - batches[-1])
    for batch in batches[1:-1]:
        if (batch - batches[-1]) * per_row <= room:
            tried = _try(context, rung, batch, checkpointing, wanted)
            if tried.comfortable:
                return tried
    return best


def _hopeless(context: Context, rung: Mapping[str, Any]) -> bool:
    """Whether the unquantised weights alone are too large, so that nothing need be weighed."""
    if rung["method.quantization"] != "none":
        return False
    width = 4 if context.pinned.get("model.dtype", rung["model.dtype"]) == "fp32" else 2
    shares = context.device.count if rung.get("hardware.parallelism") == "fsdp" else 1
    return width * context.spec.total_parameters > shares * context.budget().bytes


def _no_better(rung: Mapping[str, Any], before: Mapping[str, Any], tried: Sequence[Fit]) -> bool:
    """Whether a rung that only lightens the optimizer's states cannot help, since even without any it would not fit."""
    if {**rung, "training.optimizer": ""} != {**before, "training.optimizer": ""}:
        return False
    leanest = min(tried, key=lambda point: point.total_bytes)
    return leanest.total_bytes - leanest.needed.parts["optimizer"] > leanest.room_bytes


def search(context: Context, wanted: int) -> Fit:
    """The first rung that fits comfortably, at its best batch; else the first that fits at all; else the leanest."""
    length = min(int(context.get("training.max_length")), context.data.longest)
    batches = _batches(context, wanted)
    pinned = context.pinned.get("training.checkpointing")
    tried: list[Fit] = []
    rungs = list(_rungs(context))
    for rung in rungs:
        if (rung is not rungs[-1] and _hopeless(context, rung)) or (tried and _no_better(rung, rungs[rungs.index(rung) - 1], tried)):
            continue
        without = None
        if pinned is not True:
            without = _largest(context, rung, batches, False, wanted)
            batch = int(without.changes["training.batch_size"])
            if without.comfortable and (pinned is False or batch == batches[0] or batch * length >= BUSY_TOKENS):
                return without
            tried.append(without)
        if pinned is not False:
            with_it = _largest(context, rung, batches, True, wanted)
            if with_it.comfortable:
                return with_it
            tried.append(with_it)
        if without is not None and without.comfortable:
            return without
    return next((point for point in tried if point.fits), None) or min(tried, key=lambda point: point.total_bytes)


def _gib(size_bytes: float) -> str:
    return f"{size_bytes / GIB:,.2f} GiB"


def fit(context: Context) -> Iterator[Recommendation]:
    """Everything that the memory decides."""
    wanted, wanted_why = effective_batch(context)
    found = search(context, wanted)
    room = context.budget().bytes
    verdict = f"{_gib(found.total_bytes)} {'of' if found.fits else 'against'} {_gib(room)} to be had"
    yield from _method(context, found, verdict)
    yield from _weights(context, found, verdict)
    yield from _batch(context, found, verdict, wanted, wanted_why)
    yield from _savers(context, found, verdict)
    if context.device.count > 1:
        copies = Fit(found.changes, context.estimate({**found.changes, "hardware.parallelism": "ddp"}), room)
        chosen = "hardware.parallelism" in context.pinned  # then the search says nothing about the other way
        divided = not copies.comfortable if chosen else found.changes["hardware.parallelism"] == "fsdp"
        yield several_gpus(context.device.count, divided=divided, verdict=f"a copy needs {_gib(copies.total_bytes)} of {_gib(room)}")


def _method(context: Context, found: Fit, verdict: str) -> Iterator[Recommendation]:
    kind = found.changes["method.kind"]
    why = {
        "lora": "LoRA fits, learns as well as full fine-tuning at this scale of data, and forgets less.",
        "qlora": "The base in 4 bits: unquantised it would leave no room.",
        "full": "All weights are trained, as chosen.",
    }[kind]
    if kind == "lora" and context.device.kind == "cpu":
        why = "LoRA: on a CPU quantisation saves memory but makes each step much slower."
    if kind == "qlora" and not found.fits:
        why = "The leanest method; even so it does not fit."
    yield Recommendation(
        "method.kind", kind, why, f"lora if it fits, else qlora: {verdict}",
        "Biderman et al. 2024 (2405.09673); QLoRA, arXiv 2305.14314; the theory page's comparison.",
        rule_of_thumb="lora" if context.pinned.get("method.quantization", "none") == "none" else None,
        up="full: for new knowledge (code, mathematics, a language); 8 to 16 bytes a parameter, a file as large as the model.",
        down="qlora: a quarter of the weights' memory, some 20-40 % slower.",
        disagreement="LoRA falls short of full fine-tuning when the goal is much new knowledge; for instructions and style it does not.",
    )
    quantisation = found.changes.get("method.quantization", context.get("method.quantization"))
    yield Recommendation(
        "method.quantization", quantisation,
        "NF4: its 16 levels follow the normal distribution of weights." if quantisation != "none" else "The base fits unquantised: faster, and exact.",
        verdict, "QLoRA, arXiv 2305.14314. The library's own defaults (fp4, float32 compute, no double quantisation) are set aside.",
        rule_of_thumb="none" if context.get("method.kind") != "qlora" else None,
        up="int8: twice the memory of NF4, closer to the original.", down="fp4: the same memory, worse levels; a fallback.",
    )
    double = quantisation in ("nf4", "fp4")
    yield Recommendation(
        "method.double_quantization", double,
        "Quantises the blocks' scales too: 4.13 instead of 4.5 bits a weight." if double else "Only for 4-bit weights.",
        "0.5 + 1/64 + 4/(64·256) = 0.5159 bytes a weight instead of 0.5 + 4/64 = 0.5625" if double else f"quantization = {quantisation}: there are no 4-bit blocks",
        "bitsandbytes 0.50 functional.py, blocks of 64 and 256.",
        up="True: 0.37 bits a weight less.", down="False: a touch faster to unpack.",
    )


def _weights(context: Context, found: Fit, verdict: str) -> Iterator[Recommendation]:
    dtype, kind = found.changes["model.dtype"], found.changes["method.kind"]
    if kind == "full":
        why = (
            "float32 weights: small updates are not rounded away." if dtype == "fp32"
            else "bfloat16 weights: float32 ones do not fit. Updates below 0.4 % of a weight can vanish."
        )
    else:
        why = "The frozen base needs no more than the precision it is computed in."
    yield Recommendation(
        "model.dtype", dtype, why, verdict, "trl 1.16 loads float32 unless told otherwise; PEFT keeps the adapter in float32 by itself.",
        up="fp32: twice the weights' memory.", down="bf16 or fp16: half of float32; what is trained whole then loses its smallest updates.",
    )


def _batch(context: Context, found: Fit, verdict: str, wanted: int, wanted_why: str) -> Iterator[Recommendation]:
    batch, devices = int(found.changes["training.batch_size"]), context.device.count
    thumb = context.thumb()
    yield Recommendation(
        "training.batch_size", batch,
        f"The largest power of two up to {wanted} that fits." if found.comfortable else "The smallest; it fits with nothing to spare." if found.fits else "One row at a time; even so it does not fit.",
        verdict, "The estimate of this plan's peak memory.",
        rule_of_thumb=thumb.batch_size,
        up="Faster while the GPU is not busy; needs memory in proportion.",
        down="Less memory; accumulation keeps the effective batch, so the result stays the same.",
        disagreement="The folk rule caps it at 4 for stability. Batch × accumulation gives the same mean of the loss in transformers 5, so only speed and memory decide.",
    )
    passes = accumulation_for(wanted, batch, devices)
    yield Recommendation(
        "training.accumulation", passes, f"Reaches {batch * passes * devices} rows a step.",
        f"{wanted} / ({batch} rows × {devices} device{'s' if devices > 1 else ''}) = {passes}; {wanted_why}",
        "Thinking Machines: LoRA bears large batches less than full fine-tuning, keep below 32 for small data; Marek et al. 2025 (2507.07101): small batches are stable.",
        rule_of_thumb=thumb.accumulation,
        up="Smoother gradients, fewer updates.", down="More updates, noisier ones; good for small data.",
        disagreement="The guides ask for 8, 16-32, or 32-64 rows a step by the size of the data; the evidence asks for at least 100 steps and small batches.",
    )
    yield Recommendation(
        "evaluation.batch_size", batch, "As large as the training batch: an evaluation keeps no activations, so it fits.",
        f"= training.batch_size = {batch}", "The evaluation's own estimate counts towards the peak.", up="Faster evaluations.", down="Less memory, if an evaluation runs out of it.",
    )


def _savers(context: Context, found: Fit, verdict: str) -> Iterator[Recommendation]:
    on = bool(found.changes["training.checkpointing"])
    yield Recommendation(
        "training.checkpointing", on,
        "Needed: without it the activations leave too little room." if on else "Not needed: everything fits without recomputing.",
        f"{verdict}; off while a batch of at least {BUSY_TOKENS:,} tokens, or the whole effective batch, fits without it",
        "Chen et al. 2016 (1604.06174). trl 1.16 turns it on by itself, at a cost of about a third of the speed.",
        up="True: activations shrink to one layer's and the layers' inputs; about a third slower.", down="False: fastest.",
        disagreement="One guide lists checkpointing among the ways to train faster; it does the opposite, except where it allows a much larger batch.",
    )
    optimizer = found.changes["training.optimizer"]
    yield Recommendation(
        "training.optimizer", optimizer,
        "Fused AdamW: the fastest, no temporary copies." if optimizer == "adamw_torch_fused"
        else "8-bit states that the driver can move to the host when memory runs short.",
        verdict, "bitsandbytes 0.50 optimizer.py: 2.03 instead of 8 bytes a parameter, small tensors stay in float32.",
        rule_of_thumb=rules_of_thumb.OPTIMIZER,
        up="adamw_torch: the same steps, with a temporary copy.", down="adamw_8bit, paged_adamw_8bit: a quarter of the states' memory, for full fine-tuning above all.",
    )
