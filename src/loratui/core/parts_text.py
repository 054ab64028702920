"""The parts of a mix as text: tables of a plan's TOML or JSON, and `PATH=WEIGHT#CAP` of the command line."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from loratui.core.dataset_part import DatasetPart
from loratui.core.errors import PlanError
from loratui.core.field_words import is_finite, takes
from loratui.core.near import near

PARTS = "dataset.parts"
MOST_PARTS = 64
FORM = re.compile(r"(?P<path>.+?)(?:=(?P<weight>[^=#/\\]+))?(?:#(?P<cap>[^=#/\\]+))?", re.DOTALL)


def read_parts(value: Any, where: str = "") -> list[dict[str, Any]]:
    """The parts, complete, as a plan's document holds them. PlanError that names part and key for the first value that
    is not allowed.
    """
    if not isinstance(value, list) or len(value) > MOST_PARTS:
        raise PlanError(
            f"{PARTS} is no list of at most {MOST_PARTS} tables.", where=where, hint=f"Write [[{PARTS}]] for each part."
        )
    return [_part(one, number, where) for number, one in enumerate(value, 1)]


def _part(value: Any, number: int, where: str) -> dict[str, Any]:
    here = f"{PARTS}[{number}]"
    if isinstance(value, DatasetPart):
        return value.model_dump()
    if not isinstance(value, Mapping):
        raise PlanError(f"{here} is no table.", where=where, hint=f"Write [[{PARTS}]] and its keys below.")
    known = DatasetPart.model_fields
    for key, given in value.items():
        if key not in known:
            meant = near(str(key), known)
            hint = f"Did you mean {meant[0]}?" if meant else f"Keys of a part are: {', '.join(known)}."
            raise PlanError(f"there is no key {here}.{key}.", where=where, hint=hint)
        if not is_finite(given) or isinstance(given, bool):  # no key of a part is a yes or no
            raise _not_allowed(here, key, given, where)
    if not str(value.get("path") or "").strip():
        raise PlanError(f"{here} names no dataset.", where=where, hint="Give it a path: a file, a folder, a hub id.")
    try:
        return DatasetPart.model_validate(dict(value)).model_dump()
    except ValidationError as error:
        key = str(error.errors()[0]["loc"][0])
        raise _not_allowed(here, key, value.get(key), where) from None


def _not_allowed(here: str, key: str, given: Any, where: str) -> PlanError:
    shown = json.dumps(given, ensure_ascii=False, default=str)
    field = DatasetPart.model_fields[key]
    return PlanError(
        f"{here}.{key} = {shown} is not allowed.", where=where, hint=f"{field.title} takes {takes(field)}."
    )


def part_from_words(words: str, *, where: str = "--dataset") -> dict[str, Any]:
    """`rows.jsonl=0.5#1000` as a part with this path, weight and cap; both may be left out.

    PlanError where weight or cap is no number that they may be.
    """
    found = FORM.fullmatch(words)
    part: dict[str, Any] = {"path": found["path"] if found else words}
    for key, kind in (("weight", float), ("cap", int)) if found else ():
        if (text := found[key] if found else None) is not None:
            try:
                part[key] = kind(text)
            except ValueError:
                raise PlanError(
                    f"{text!r} in {words!r} is no {key}.",
                    where=where,
                    hint="Write PATH=WEIGHT#CAP, e.g. rows.jsonl=0.5#1000.",
                ) from None
    return part
