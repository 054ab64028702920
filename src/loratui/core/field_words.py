"""What a field of a document takes, in words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, get_args, get_origin

from pydantic.fields import FieldInfo


def takes(field: FieldInfo) -> str:
    """What it takes: its choices, or its type and bounds."""
    found = list(choices(field.annotation))
    if found:
        words = ", ".join(found)
        kinds = get_args(field.annotation)
        also = ["a list of names" for kind in kinds if get_origin(kind) is list]
        also += [str(part.description) for kind in kinds for part in get_args(kind) if isinstance(part, FieldInfo)]
        return " or ".join([words, *also])
    names: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
    kind = field.annotation if isinstance(field.annotation, type) else get_origin(field.annotation)
    nested: dict[Any, str] = {list: "a list", dict: 'name = "column" pairs'}
    kind_words = nested[kind] if kind in nested else names.get(kind, "a value")
    signs = {"ge": "at least", "gt": "above", "le": "at most", "lt": "below"}
    bounds = {
        sign: str(getattr(rule, sign)).removesuffix(".0")
        for rule in field.metadata
        for sign in signs
        if hasattr(rule, sign)
    }
    if set(bounds) == {"ge", "le"}:
        return f"{kind_words}, {bounds['ge']} to {bounds['le']}"
    return " ".join([kind_words, " and ".join(f"{signs[sign]} {bound}" for sign, bound in bounds.items())]).strip()


def choices(annotation: Any) -> Iterator[str]:
    """The words that it may be, one after the other; none where it is no choice."""
    for argument in get_args(annotation):
        if isinstance(argument, str):
            yield argument
        elif get_args(argument) and get_origin(argument) is not list:
            yield from choices(argument)


def is_finite(value: Any) -> bool:
    """Whether a value is none of the numbers that no plan holds."""
    return not isinstance(value, float) or math.isfinite(value)
