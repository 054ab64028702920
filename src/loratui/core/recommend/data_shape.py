"""Length of rows, packing and passes over the data: from the data's own lengths and size."""

from __future__ import annotations

import math
from collections.abc import Iterator

from loratui.core import rules_of_thumb
from loratui.core.recommend.context import Context
from loratui.core.recommendation import Recommendation

LENGTH_STEP = 64
COVERED_SHARE = 0.95
GUESS_MARGIN = 1.5
"""Room for lengths that are only guessed from characters: too long costs nothing, too short cuts answers."""
PACKING_ROWS = 10_000


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
    guessed = "" if data.exact else f"× {GUESS_MARGIN} as they are guessed; "
    cut = data.longer_than(value)
    why = (
        f"No row is cut: the longest has {longest:,} tokens." if cut == 0
        else f"Covers {1 - cut:.0%} of the rows; the longest has {longest:,} tokens and would cost {longest / max(1, value):.1f} times the activations."
    )
    yield Recommendation(
        "training.max_length", value, why,
        f"95 % of the rows have at most {covered:,} tokens, the longest {longest:,}; {guessed}rounded up to a multiple of {LENGTH_STEP}, at most the model's {limit:,}",
        "Lengths of the data itself; the guides' rule of covering 90-95 % of the rows. trl 1.16 would cut at 1,024 silently.",
        up="Fewer rows lose their end; memory and time grow with the longest batch.",
        down="Saves memory, but cut rows lose their answer or their stop token.",
        disagreement="The guides say that memory grows with the square of the length. With a fused attention kernel it grows in proportion to it.",
    )


def packing(context: Context) -> Iterator[Recommendation]:
    """`training.packing`: only for large data with short rows."""
    data, length = context.data, context.get("training.max_length")
    wasteful = data.mean < length / 3
    kept_apart = context.get("model.attention") != "eager"
    value = context.device.kind == "gpu" and data.examples >= PACKING_ROWS and wasteful and kept_apart
    yield Recommendation(
        "training.packing", value,
        "Many short rows: joined into full sequences they waste no padding." if value
        else "One row per sequence: packing pays only for many short rows, and makes fewer, larger steps.",
        f"{data.examples:,} rows of {data.mean:,.0f} tokens on average, sequences of {length:,}: packing from {PACKING_ROWS:,} rows with a mean below a third of the length, and not with eager attention",
        "trl 1.16 `packing_strategy=\"bfd\"`: rows never see each other, but what is longer than a sequence is dropped.",
        up="True: faster epochs; each step holds several rows, so the effective batch grows.",
        down="False: padding is computed for nothing, but a step means a fixed number of rows.",
    )


def padding_free(context: Context) -> Iterator[Recommendation]:
    """`training.padding_free`: where the attention keeps the rows of a batch apart by itself."""
    attention = str(context.get("model.attention"))
    value = attention.startswith("flash") and not context.get("training.packing")
    yield Recommendation(
        "training.padding_free", value,
        "A batch's rows lie end to end: no padding is computed, and the steps stay the same." if value
        else "Packed rows are without padding already." if context.get("training.packing")
        else "Rows end to end need flash attention to be kept apart without a mask.",
        f"attention = {attention}, packing = {'yes' if context.get('training.packing') else 'no'}",
        "trl 1.16 `padding_free`: for flash attention's kernels; Kundu et al. 2024 (2407.09105).",
        up="True: as fast as the rows are long, whatever their neighbours; nothing else changes.", down="False: each row is padded to the longest of its batch.",
    )


def epochs(context: Context) -> Iterator[Recommendation]:
    """`training.epochs` by the number of rows."""
    examples = context.data.examples
    value = 3.0 if examples < 1_000 else 2.0 if examples <= 50_000 else 1.0
    why = {
        3.0: "Few rows: three passes to learn them, watched for memorising.",
        2.0: "Two passes: what recent recipes for instruction data use.",
        1.0: "Many rows: one pass already shows enough of them.",
    }[value]
    yield Recommendation(
        "training.epochs", value, why, f"{examples:,} rows: 3 below 1,000; 2 up to 50,000; 1 above",
        "Tulu 3, OLMo 2 and SmolLM2 train 2 epochs; torchtune, Zephyr and the PEFT benchmark 1; Tulu 2 and SmolLM3 5.",
        rule_of_thumb=float(rules_of_thumb.EPOCHS),
        up="If the loss still falls at the end.", down="If the evaluation loss turns up: stop where it was lowest.",
        disagreement="One guide says 5-10 passes below 1,000 rows, another 3-5; recent recipes train 1-2.",
    )
