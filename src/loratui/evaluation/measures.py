"""What is measured: each measure's name, direction and unit, and how the figures of rows become one figure.

A row contributes a few numbers (its columns); a measure is a function of their sums over the rows. So a figure of the
whole, of a part, and of rows drawn anew are computed the same way.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from loratui.core.errors import InputError, LoratuiError

Numbers = NDArray[np.float64]
Unit = Literal["share", "points", "number"]
"""share: 0 to 1, shown as a percentage; points: 0 to 100; number: as it is."""


@dataclass(frozen=True)
class Measure:
    """One measure. value: sums of the columns, [draws, columns] → [draws]. better: 1 where more is better, -1 where
    less is, 0 where neither. graded: it judges answers, so that two models are compared by it in words.
    """

    name: str
    title: str
    unit: Unit
    better: int
    value: Callable[[Numbers], Numbers]
    graded: bool = True
    mean: bool = True
    """Its columns are a row's value and 1: the figure is a mean over rows."""
    least: float = 0.0
    logarithm: Callable[[Numbers], Numbers] | None = None
    """Of a figure that is exp of another: that other. Its interval is exp of the other's."""
    too_short: str = ""
    """Of a figure that counts words: why it does not apply where every written answer has too few of them."""

    @property
    def most(self) -> float:
        """What it can be at most; `least` is the other end."""
        return {"share": 1.0, "points": 100.0, "number": math.inf}[self.unit]


class MissingLibraryError(LoratuiError):
    """A measure needs a library that is not installed."""

    code = "library"


def ratio(sums: Numbers) -> Numbers:
    """First column over second; NaN where that is 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: Numbers = sums[:, 0] / sums[:, 1]
    return quotient


def _perplexity(sums: Numbers) -> Numbers:
    with np.errstate(over="ignore"):
        found: Numbers = np.exp(ratio(sums))
    return found


def _corpus(kind: str) -> Callable[[Numbers], Numbers]:
    def value(sums: Numbers) -> Numbers:
        metric = sacrebleu_metric(kind)
        return np.array([metric._compute_score_from_stats([int(one) for one in row]).score for row in sums])

    return value


def sacrebleu_metric(kind: str) -> Any:
    """sacrebleu's BLEU or chrF with its own defaults. MissingLibraryError where it is not installed."""
    try:
        from sacrebleu.metrics.bleu import BLEU
        from sacrebleu.metrics.chrf import CHRF
    except ImportError:
        raise MissingLibraryError(
            "BLEU and chrF need the library sacrebleu, which is not installed.",
            hint="pip install 'loratui[evaluate]', or choose others with --metrics.",
        ) from None
    return BLEU() if kind == "bleu" else CHRF()


TOO_SHORT = {
    "rouge1": "no written answer has a word of letters a to z or digits.",
    "rouge2": "written answers of one word have no pairs of words.",
    "rougeL": "no written answer has a word of letters a to z or digits.",
    "bleu": "no written answer has four words or signs in a row.",
}


def _measures() -> dict[str, Measure]:
    shares = (
        ("exact_match", "exact match"),
        ("extracted", "extracted match"),
        ("pattern", "matches the pattern"),
        ("json_valid", "valid JSON"),
        ("json_fields", "JSON fields right"),
        ("choice", "right choice"),
        ("choice_by_length", "right choice by length"),
        ("rouge1", "ROUGE-1"),
        ("rouge2", "ROUGE-2"),
        ("rougeL", "ROUGE-L"),
    )
    found = [Measure(name, title, "share", 1, ratio, too_short=TOO_SHORT.get(name, "")) for name, title in shares]
    found += [
        Measure("bleu", "BLEU", "points", 1, _corpus("bleu"), mean=False, too_short=TOO_SHORT["bleu"]),
        Measure("chrf", "chrF", "points", 1, _corpus("chrf"), mean=False),
        Measure("loss", "loss", "number", -1, ratio, mean=False),
        Measure("perplexity", "perplexity", "number", -1, _perplexity, mean=False, least=1.0, logarithm=ratio),
        Measure("token_accuracy", "token accuracy", "share", 1, ratio, mean=False),
        Measure("empty", "empty answers", "share", -1, ratio, graded=False),
        Measure("unfinished", "no stop token", "share", -1, ratio, graded=False),
        Measure("repeats", "repeats itself", "share", -1, ratio, graded=False),
        Measure("tokens", "tokens an answer", "number", 0, ratio, graded=False),
    ]
    return {one.name: one for one in found}


MEASURES = _measures()
LIKELIHOOD = ("loss", "perplexity", "token_accuracy")
CHOICES = ("choice", "choice_by_length")
HEALTH = ("empty", "unfinished", "repeats", "tokens")
ROUGE = ("rouge1", "rouge2", "rougeL")
CORPUS = ("bleu", "chrf")


def measure_of(name: str) -> Measure:
    """The measure of this name (`pass@4` for any number of tries). InputError where there is none."""
    if name in MEASURES:
        return MEASURES[name]
    tries = name.removeprefix("pass@")
    if name.startswith("pass@") and tries.isdigit() and int(tries) > 0:
        return Measure(name, name, "share", 1, ratio)
    from loratui.core.near import near

    meant = near(name, MEASURES)
    hint = f"Did you mean {meant[0]}?" if meant else f"Measures are: {', '.join(MEASURES)} and pass@K."
    raise InputError(f"there is no measure {name}.", hint=hint)
