"""How answers are generated: every setting with its range and a line of advice, and three presets.

This schema is the one source for the playground's fields, the options of `loratui chat` and `loratui generate`, and the
worker that generates.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field, ValidationError

from loratui.core.document import Document
from loratui.core.errors import InputError
from loratui.core.near import near


class GenerationSettings(Document):
    """Settings of one answer. The defaults are the `precise` preset: the same prompt gives the same answer."""

    temperature: float = Field(
        0.0,
        ge=0.0,
        le=2.0,
        title="Temperature",
        description="0 always takes the likeliest token; higher values take more risks.",
    )
    top_p: float = Field(
        1.0,
        gt=0.0,
        le=1.0,
        title="Top-p",
        description="Draw only from the likeliest tokens that hold this share of the probability; 1: all.",
    )
    top_k: int = Field(0, ge=0, le=1000, title="Top-k", description="Draw only from so many likeliest tokens; 0: all.")
    min_p: float = Field(
        0.0,
        ge=0.0,
        le=1.0,
        title="Min-p",
        description="Drop tokens less likely than this share of the likeliest one; 0: none.",
    )
    repetition_penalty: float = Field(
        1.0,
        ge=1.0,
        le=2.0,
        title="Repetition penalty",
        description="Makes tokens that were already there less likely; 1: off.",
    )
    max_tokens: int = Field(
        256,
        ge=1,
        le=32_768,
        title="Max tokens",
        description="The answer is cut after so many tokens, if no stop token came first.",
    )
    seed: int = Field(
        42, ge=0, le=2**32 - 1, title="Seed", description="The same seed and settings draw the same answer again."
    )

    @property
    def greedy(self) -> bool:
        """Whether the likeliest token is always taken, so that nothing is drawn at random."""
        return self.temperature == 0.0


PRESETS: Mapping[str, GenerationSettings] = {
    "precise": GenerationSettings(),
    "balanced": GenerationSettings(temperature=0.7, top_p=0.95, top_k=50, repetition_penalty=1.05),
    "creative": GenerationSettings(temperature=1.0, top_p=0.98, min_p=0.05, repetition_penalty=1.1),
}
"""`balanced` follows the usual inference guides (temperature 0.7, top-p 0.95, top-k 50) with a milder penalty: their
1.1 damages answers that must repeat themselves, such as JSON and tables."""


def preset_of(settings: GenerationSettings) -> str:
    """The preset with these sampling values (length and seed aside), or "own"."""
    for name, preset in PRESETS.items():
        if preset.model_copy(update={"max_tokens": settings.max_tokens, "seed": settings.seed}) == settings:
            return name
    return "own"


def range_of(name: str) -> str:
    """What a setting takes, in words: "0 to 2"."""
    low: Any = None
    high: Any = None
    above = False
    for rule in GenerationSettings.model_fields[name].metadata:
        low = getattr(rule, "ge", low)
        high = getattr(rule, "le", high)
        if hasattr(rule, "gt"):
            low, above = rule.gt, True
    return f"{'above ' if above else ''}{low:g} to {high if isinstance(high, int) else format(high, 'g')}"


def set_value(settings: GenerationSettings, name: str, value: Any) -> GenerationSettings:
    """The settings with one value changed (text is read as a number); InputError naming the setting and its range."""
    fields = GenerationSettings.model_fields
    if name not in fields:
        meant = near(name, fields)
        hint = f"Did you mean {meant[0]}?" if meant else f"Settings are: {', '.join(fields)}."
        raise InputError(f"there is no setting {name}.", hint=hint)
    try:
        return GenerationSettings.model_validate({**settings.model_dump(), name: value})
    except ValidationError:
        kind = "a whole number" if fields[name].annotation is int else "a number"
        raise InputError(f"{fields[name].title} takes {kind}, {range_of(name)}; not {str(value)[:40]!r}.") from None


def advice(settings: GenerationSettings, name: str) -> str:
    """One line about a setting's present value: what it does, and what moving it would do."""
    value = getattr(settings, name)
    if settings.greedy and name in ("top_p", "top_k", "min_p", "seed"):
        return "No effect at temperature 0: nothing is drawn at random."
    match name:
        case "temperature":
            if value == 0:
                return (
                    "Always the likeliest token: repeatable, right for extraction, JSON and comparing base with "
                    "adapter."
                )
            if value <= 0.4:
                return "Nearly deterministic: steady format with a little variation."
            if value <= 0.8:
                return "Balanced: varied wording, format mostly kept."
            if value <= 1.2:
                return "Free: good for stories and ideas; structured output begins to break."
            return "Wild: expect broken format and invented words."
        case "top_p":
            if value == 1:
                return "Off. 0.9 to 0.95 cuts the unlikely tail and keeps variety."
            return (
                "Low: focused, repeats itself sooner." if value < 0.7 else "Cuts the unlikely tail and keeps variety."
            )
        case "top_k":
            if value == 0:
                return "Off. 20 to 50 is usual; top-p or min-p adapt better to how sure the model is."
            return (
                "Few candidates: near to greedy."
                if value < 10
                else "A fixed number of candidates, however sure the model is."
            )
        case "min_p":
            if value == 0:
                return "Off. 0.05 to 0.1 keeps high temperatures readable."
            return (
                "Keeps only tokens near the best one."
                if value > 0.2
                else "Drops the nonsense tail, more where the model is sure."
            )
        case "repetition_penalty":
            if value == 1:
                return "Off, as in training. 1.05 to 1.1 if answers run in circles."
            if value <= 1.15:
                return "Mild. Watch JSON, tables and names: they must repeat tokens."
            return "Strong: breaks formats that repeat tokens; if it is needed, train on better stops instead."
        case "max_tokens":
            if value < 64:
                return "Short: an answer cut here says nothing about the model's own stopping."
            return "A limit, not a goal: a well-trained adapter stops by itself before it."
        case _:
            return "Change it to see another draw with the same settings."
