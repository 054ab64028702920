"""Length of rows, packing and passes over the data: from the data's own lengths and size."""

from __future__ import annotations

import math
from collections.abc import Iterator

from loratui.core import rules_of_thumb
from loratui.core.attention import keeps_rows_apart
from loratui.core.dataset import PIECE_TOKENS
from loratui.core.operations import expected_longest, grouped_longest
from loratui.core.recommend.context import Context
from loratui.core.recommend.precision import kernel_fault
from loratui.core.recommend.scale_of_data import (
    FEW_ROWS,
    FEWEST_EPOCHS,
    LEAST_STEPS,
    MANY_ROWS,
    MOST_EPOCHS,
    SMALLEST_BATCH,
    passes_for,
    why_passes,
)
from loratui.core.recommendation import Recommendation

LENGTH_STEP = 64
COVERED_SHARE = 0.95
GUESS_MARGIN = 1.5
"""Room for lengths that are only guessed from characters: too long costs nothing, too short cuts answers."""
PACKING_ROWS = 10_000
GROUPED_ROWS = 8
"""Rows a batch for which padding is told."""
LEAST_SAVED = 0.05
"""Padding (share of the tokens) that grouping must save."""


def rounded_length(tokens: int) -> int:
    """Tokens rounded up to a multiple of 64, at least 64: tensor cores work on whole tiles."""
    return max(LENGTH_STEP, math.ceil(tokens / LENGTH_STEP) * LENGTH_STEP)


def max_length(context: Context) -> Iterator[Recommendation]:
    """`training.max_length`: all rows where that is nearly free, else 95 % of them."""
    data, limit = context.data, max(8, context.spec.max_positions)
    covered, longest = data.quantile(COVERED_SHARE), data.longest
    whole = longest <= 1.5 * covered
    margin = 1.0 if data.exact else GUESS_MARGIN
    value = min(rounded_length(math.ceil((longest if whole else covered) * margin)), limit)
    if data.divided:
        value = min(value, PIECE_TOKENS)
    if data.supposed:
        yield _supposed_length(data.longest, value, limit)
        return
    guessed = "" if data.exact else f"× {GUESS_MARGIN} as they are guessed; "
    cut = data.longer_than(value)
    why = (
        f"No row is cut: the longest has {longest:,} tokens."
        if cut == 0 and data.exact
        else f"Guessed from characters, before the rows are tokenised: the longest has about {longest:,} tokens."
        if cut == 0
        else f"Longer texts are divided into pieces of it, and nothing is cut: the longest has {longest:,} tokens."
        if data.divided
        else (
            f"Covers {1 - cut:.1%} of the rows; the longest has {longest:,} tokens and would cost "
            f"{longest / max(1, value):.1f} times the activations."
        )
    )
    yield _length(
        value,
        why,
        (
            f"95 % of the rows have at most {covered:,} tokens, the longest {longest:,}; {guessed}rounded up to a "
            f"multiple of {LENGTH_STEP}, at most the model's {limit:,}"
        ),
        (
            "Lengths of the data itself; the guides' rule of covering 90-95 % of the rows. trl 1.16 would cut at "
            "1,024 silently."
        ),
    )


def _supposed_length(supposed: int, value: int, limit: int) -> Recommendation:
    """The length without a dataset: whatever is set, the supposed rows follow it."""
    return _length(
        value,
        (
            f"No dataset is chosen: its rows are supposed to have up to {supposed:,} tokens; where another length is "
            "set, up to as many."
        ),
        f"{supposed:,}, rounded up to a multiple of {LENGTH_STEP}, at most the model's {limit:,}",
        "None: a dataset's own lengths decide once one is chosen.",
    )


def _length(value: int, why: str, formula: str, source: str) -> Recommendation:
    return Recommendation(
        "training.max_length",
        value,
        why,
        formula,
        source,
        up="Fewer rows lose their end; memory and time grow with the longest batch.",
        down="Saves memory, but cut rows lose their answer or their stop token.",
        disagreement=(
            "The guides say that memory grows with the square of the length. With a fused attention kernel it grows "
            "in proportion to it."
        ),
    )


def packing(context: Context) -> Iterator[Recommendation]:
    """`training.packing`: only for large data with short rows."""
    data, length = context.data, context.get("training.max_length")
    wasteful = data.mean < length / 3
    kept_apart = context.get("model.attention") != "eager"
    against = (
        "on a CPU it was never worth its larger steps"
        if context.device.kind != "gpu"
        else f"{data.examples:,} rows are too few to be joined into fewer, larger steps"
        if data.examples < PACKING_ROWS
        else f"rows fill {data.mean / length:.0%} of a sequence already"
        if not wasteful
        else ""
        if kept_apart
        else "eager attention cannot keep packed rows apart"
    )
    value = not against
    yield Recommendation(
        "training.packing",
        value,
        f"{data.examples:,} short rows, {data.mean / length:.0%} of a sequence each: joined they waste no padding."
        if value
        else f"One row per sequence: {against}.",
        (
            f"{data.examples:,} rows of {data.mean:,.0f} tokens on average, sequences of {length:,}: packing from "
            f"{PACKING_ROWS:,} rows with a mean below a third of the length, and not with eager attention"
        ),
        'trl 1.16 `packing_strategy="bfd"`: rows never see each other, but what is longer than a sequence is dropped.',
        up="True: faster epochs; each step holds several rows, so the effective batch grows.",
        down="False: padding is computed for nothing, but a step means a fixed number of rows.",
    )


def padding_free(context: Context) -> Iterator[Recommendation]:
    """`training.padding_free`: where the attention keeps the rows of a batch apart by itself."""
    attention = str(context.get("model.attention"))
    fault = kernel_fault(attention, context.device, context.spec, str(context.get("training.precision")))
    value = keeps_rows_apart(attention) and not fault and not context.get("training.packing")
    yield Recommendation(
        "training.padding_free",
        value,
        "A batch's rows lie end to end: no padding is computed, and the steps stay the same."
        if value
        else "Packed rows are without padding already."
        if context.get("training.packing")
        else f"Rows end to end need an attention that can run: {fault}"
        if fault
        else "Without flash attention rows end to end are kept apart by a mask over all of them, which costs the "
        "square of the batch.",
        f"attention = {attention}, packing = {'yes' if context.get('training.packing') else 'no'}",
        "trl 1.16 `padding_free`: its collator says where each row begins, as flash attention's kernels want it; Kundu "
        "et al. 2024 (2407.09105).",
        up="True: as fast as the rows are long, whatever their neighbours; nothing else changes.",
        down="False: each row is padded to the longest of its batch.",
    )


def group_by_length(context: Context) -> Iterator[Recommendation]:
    """`training.group_by_length`: where rows of unlike length would be padded in a batch."""
    yield _grouped(context, GROUPED_ROWS)


def grouped_batch(context: Context) -> Iterator[Recommendation]:
    """`training.group_by_length` once more, in the words of the batch that was found since."""
    yield _grouped(context, int(context.get("training.batch_size")))


def _grouped(context: Context, rows: int) -> Recommendation:
    """Whether rows of like length are put together, as `GROUPED_ROWS` a batch say; told for `rows` of them."""
    data, cut = context.data, context.get("training.max_length")
    mean = expected_longest(data, 1, cut)

    def padding(count: int) -> tuple[float, float]:
        return expected_longest(data, count, cut) / mean - 1, grouped_longest(data, count, cut) / mean - 1

    random, grouped = padding(GROUPED_ROWS)
    padded = not (context.get("training.packing") or context.get("training.padding_free"))
    value = padded and random - grouped > LEAST_SAVED
    told = rows if value and rows > 1 else GROUPED_ROWS
    random, grouped = padding(told)
    alone = "One row a pass is never padded; were it more, " if rows == 1 else ""
    words = (
        f"{alone}of rows drawn at random, {told} a batch, padding would add {random:.0%} to the tokens; of rows of "
        f"like length {grouped:.0%}."
    )
    return Recommendation(
        "training.group_by_length",
        value,
        f"{words[0].upper()}{words[1:]}"
        if value
        else "No row is padded."
        if not padded
        else f"Rows are of like length: of {told} drawn at random padding adds {random:.0%} to the tokens.",
        f"{data.examples:,} rows of {mean:,.0f} tokens on average, cut at {cut:,}, padded to the longest of their "
        f"batch; from {LEAST_SAVED:.0%} saved",
        "Computed from the data's own lengths; rows are sorted within 50 batches drawn at random, and the batches are "
        "drawn at random, too (transformers' `group_by_length` leaves them sorted).",
        up="True: less padding, the same rows in each pass; a step's rows are of like length.",
        down="False: each step holds a cross-section of the data; short rows are padded to long neighbours.",
    )


def epochs(context: Context) -> Iterator[Recommendation]:
    """`training.epochs` by the number of rows."""
    examples, last = context.data.examples, int(context.get("training.max_steps"))
    why, source = why_passes(examples)
    if last:
        why = f"Counts for nothing while training.max_steps = {last:,} ends the run; by the rows alone: {why}"
    yield Recommendation(
        "training.epochs",
        passes_for(examples),
        why,
        (
            f"{examples:,} rows; below {FEW_ROWS:,}: {LEAST_STEPS} steps × {SMALLEST_BATCH} rows / {examples:,} rows, "
            f"from {FEWEST_EPOCHS} to {MOST_EPOCHS}; up to {MANY_ROWS:,}: 2; above: 1"
        ),
        source,
        rule_of_thumb=float(rules_of_thumb.EPOCHS),
        up="If the loss still falls at the end.",
        down="If the evaluation loss turns up: stop where it was lowest.",
        disagreement=(
            "One guide says 5-10 passes below 1,000 rows, another 3-5; recipes train 15 on a thousand rows, and 1 to "
            "5 on hundreds of thousands."
        ),
    )
