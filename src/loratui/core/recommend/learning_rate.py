"""The learning rate: what is published for the model, and what this situation changes of it, kept apart.

LoRA: tinker-cookbook's formula for Llama and Qwen, as it stands there. Full fine-tuning: a robust line through
published recipes. Everything else (batch, length of the run, scale of the adapter, families and widths that nobody
published) is an adjustment of this project, and each is told with its factor.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

from loratui.core.architecture import ModelSpec
from loratui.core.knowledge.published_rates import FULL_RATES, TINKER_FORMULA, TINKER_SWEEP, PublishedRate
from loratui.core.recommend.context import Context
from loratui.core.recommendation import Recommendation
from loratui.format import number_text

LORA_CONSTANT, LORA_WIDTH, MEASURED_BATCH = 5e-4, 2000, 128
"""tinker-cookbook's `get_lr`: 5e-5 × 10 for LoRA, at a width of 2,000; its sweep ran at a batch of 128."""
EXPONENTS = {"llama": 0.781, "qwen": 0.0775}
"""Its p by family; for every other one it raises an error."""
MEAN_EXPONENT = statistics.mean(EXPONENTS.values())
SMALL_WIDTH = 1024
"""Below it nothing was published; there every family follows Llama's exponent."""
GPT_OSS_SHARE = 0.4
LORA_RANGE, NARROW_LORA_RANGE = (5e-5, 2e-3), (5e-5, 3e-3)
"""For widths from 1,024, and below."""
FULL_RANGE = (1e-6, 5e-4)
BATCH_RANGE = (0.6, 1.5)
"""The floor is where published LoRA recipes of small batches stand: QLoRA 65B 1e-4 and Qwen 3e-4, both at 16 rows a
step.
"""
FULL_BATCH_RANGE = (0.7, 1.5)
SHORT_RUN_STEPS, SHORT_RUN_FACTOR = 100, 1.5
"""LoRA's best rate is 10 times that of full fine-tuning, and 15 times in runs below about 100 steps."""
SCALE_RANGE = (0.5, 2.0)
LEAST_FACTOR = 0.01
"""A factor that differs from 1 by no more is not told."""
REFERENCE_ALPHA = 32
FULL_THUMB = 2e-5
OUTLIER_DEVIATIONS = 3
"""A recipe so many robust standard deviations (1.48 times the median deviation) off the line is an outlier."""
HOPELESS = 10.0
"""From this factor above the proposal training diverges, and what was trained so far is worth nothing."""
ALIKE = 1.6
"""Models whose parameters differ by at most this factor count as of one size."""


class Adjustment(NamedTuple):
    """One factor of this project on a published rate, how it comes about, and what it is for in a few words."""

    factor: float
    why: str
    brief: str


class Derivation(NamedTuple):
    """How a rate came about. published: at a batch of 128, as the source gives it; 0 where the source has none.

    start: what the factors are applied to. value: their product, held within the range, to two digits.
    """

    published: float
    start: float
    start_words: str
    adjustments: tuple[Adjustment, ...]
    lowest: float
    highest: float

    @property
    def raw(self) -> float:
        """The rate before it is held within its range."""
        return self.start * math.prod(one.factor for one in self.adjustments)

    @property
    def value(self) -> float:
        """The rate to recommend."""
        return rounded(min(self.highest, max(self.lowest, self.raw)))

    @property
    def factors(self) -> str:
        """Every factor that moves the rate and what it is for, and whether the product is held within its range."""
        told = [one for place, one in enumerate(self.adjustments) if abs(one.factor - 1) > LEAST_FACTOR or not place]
        words = ", ".join(f"× {one.factor:.2g} for {one.brief}" for one in told)
        if self.lowest <= self.raw <= self.highest:
            return words
        end, word = (self.highest, "highest") if self.raw > self.highest else (self.lowest, "lowest")
        return f"{words}; held at {_shown(end)}, the {word} that is proposed"


def covered_by(spec: ModelSpec) -> str:
    """Which of the source's families the model belongs to ("llama" or "qwen"); empty where it covers none."""
    return next(
        (name for name in EXPONENTS if spec.family == name or (name == "qwen" and spec.family.startswith(name))), ""
    )


def exponent(spec: ModelSpec) -> float:
    """How steeply the LoRA rate falls with width: tinker-cookbook's exponent p, the mean of its two for families that
    it does not cover.
    """
    return EXPONENTS.get(covered_by(spec), MEAN_EXPONENT)


def published_lora_rate(spec: ModelSpec) -> float:
    """LoRA's rate by tinker-cookbook's formula, alpha 32; 0 for a family that it does not cover. Source: `get_lr`."""
    return LORA_CONSTANT * (LORA_WIDTH / spec.hidden_size) ** exponent(spec) if covered_by(spec) else 0.0


@cache
def full_line() -> tuple[float, float]:
    """Slope and intercept of log(rate at batch 128) over log(parameters), the robust line through the published
    recipes.

    Theil and Sen's: the median of the slopes of all pairs of unlike sizes, and the median intercept, so that no single
    recipe can bend it; a rate between sizes therefore changes by parameters to the power of the slope, without a step.
    """
    points = [(math.log(one.parameters), math.log(_at_measured_batch(one))) for one in FULL_RATES]
    slope = statistics.median(
        (right[1] - left[1]) / (right[0] - left[0])
        for number, left in enumerate(points)
        for right in points[number + 1 :]
        if abs(right[0] - left[0]) > math.log(ALIKE)
    )
    return slope, statistics.median(rate - slope * size for size, rate in points)


def _at_measured_batch(one: PublishedRate) -> float:
    return one.rate / batch_factor(one.batch, full=True)


def full_rate(parameters: int) -> float:
    """Rate of full fine-tuning at an effective batch of 128, by parameters of the model: `full_line`, at most
    FULL_RANGE's.
    """
    slope, intercept = full_line()
    return min(FULL_RANGE[1], math.exp(intercept + slope * math.log(max(1, parameters))))


def off_the_line(one: PublishedRate) -> float:
    """By which factor a published recipe lies above the line (below 1: under it)."""
    slope, intercept = full_line()
    return _at_measured_batch(one) / math.exp(intercept + slope * math.log(one.parameters))


@cache
def scatter() -> float:
    """The factor within which half of the published recipes lie of the line."""
    return math.exp(statistics.median(abs(math.log(off_the_line(one))) for one in FULL_RATES))


@cache
def outliers() -> tuple[PublishedRate, ...]:
    """The recipes that lie far off all others."""
    limit = OUTLIER_DEVIATIONS * 1.4826 * math.log(scatter())
    return tuple(one for one in FULL_RATES if abs(math.log(off_the_line(one))) > limit)


def recipes_of_size(parameters: int) -> tuple[PublishedRate, ...]:
    """The published recipes for models of about so many parameters, outliers left out."""
    return tuple(
        one for one in FULL_RATES if one not in outliers() and 1 / ALIKE <= one.parameters / max(1, parameters) <= ALIKE
    )


def batch_factor(effective_batch_size: int, *, full: bool = False) -> float:
    """√(batch / 128), held between bounds: published rates hardly follow the batch."""
    low, high = FULL_BATCH_RANGE if full else BATCH_RANGE
    return min(high, max(low, math.sqrt(effective_batch_size / MEASURED_BATCH)))


def scale_factor(r: int, alpha: float, variant: str) -> float:
    """What another scale than 32 / r asks of the rate: √(reference / scale), between a half and twice.

    At first the update grows with scale × rate, later with the square of it: the root lies between.
    """
    scale = alpha / math.sqrt(r) if variant == "rslora" else alpha / r
    low, high = SCALE_RANGE
    return min(high, max(low, math.sqrt(REFERENCE_ALPHA / r / scale)))


def allowed_range(spec: ModelSpec, *, full: bool) -> tuple[float, float]:
    """Lowest and highest rate that is ever recommended."""
    if full:
        return FULL_RANGE
    return LORA_RANGE if spec.hidden_size >= SMALL_WIDTH else NARROW_LORA_RANGE


def rounded(value: float, digits: int = 2) -> float:
    """To two significant digits: nobody knows more of a learning rate."""
    return float(f"{value:.{digits - 1}e}")


def derive(context: Context) -> Derivation:
    """The rate for this situation, its published start and every factor apart."""
    spec, training = context.spec, context.plan().training
    effective, steps = (
        training.batch_size * training.accumulation * context.device.count,
        context.schedule().total_steps,
    )
    low, high = allowed_range(spec, full=context.full)
    factor, bounds = batch_factor(effective, full=context.full), FULL_BATCH_RANGE if context.full else BATCH_RANGE
    batch = Adjustment(
        factor,
        f"√({effective}/{MEASURED_BATCH}), held within {bounds[0]:g} … {bounds[1]:g}",
        f"{effective:,} row{'' if effective == 1 else 's'} a step",
    )
    if context.full:
        line = full_rate(spec.total_parameters)
        words = (
            f"the line through {len(FULL_RATES)} published recipes gives {_shown(line)} for "
            f"{spec.total_parameters / 1e9:.3g} B parameters at batch {MEASURED_BATCH}"
        )
        return Derivation(line, line, words, (batch,), low, high)
    start, words, own = _lora_start(spec)
    adjustments = [batch, *own]
    if steps < SHORT_RUN_STEPS:
        adjustments.append(
            Adjustment(
                SHORT_RUN_FACTOR,
                f"fewer than {SHORT_RUN_STEPS} steps",
                f"a run of {steps:,} step{'' if steps == 1 else 's'}",
            )
        )
    r, alpha, variant = context.get("lora.r"), context.get("lora.alpha"), context.get("lora.variant")
    factor = scale_factor(r, alpha, variant)
    if abs(factor - 1) > LEAST_FACTOR:
        scale, usual = alpha / (math.sqrt(r) if variant == "rslora" else r), REFERENCE_ALPHA / r
        adjustments.append(
            Adjustment(
                factor,
                f"√({usual:.3g}/{scale:.3g}), the adapter's usual scale and its own, held within "
                f"{SCALE_RANGE[0]:g} … {SCALE_RANGE[1]:g}",
                f"an adapter scaled by {scale:.3g} where {usual:.3g} is usual",
            )
        )
    return Derivation(published_lora_rate(spec), start, words, tuple(adjustments), low, high)


def _lora_start(spec: ModelSpec) -> tuple[float, str, list[Adjustment]]:
    """What the factors start from, in words, and what is this project's own about the model."""
    power, family = exponent(spec), covered_by(spec)
    start = LORA_CONSTANT * (LORA_WIDTH / spec.hidden_size) ** power
    figures = f"{_shown(LORA_CONSTANT)} · ({LORA_WIDTH:,} / {spec.hidden_size:,})^{power:.3g} = {_shown(start)}"
    own = []
    if family:
        words = f"published for {family.capitalize()}: {figures} at batch {MEASURED_BATCH}"
    else:
        words = (
            f"{spec.family} is not covered by the source; the mean of both exponents is our choice: {figures} at "
            f"batch {MEASURED_BATCH}"
        )
    narrow = (SMALL_WIDTH / spec.hidden_size) ** (EXPONENTS["llama"] - power) if spec.hidden_size < SMALL_WIDTH else 1.0
    if narrow > 1.0:
        own.append(
            Adjustment(
                narrow,
                f"narrower than {SMALL_WIDTH:,}, where nothing was published: Llama's exponent from there on",
                f"a width of {spec.hidden_size:,}, below what was published",
            )
        )
    if spec.family == "gpt_oss":
        own.append(
            Adjustment(GPT_OSS_SHARE, "gpt-oss: the sweep's best is 1e-4 at 20B and 3e-4 at 120B", "this family")
        )
    return start, words, own


def _shown(rate: float) -> str:
    """Two digits, spelt as the field shows it."""
    return number_text(float(f"{rate:.1e}"))


def learning_rate(context: Context) -> Iterator[Recommendation]:
    """`training.learning_rate`."""
    found = derive(context)
    if context.full:
        source = (
            "Recipes for full fine-tuning: "
            + "; ".join(f"{one.model} {_shown(one.rate)} {one.link}" for one in _cited(context.spec.total_parameters))
            + "."
        )
        disagreement = _full_disagreement(context.spec.total_parameters)
        why = (
            f"The line through published recipes gives {_shown(found.published)} at a batch of {MEASURED_BATCH}; here "
            f"{found.factors}."
        )
    else:
        source = (
            f"tinker-cookbook get_lr: {TINKER_FORMULA}; its sweep over 35 models: {TINKER_SWEEP}. Factors for batch, "
            "short runs and scale are ours."
        )
        folk = rounded(context.rule_of_thumb().learning_rate, 3)
        disagreement = (
            f"{_against_published(found)} The folk rule 2e-4 · √(batch/8) gives {number_text(folk)} here, and 8e-4 at "
            "batch 128; "
            "the sweep diverged at 0.003. "
            "Marek et al. (2507.07101) find that the best rate does not follow √batch."
        )
        why = (
            (
                f"The published formula gives {_shown(found.published)} at a batch of {MEASURED_BATCH}; here "
                f"{found.factors}."
            )
            if found.published
            else (
                f"{context.spec.family} is not covered by the source: our choice from its formula is "
                f"{_shown(found.start)} at a batch of {MEASURED_BATCH}; here {found.factors}."
            )
        )
    parts = [found.start_words, *(f"× {one.factor:.2g} ({one.why})" for one in found.adjustments)]
    yield Recommendation(
        "training.learning_rate",
        found.value,
        why,
        "; ours: ".join([parts[0], " ".join(parts[1:])])
        + f" = {_shown(found.raw)}, kept within {_shown(found.lowest)} … {_shown(found.highest)}",
        source,
        rule_of_thumb=FULL_THUMB if context.full else rounded(context.rule_of_thumb().learning_rate, 3),
        up="Learns faster; too high, the loss jumps or diverges.",
        down="Steadier; too low, the loss hardly falls.",
        disagreement=disagreement,
    )


def _against_published(found: Derivation) -> str:
    """By how much the value differs from the published one, and why."""
    if not found.published:
        return "No figure is published for this family, so none can be compared."
    ratio = found.value / found.published
    if abs(ratio - 1) < 0.05:
        return f"Ours and the published {_shown(found.published)} are the same within 5 %."
    moved = "; ".join(
        f"× {one.factor:.2g}: {one.why}" for one in found.adjustments if abs(one.factor - 1) > LEAST_FACTOR
    )
    return f"Ours is {ratio:.2g} times the published {_shown(found.published)} ({moved})."


def _cited(parameters: int) -> tuple[PublishedRate, ...]:
    """The recipes of this size, or the three nearest where there is none."""
    near = sorted(
        (one for one in FULL_RATES if one not in outliers()),
        key=lambda one: abs(math.log(one.parameters / max(1, parameters))),
    )
    return recipes_of_size(parameters) or tuple(near[:3])


def _full_disagreement(parameters: int) -> str:
    alike = recipes_of_size(parameters)
    rates = [one.rate for one in alike]
    here = (
        f"For models of about this size the recipes say {_shown(min(rates))} to {_shown(max(rates))}. "
        if len(set(rates)) > 1
        else f"For models of about this size the recipes say {_shown(rates[0])}. "
        if rates
        else "No recipe of about this size was found. "
    )
    far = ", ".join(f"{one.model} {_shown(one.rate)} ({off_the_line(one):.0f} times the line)" for one in outliers())
    return (
        f"{here}Half of all {len(FULL_RATES)} recipes lie within a factor of {scatter():.1f} of the line through "
        f"them; far off it, and not followed: {far}. "
        "The guides say 1e-5 to 5e-5."
    )
