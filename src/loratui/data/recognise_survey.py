"""What a sample of rows shows of each column: how often it is filled, and with what."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from loratui.data.column_names import CONTENT_KEYS, ROLE_KEYS, ROLES, SAMPLES
from loratui.data.transcripts import is_exchanges, is_messages_text

SAMPLE_ROWS = 200
NESTED_COLUMNS = 100
"""So many fields within objects are looked at."""
DEPTH = 4


class Column(NamedTuple):
    """What a sample shows of one column, or of a path into objects. share: of the rows that fill it (0..1). kinds: how
    often each kind of value occurs, empty ones left out.
    """

    name: str
    share: float
    kinds: Counter[str]

    @property
    def kind(self) -> str:
        return self.kinds.most_common(1)[0][0] if self.kinds else "empty"


def survey(values: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """Every column of a sample, in the order of appearance."""
    return _counted(((str(name), cell) for value in values[:SAMPLE_ROWS] for name, cell in value.items()), values)


def nested(values: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """Every path into the objects of a sample, and into lists of examples (see `column_names.SAMPLES`)."""
    found = _counted((pair for value in values[:SAMPLE_ROWS] for pair in _fields(value, "", DEPTH)), values)
    return dict(list(found.items())[:NESTED_COLUMNS])


def _counted(cells: Iterator[tuple[str, Any]], values: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    kinds: dict[str, Counter[str]] = {}
    for name, cell in cells:
        counter = kinds.setdefault(name, Counter())
        if cell is not None:
            counter[kind_of(cell)] += 1
    total = max(1, min(len(values), SAMPLE_ROWS))
    return {name: Column(name, min(1.0, sum(counter.values()) / total), counter) for name, counter in kinds.items()}


def _fields(value: Any, before: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth == 0 or not isinstance(value, Mapping):
        return
    for name, cell in list(value.items())[:NESTED_COLUMNS]:
        path = f"{before}{name}"
        if before:
            yield path, cell
        if isinstance(cell, Mapping):
            yield from _fields(cell, f"{path}.", depth - 1)
        elif isinstance(cell, list) and cell and isinstance(cell[0], Mapping):
            step = "*" if plain(str(name)) in SAMPLES else "0"
            yield from _fields(cell[0], f"{path}.{step}.", depth - 1)
        elif before and isinstance(cell, list) and cell and isinstance(cell[0], str):
            yield f"{path}.0", cell[0]


def kind_of(cell: Any) -> str:
    """text, number, object, messages (a list of turns), tokens (a list of whole numbers), list, flag, bytes."""
    if isinstance(cell, str):
        return "messages" if is_messages_text(cell) else "text"
    if isinstance(cell, bool):
        return "flag"
    if isinstance(cell, int | float):
        return "number"
    if isinstance(cell, Mapping):
        spoken = _is_turn(cell) and any(str(cell.get(key)).lower() in ROLES for key in ROLE_KEYS)
        return "messages" if spoken else "object"
    if isinstance(cell, list | tuple):
        if cell and all(_is_turn(item) for item in cell):
            return "messages"
        if cell and all(isinstance(item, int) and not isinstance(item, bool) for item in cell):
            return "tokens"
        return "messages" if is_exchanges(cell) else "list"
    return "bytes" if isinstance(cell, bytes) else type(cell).__name__


def _is_turn(item: Any) -> bool:
    return (
        isinstance(item, Mapping)
        and any(key in item for key in ROLE_KEYS)
        and (any(key in item for key in CONTENT_KEYS) or "tool_calls" in item)
    )


def plain(name: str) -> str:
    """A column's name as names are compared: small letters, words joined by _."""
    return re.sub(r"[\W_]+", "_", name.lower()).strip("_")


def pick(found: Mapping[str, Column], names: Sequence[str], kinds: Sequence[str] = (), least: float = 0.5) -> str:
    """The column that bears the first of these names (of a path, its last step counts); "" where there is none.

    kinds: that it may hold. least: share of the rows (0..1) that must fill it.
    """
    known: dict[str, str] = {}
    for name in found:
        known.setdefault(_last(name), name)
    for wanted in names:
        column = found.get(known.get(wanted, ""))
        if column is not None and column.share >= least and (not kinds or column.kind in (*kinds, "empty")):
            return column.name
    return ""


def _last(name: str) -> str:
    steps = [step for step in name.split(".") if step not in ("*", "0")] if "." in name else [name]
    return plain(steps[-1]) if steps else ""
