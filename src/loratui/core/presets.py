"""Named, partial plans: some values fixed, the rest left to the calculation."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from loratui.core.errors import PlanError
from loratui.core.plan_text import check_key, check_value, toml_value

Calculation = Literal["evidence", "rules-of-thumb"]
_KEYS = ("name", "title", "description", "calculation", "warmup_ratio", "values")


@dataclass(frozen=True)
class Preset:
    """A starting point. values: dotted plan keys that it fixes; everything else is calculated.

    calculation: which layer fills the rest. warmup_ratio: warm-up as a share of the run's steps, where the preset
    gives one (a plan holds steps, which only the whole situation decides).
    """

    name: str
    title: str
    description: str
    values: Mapping[str, Any] = field(default_factory=dict)
    calculation: Calculation = "evidence"
    warmup_ratio: float | None = None
    notes: tuple[str, ...] = ()
    """What a person should know of it, e.g. what did not carry over from another tool's file."""


AUTO = Preset("auto", "Automatic", "Calculated from the model, the data and the machine.")


def preset_from_toml(text: str, where: str) -> Preset:
    """A preset from TOML text.

    where: the file, named by errors. Raises PlanError with file, key and reason for the first thing that is wrong.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PlanError(f"this is not TOML: {error}.", where=where) from None
    for key in document:
        if key not in _KEYS:
            raise PlanError(f"there is no key {key} in a preset.", where=where, hint=f"Keys are: {', '.join(_KEYS)}.")
    for key in ("name", "title", "description"):
        if not isinstance(document.get(key), str) or not document[key].strip():
            raise PlanError(f"{key} is missing.", where=where, hint=f'Write {key} = "…" as text.')
    calculation = document.get("calculation", "evidence")
    if calculation not in ("evidence", "rules-of-thumb"):
        raise PlanError(
            f"calculation = {json.dumps(calculation)} is not allowed.",
            where=where,
            hint="It takes evidence, rules-of-thumb.",
        )
    ratio = document.get("warmup_ratio")
    if ratio is not None and (isinstance(ratio, bool) or not isinstance(ratio, int | float) or not 0 <= ratio < 1):
        raise PlanError(
            f"warmup_ratio = {json.dumps(ratio)} is not allowed.",
            where=where,
            hint="It takes a share from 0 to below 1.",
        )
    values = document.get("values", {})
    if not isinstance(values, dict):
        raise PlanError(
            "values is not a table.", where=where, hint='Write [values] and lines like "lora.r" = 8 below it.'
        )
    checked = {}
    for key, value in _flatten(values):
        check_key(key, where=where)
        checked[key] = check_value(key, value, where=where)
    return Preset(
        document["name"],
        document["title"],
        document["description"],
        checked,
        calculation,
        None if ratio is None else float(ratio),
    )


def _flatten(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """`"lora.r" = 8` and `[values.lora]` / `r = 8` are the same."""
    flat: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, dict) and "." not in key:
            flat += [(f"{key}.{name}", inner) for name, inner in value.items()]
        else:
            flat.append((key, value))
    return flat


def preset_to_toml(preset: Preset) -> str:
    """The preset as the text of its file."""
    lines = [
        f"name = {toml_value(preset.name)}",
        f"title = {toml_value(preset.title)}",
        f"description = {toml_value(preset.description)}",
    ]
    if preset.calculation != "evidence":
        lines.append(f"calculation = {toml_value(preset.calculation)}")
    if preset.warmup_ratio is not None:
        lines.append(f"warmup_ratio = {toml_value(preset.warmup_ratio)}")
    lines += ["", "[values]", *(f"{toml_value(key)} = {toml_value(value)}" for key, value in preset.values.items())]
    return "\n".join(lines) + "\n"
