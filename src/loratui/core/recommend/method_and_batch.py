"""What fits: method, weights' format, batch, accumulation, checkpointing and optimizer, decided together by one search.

The reasons are made of what the search weighed: what was tried, what lost, and by how much (`said`).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from loratui.core import rules_of_thumb
from loratui.core.links import bytes_between_nodes
from loratui.core.measured import MOST_SLOWER
from loratui.core.recommend import checkpointing, reasons, reasons_of_method
from loratui.core.recommend.context import Context, changed
from loratui.core.recommend.preference import learns_preferences, rows_of_a_step
from loratui.core.recommend.reasons import Said
from loratui.core.recommend.scale_of_data import LEAST_STEPS, lora_against_full
from loratui.core.recommend.search import BUSY_TOKENS, Fit, Search, accumulation_for
from loratui.core.recommendation import Claim, Recommendation, amount
from loratui.core.schedule import packed_sequences

GOOD_STEPS = 1_000
"""Optimizer steps that a run should keep where rows are spent on feeding more GPUs."""
MOST_ROWS = 128
"""Rows of a step up to which published recipes and the sweep behind our learning rates go."""


class Wanted(NamedTuple):
    """Rows per optimizer step that learning wants, and why. feeding: how busy they keep several GPUs."""

    rows: int
    why: str
    feeding: Said


def effective_batch(context: Context) -> Wanted:
    """Rows per optimizer step that learning wants, and why."""
    if context.calculation == "rules-of-thumb":
        return Wanted(rules_of_thumb.EFFECTIVE_BATCH_SIZE, "folk rule: 8", Said(""))
    packing, passes = bool(context.get("training.packing")), float(context.get("training.epochs"))
    length = int(context.get("training.max_length"))
    examples = packed_sequences(context.data, length) if packing else context.data.examples
    word = "sequences" if packing else "rows"
    last = int(context.get("training.max_steps"))

    def steps(rows: int) -> float:
        return last or examples * passes / rows

    if learns_preferences(context):
        size, why = rows_of_a_step(str(context.get("training.objective")), examples, passes, last)
        return Wanted(size, why, Said(""))
    if examples > 50_000:
        size, why = 32, f"{examples:,} {word}: 32 above 50,000"
    elif last:
        size = 16
        while size > max(1, examples):
            size //= 2
        few = f", at most the {examples:,} {word} there are" if size < 16 else ""
        why = f"training.max_steps = {last:,} decides the steps, whatever they take: 16{few}"
    else:
        size = 16
        while size > 4 and steps(size) < LEAST_STEPS:
            size //= 2
        while size > max(1, examples):
            size //= 2
        few = f", and at most the {examples:,} there are" if examples < 4 else ""
        why = (
            f"{examples:,} {word} × {passes:g} epochs / {size} = {steps(size):,.0f} steps: "
            f"16, halved down to 4 while there are fewer than {LEAST_STEPS}{few}"
        )
    count = context.device.count
    if count == 1 or context.device.kind == "cpu":
        return Wanted(size, why, Said(""))
    tokens = float(length) if packing else min(float(length), context.data.mean)
    before = size
    while size < MOST_ROWS and size / count * tokens < BUSY_TOKENS and steps(2 * size) >= GOOD_STEPS:
        size *= 2
    if size > before:
        why = (
            f"{before} on one GPU; {size} feed {count} of them ({tokens:,.0f} tokens a row, {BUSY_TOKENS:,} a pass), "
            f"and leave {steps(size):,.0f} steps (at least {GOOD_STEPS:,})"
        )
    return Wanted(size, why, _feeding(size, count, tokens, steps(2 * size), fixed=last > 0))


def _feeding(size: int, count: int, tokens: float, steps: float, *, fixed: bool) -> Said:
    """How busy so many rows keep each GPU, and what speaks against twice as many.

    steps: with twice as many; fixed: whether they are the same with any number.
    """
    passed = size // count * tokens
    busy = Claim("tokens", passed, ">=" if passed >= BUSY_TOKENS else "<", BUSY_TOKENS, {"rows": size // count})
    if passed >= BUSY_TOKENS:
        return Said(f"; {passed:,.0f} tokens a pass keep a GPU busy", (busy,))
    if size >= MOST_ROWS:
        most = Claim("rows", size, ">=", MOST_ROWS, {"rows": size})
        return Said(f"; more would feed them better, but recipes stop at {MOST_ROWS}", (busy, most))
    if steps >= GOOD_STEPS:
        return Said("")
    claim = Claim("steps", steps, "<", GOOD_STEPS, {"rows": 2 * size})
    left = "training.max_steps allows {:,}" if fixed else "then {:,} would be"
    rule = f"rows are added only while {GOOD_STEPS:,} steps are left, and {left.format(math.floor(steps))}"
    return Said(f"; {2 * size} would feed them better, but {rule}", (busy, claim))


def fit(context: Context) -> Iterator[Recommendation]:
    """Everything that the memory decides."""
    wanted = effective_batch(context)
    search = context.searched = Search(context, wanted.rows)
    weighed = reasons.weighed(search)
    yield from _method(context, search, weighed)
    yield from _batch(context, search, wanted)
    yield from _savers(search, weighed)
    if context.device.count > 1:
        yield several_gpus(context, search)


def _method(context: Context, search: Search, weighed: str) -> Iterator[Recommendation]:
    found = search.found
    kind, text = found.changes["method.kind"], reasons_of_method.method(search)
    new_knowledge = (
        "LoRA falls short of full fine-tuning when the goal is much new knowledge; "
        "for instructions and style it does not."
    )
    if kind != "full":
        held = lora_against_full(context.data, context.spec, context.plan(found.changes))
        new_knowledge = f"{held} {new_knowledge}"
    yield Recommendation(
        "method.kind",
        kind,
        text.sentence,
        f"LoRA if it fits, else QLoRA: {weighed}",
        "Biderman et al. 2024 (2405.09673); QLoRA, arXiv 2305.14314; the theory page's comparison.",
        rule_of_thumb="lora" if context.pinned.get("method.quantization", "none") == "none" else None,
        up=(
            "full fine-tuning: for new knowledge (code, mathematics, a language); 8 to 16 bytes a parameter, a file as "
            "large as the model."
        ),
        down=f"QLoRA: a quarter of the weights' memory, up to {MOST_SLOWER['qlora']:.0%} slower.",
        disagreement=new_knowledge,
        claims=text.claims,
    )
    quantisation, text = found.changes["method.quantization"], reasons_of_method.quantisation(search)
    yield Recommendation(
        "method.quantization",
        quantisation,
        text.sentence,
        weighed,
        (
            "QLoRA, arXiv 2305.14314. The library's own defaults (fp4, float32 compute, no double quantisation) are "
            "set aside."
        ),
        rule_of_thumb="none" if context.get("method.kind") != "qlora" else None,
        up="int8: twice the memory of NF4, closer to the original.",
        down="fp4: the same memory, worse levels; a fallback.",
        claims=text.claims,
    )
    double = quantisation in ("nf4", "fp4")
    yield Recommendation(
        "method.double_quantization",
        double,
        "Quantises the blocks' scales too: 4.13 instead of 4.5 bits a weight." if double else "Only for 4-bit weights.",
        "0.5 + 1/64 + 4/(64·256) = 0.5159 bytes a weight instead of 0.5 + 4/64 = 0.5625"
        if double
        else f"quantization = {quantisation}: there are no 4-bit blocks",
        "bitsandbytes 0.50 functional.py, blocks of 64 and 256.",
        up="True: 0.37 bits a weight less.",
        down="False: a touch faster to unpack.",
    )
    text = reasons_of_method.weights(search)
    yield Recommendation(
        "model.dtype",
        found.changes["model.dtype"],
        text.sentence,
        weighed,
        "trl 1.16 loads float32 unless told otherwise; PEFT keeps the adapter in float32 by itself.",
        up="fp32: twice the weights' memory.",
        down="bf16 or fp16: half of float32; what is trained whole then loses its smallest updates.",
        claims=text.claims,
    )


def _batch(context: Context, search: Search, wanted: Wanted) -> Iterator[Recommendation]:
    batch, devices = search.found.batch, context.device.count
    rule_of_thumb, folk = context.rule_of_thumb(), context.calculation == "rules-of-thumb"
    text = reasons.folk_batch(search) if folk else reasons.batch(search, wanted.feeding)
    fewer = Said("") if folk else reasons.fewer_gpus(search)
    yield Recommendation(
        "training.batch_size",
        batch,
        text.sentence,
        f"{reasons.weighed(search, batches=True)}{fewer.text}",
        "The estimate of this plan's peak memory.",
        rule_of_thumb=rule_of_thumb.batch_size,
        up="Faster while the GPU is not busy and rows are alike in length; needs memory in proportion.",
        down=_down(context),
        disagreement=(
            "The folk rule caps it at 4 for stability. Batch × accumulation gives the same mean of the loss in "
            "transformers 5, so only speed and memory decide."
        ),
        claims=text.claims + fewer.claims,
    )
    passes = rule_of_thumb.accumulation if folk else accumulation_for(wanted.rows, batch, devices)
    text = reasons.rows_of_a_step(search, passes)
    yield Recommendation(
        "training.accumulation",
        passes,
        text.sentence,
        f"{wanted.rows} / ({batch} rows × {devices} device{'s' if devices > 1 else ''}) = {passes}; {wanted.why}",
        (
            "Thinking Machines: LoRA bears large batches less than full fine-tuning, keep below 32 for small data; "
            "Marek et al. 2025 (2507.07101): small batches are stable."
        ),
        rule_of_thumb=rule_of_thumb.accumulation,
        up="Smoother gradients, fewer updates.",
        down="More updates, noisier ones; good for small data.",
        disagreement=(
            "The guides ask for 8, 16-32, or 32-64 rows a step by the size of the data; the evidence asks for at "
            "least 100 steps and small batches."
        ),
        claims=text.claims,
    )
    text = reasons.evaluation(search)
    yield Recommendation(
        "evaluation.batch_size",
        batch,
        text.sentence,
        f"= training.batch_size = {batch}",
        "The evaluation's own estimate counts towards the peak.",
        up="Faster evaluations.",
        down="Less memory, if an evaluation runs out of it.",
        claims=text.claims,
    )


def _down(context: Context) -> str:
    """What a smaller batch does: the rows of a step stay only where the accumulation may follow it."""
    fixed = context.pinned.get("training.accumulation")
    if fixed is None:
        return "Less memory; accumulation keeps the effective batch, so the result stays the same."
    count = f" × {context.device.count} GPUs" if context.device.count > 1 else ""
    return (
        f"Less memory; the accumulation is fixed at {fixed}, so a step takes fewer rows (batch × {fixed}{count}), and "
        "the result is another."
    )


def _savers(search: Search, weighed: str) -> Iterator[Recommendation]:
    yield checkpointing.recommendation(search, Said(""))  # its reason is told when the whole run is known
    text = reasons.optimizer(search)
    yield Recommendation(
        "training.optimizer",
        search.found.changes["training.optimizer"],
        text.sentence,
        weighed,
        "bitsandbytes 0.50 optimizer.py: 2.03 instead of 8 bytes a parameter, small tensors stay in float32.",
        rule_of_thumb=rules_of_thumb.OPTIMIZER,
        up="adamw_torch: the same steps, with a temporary copy.",
        down="adamw_8bit, paged_adamw_8bit: a quarter of the states' memory, for full fine-tuning above all.",
        claims=text.claims,
    )


def several_gpus(context: Context, search: Search) -> Recommendation:
    """`hardware.parallelism`: a whole copy on each GPU where that fits, else a share of the weights on each."""
    found = search.found
    changes = {**found.changes, "hardware.parallelism": "ddp"}
    copy = Fit(changes, context.estimate(context.plan(changes)), search.room, found.rung)
    if found.divided:
        text = reasons.joined("a copy on each GPU ", reasons.lost(copy), f": {_shares(context, search)}")
    elif found.fits:
        text = reasons.joined("a whole copy fits on each GPU: ", reasons.taken(copy), "; only gradients travel")
    else:
        text = reasons.joined("nothing fits; a copy on each GPU ", reasons.lost(copy, "needs "))
    return Recommendation(
        "hardware.parallelism",
        found.changes["hardware.parallelism"],
        text.sentence,
        f"ddp if a copy fits, else hybrid on several nodes, else fsdp: {reasons.weighed(search)}",
        "accelerate 1.15 and torch 2.13 (DistributedDataParallel, fully_shard): ZeRO, arXiv 1910.02054; "
        "FSDP, arXiv 2304.11277.",
        up="fsdp: weights, gradients and optimizer states divided by the number of GPUs; "
        "every block travels between them twice a step. hybrid: divided in a node, copies across nodes.",
        down="ddp: the least traffic; memory as on a single GPU, and gradients once more for their exchange.",
        claims=text.claims,
    )


def _shares(context: Context, search: Search) -> str:
    """What each GPU holds, and on several nodes what travels between them."""
    device, found = context.device, search.found
    if device.nodes < 2:
        return f"each holds 1/{device.count} of the weights"
    plan = context.plan(found.changes)
    travels = amount(bytes_between_nodes(context.spec, plan, device))
    if found.changes["hardware.parallelism"] == "hybrid":
        other = changed(plan, {"hardware.parallelism": "fsdp"})
        much = amount(bytes_between_nodes(context.spec, other, device))
        return (
            f"each holds 1/{device.count // device.nodes} of the weights, and each node a copy; between nodes "
            f"{travels} travel a step, were all divided {much}"
        )
    return f"each holds 1/{device.count} of the weights; between nodes {travels} travel a step"
