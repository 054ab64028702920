"""What varies in an experiment, as it is typed: `training.learning_rate=1e-4,2e-4`."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any, get_args, get_origin

from loratui.core.errors import InputError
from loratui.core.plan import Plan
from loratui.core.plan_text import fields, label_of, parse_setting, with_values
from loratui.experiments.halving import drawn
from loratui.format import value_text

WHERE = "--vary"
MOST_RUNS = 200
"""Runs of one experiment, all seeds together."""

SHARED = {
    "model": "all trials have one model: losses of different ones cannot be compared",
    "dataset": "all trials have one dataset, and hold out the same rows of it",
    "preference": "it changes what the held-out loss measures, so that trials could not be compared by it",
    "evaluation": "it changes nothing of what is learnt",
    "saving": "it changes nothing of what is learnt",
    "hardware": "it changes nothing of what is learnt",
    "cluster": "it changes nothing of what is learnt",
}
OTHER_MEASURE = "it changes which tokens the held-out loss is measured on, so that trials could not be compared by it"
REFUSED = {
    "training.objective": "it changes what the held-out loss measures, so that trials could not be compared by it",
    "training.max_length": OTHER_MEASURE,
    "training.loss_on": OTHER_MEASURE,
    "training.seed": "--seeds says how many seeds each trial has",
    "training.epochs": "trials have the plan's length, and are compared at --steps of it",
    "training.max_steps": "trials have the plan's length, and are compared at --steps of it",
    "lora.adapter": "all trials begin alike",
}


def read_varied(texts: Sequence[str]) -> dict[str, list[Any]]:
    """Keys and the values that each takes; a list's items are joined by `+`. PlanError or InputError in one sentence
    where one cannot be.
    """
    found: dict[str, list[Any]] = {}
    for text in texts:
        key, equals, words = text.partition("=")
        key, parts = key.strip(), [part.strip() for part in words.split(",")]
        if not equals:
            hint = "Write KEY=VALUE,VALUE, e.g. training.learning_rate=1e-4,2e-4."
            raise InputError(f"{text!r} has no '='.", where=WHERE, hint=hint)
        values = [parse_setting(f"{key}={_items(key, part)}", where=WHERE)[1] for part in parts]
        if key in found:
            raise InputError(f"{key} is varied twice.", where=WHERE, hint="Give all of its values once.")
        for at, value in enumerate(values):
            if value in values[:at]:
                raise InputError(f"{key} has the value {value_text(value)} twice.", where=WHERE, hint="Leave one out.")
        if len(values) < 2:
            raise InputError(f"{key} has one value alone: nothing varies.", where=WHERE, hint="Give two or more.")
        found[key] = values
    if not found:
        hint = "Add --vary training.learning_rate=1e-4,2e-4, say; it may be repeated."
        raise InputError("nothing varies.", where=WHERE, hint=hint)
    return found


def _items(key: str, words: str) -> str:
    if key not in fields():
        return words
    annotation = fields()[key].annotation
    listed = any((get_origin(kind) or kind) is list for kind in (annotation, *get_args(annotation)))
    return words.replace("+", ",") if listed else words


def require_free(plan: Plan, varied: Mapping[str, Sequence[Any]]) -> None:
    """InputError for a key that no trial may differ in, or that means nothing under this plan."""
    for key in varied:
        section = key.partition(".")[0]
        reason = REFUSED.get(key) or SHARED.get(section) or _without_meaning(plan, key, varied)
        if reason:
            raise InputError(f"{key} cannot be varied: {reason}.", where=WHERE)


def _without_meaning(plan: Plan, key: str, varied: Mapping[str, Sequence[Any]]) -> str:
    kinds = varied.get("method.kind", [plan.method.kind])
    if key.startswith("lora.") and "full" in kinds:
        return "it means nothing where method.kind is full"
    if key in ("lora.r", "lora.targets", "lora.variant", "lora.alpha") and plan.lora.adapter:
        return "the adapter that is trained further (lora.adapter) has it already"
    if key in ("method.quantization", "method.double_quantization", "method.compute_dtype") and "qlora" not in kinds:
        return f"it means nothing where method.kind is {plan.method.kind}"
    if key == "training.min_lr_ratio" and "cosine" not in varied.get("training.scheduler", [plan.training.scheduler]):
        return f"it means nothing where training.scheduler is {plan.training.scheduler}"
    return ""


def settings(
    plan: Plan, varied: Mapping[str, Sequence[Any]], *, seeds: int = 1, most: int | None = None
) -> list[dict[str, Any]]:
    """The values of each trial: every combination, or `most` of them, drawn by chance. InputError where those are too
    many, PlanError where values do not agree with each other.
    """
    count = 1
    for values in varied.values():
        count *= len(values)
    wanted = min(count, most or count)
    if wanted * seeds > MOST_RUNS:
        each = f" of {seeds} seeds each" if seeds > 1 else ""
        raise InputError(
            f"that is {wanted:,} trials{each}, {wanted * seeds:,} runs; {MOST_RUNS} are the most.",
            where=f"{WHERE} or --trials",
            hint=f"Give fewer values, or have {max(2, MOST_RUNS // (4 * seeds))} of their combinations drawn.",
        )
    if wanted < 2:
        raise InputError("one trial compares nothing.", where="--trials", hint="Give two or more.")
    if wanted < count:
        places = drawn(varied, wanted)
        found = [{key: varied[key][at] for key, at in point.items()} for point in places]
        found.sort(key=lambda one: [varied[key].index(value) for key, value in one.items()])
    else:
        found = [dict(zip(varied, values, strict=True)) for values in itertools.product(*varied.values())]
    for one in found:
        with_values(plan, one, where=WHERE)
    return found


def seeds_of(plan: Plan, count: int) -> list[int]:
    """The plan's seed, and the next ones. InputError where the held-out rows could not stay the same."""
    if count > 1 and not plan.split_seed:
        raise InputError(
            "training.seed = 0 says which rows are held out, and other seeds would hold out others.",
            where="--seeds",
            hint="Set another one: training.seed = 42, or dataset.split_seed.",
        )
    return [(plan.training.seed + number) % 2**32 for number in range(count)]


def values_text(values: Mapping[str, Any]) -> str:
    """The values of a trial in a few words: `learning rate 0.0002, rank 8`."""
    return ", ".join(f"{label_of(key, within=True)} {value_text(value)}" for key, value in values.items())
