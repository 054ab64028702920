"""Recognise what a dataset's columns are: its format, which column plays which part, why, and how else it could be
read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loratui.core.errors import DatasetError
from loratui.data.column_names import (
    COMPLETIONS,
    CONTENT_KEYS,
    HISTORIES,
    INPUTS,
    INSTRUCTIONS,
    MESSAGES,
    NEEDED,
    PARTS,
    PROMPTS,
    ROLE_KEYS,
    SYSTEMS,
    TEXTS,
    TOKENS,
    TOOLS,
)
from loratui.data.row import Row

SAMPLE_ROWS = 200


@dataclass(frozen=True)
class Recognition:
    """How rows are read.

    columns: part → column (a dotted name reaches into objects). guess: True where the names alone do not settle it.
    others: the other readings that would be possible. unused: columns that play no part.
    """

    format: str
    columns: Mapping[str, str]
    why: str
    guess: bool = False
    others: tuple[Recognition, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def setting(self) -> str:
        """The reading as a value for `--set dataset.columns=`."""
        return ",".join(f"{part}:{column}" for part, column in self.columns.items())


@dataclass(frozen=True)
class Column:
    """What a sample shows of one column. kinds: how often each kind of value occurs, empty ones left out."""

    name: str
    share: float
    kinds: Counter[str]

    @property
    def kind(self) -> str:
        return self.kinds.most_common(1)[0][0] if self.kinds else "empty"


def recognise(
    rows: Iterable[Row], format: str = "auto", columns: Mapping[str, str] | None = None, *, where: str = ""
) -> Recognition:
    """The best reading of a sample of rows; `format` and `columns` (part → column) overrule what is found.

    DatasetError where the rows have no known shape, a named column does not exist, or a part is not known.
    """
    values = [row.value for row in rows if row.value is not None]
    found = survey(values)
    if not found:
        raise DatasetError("there is no row with named fields in it.", where=where, hint=_understood())
    readings = list(_readings(found, values))
    if columns or format != "auto":
        return _mapped(found, values, readings, format, dict(columns or {}), where)
    if not readings:
        names = ", ".join(_shown(column) for column in list(found.values())[:12])
        raise DatasetError(f"the rows have no known shape: their columns are {names}.", where=where, hint=_understood())
    best, *others = (_with_unused(reading, found) for reading in readings)
    return replace(best, others=tuple(others))


def survey(values: Sequence[Mapping[str, Any]]) -> dict[str, Column]:
    """Every column of a sample, in the order of appearance."""
    kinds: dict[str, Counter[str]] = {}
    for value in values[:SAMPLE_ROWS]:
        for name, cell in value.items():
            counter = kinds.setdefault(str(name), Counter())
            if cell is not None:
                counter[kind_of(cell)] += 1
    total = max(1, min(len(values), SAMPLE_ROWS))
    return {name: Column(name, sum(counter.values()) / total, counter) for name, counter in kinds.items()}


def kind_of(cell: Any) -> str:
    """text, number, object, messages (a list of turns), tokens (a list of whole numbers), list, flag, bytes."""
    if isinstance(cell, str):
        return "messages" if cell[:2] in ("[{", "[ ") and '"role"' in cell[:200] else "text"
    if isinstance(cell, bool):
        return "flag"
    if isinstance(cell, int | float):
        return "number"
    if isinstance(cell, Mapping):
        return "object"
    if isinstance(cell, list | tuple):
        if cell and all(isinstance(item, Mapping) and _turn_keys(item) for item in cell):
            return "messages"
        if cell and all(isinstance(item, int) and not isinstance(item, bool) for item in cell):
            return "tokens"
        return "list"
    return "bytes" if isinstance(cell, bytes) else type(cell).__name__


def _turn_keys(turn: Mapping[str, Any]) -> bool:
    return any(key in turn for key in ROLE_KEYS) and (any(key in turn for key in CONTENT_KEYS) or "tool_calls" in turn)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _pick(found: Mapping[str, Column], names: Sequence[str], kinds: Sequence[str] = (), least: float = 0.5) -> str:
    plain = {_plain(name): name for name in reversed(list(found))}
    for wanted in names:
        column = found.get(plain.get(wanted, ""))
        if (
            column is not None
            and column.share >= least
            and (not kinds or column.kind in kinds or column.kind == "empty")
        ):
            return column.name
    return ""


def _extras(found: Mapping[str, Column], *parts: str) -> dict[str, str]:
    names = {"system": SYSTEMS, "history": HISTORIES, "tools": TOOLS}
    kinds = {"system": ("text",), "history": ("list",), "tools": ("list", "text", "messages")}
    return {part: name for part in parts if (name := _pick(found, names[part], kinds[part], least=0.01))}


CONTENT = ("text", "object", "list", "messages", "number")


def _readings(found: Mapping[str, Column], values: Sequence[Mapping[str, Any]]) -> Iterable[Recognition]:
    if tokens := _pick(found, TOKENS, ("tokens", "list")):
        labels = _pick(found, ("labels",), ("tokens", "list"))
        yield Recognition(
            "tokens",
            {"input_ids": tokens} | ({"labels": labels} if labels else {}),
            f"the column {tokens} holds token ids",
        )
    chosen, rejected = _pick(found, ("chosen",)), _pick(found, ("rejected",))
    if chosen and rejected:
        prompt = _pick(found, ("prompt", "question", "instruction", "query", "input"))
        columns = (
            ({"prompt": prompt} if prompt else {})
            | {"chosen": chosen, "rejected": rejected}
            | _extras(found, "system", "tools")
        )
        yield Recognition(
            "preference",
            columns,
            "the columns chosen and rejected hold preferences; the chosen side is trained on",
            guess=True,
        )
    yield from _message_readings(found)
    instruction = _pick(found, INSTRUCTIONS, ("text",))
    output = _pick(found, ("output", *COMPLETIONS), CONTENT)
    if instruction and output and output != instruction:
        extra = _pick(
            {name: column for name, column in found.items() if name not in (instruction, output)},
            INPUTS,
            CONTENT,
            least=0.0,
        )
        columns = (
            {"instruction": instruction}
            | ({"input": extra} if extra else {})
            | {"output": output}
            | _extras(found, "system", "history", "tools")
        )
        yield Recognition(
            "instruction",
            columns,
            f"the columns {' and '.join([instruction, output])} are an instruction and its answer",
        )
    completion = _pick(found, COMPLETIONS, CONTENT)
    prompt = _pick({name: column for name, column in found.items() if name != completion}, PROMPTS, CONTENT)
    if prompt and completion:
        columns = {"prompt": prompt, "completion": completion} | _extras(found, "system", "history", "tools")
        usual = prompt in PROMPTS[:8] and completion in COMPLETIONS[:5]
        yield Recognition(
            "prompt-completion",
            columns,
            f"the columns {prompt} and {completion} are the usual names of a question and its answer",
            guess=not usual,
        )
    if text := _pick(found, TEXTS, ("text",)):
        yield Recognition("text", {"text": text}, f"the column {text} holds text", guess=text != "text")


def _message_readings(found: Mapping[str, Column]) -> Iterable[Recognition]:
    named = _pick(found, MESSAGES, ("messages", "list"))
    others = [
        name
        for name, column in found.items()
        if column.kind == "messages"
        and column.share >= 0.5
        and name not in (named, "chosen", "rejected", "prompt", "completion", "tools", "functions")
    ]
    for name in ([named] if named else []) + others:
        why = (
            f"the column {name} holds conversations"
            if name == named
            else f"the column {name} holds lists of turns with roles"
        )
        yield Recognition("messages", {"messages": name} | _extras(found, "system", "tools"), why, guess=name != named)


def _with_unused(reading: Recognition, found: Mapping[str, Column]) -> Recognition:
    used = {column.split(".")[0] for column in reading.columns.values()}
    return replace(reading, unused=tuple(name for name in found if name not in used))


def _mapped(
    found: Mapping[str, Column],
    values: Sequence[Mapping[str, Any]],
    readings: Sequence[Recognition],
    format: str,
    columns: dict[str, str],
    where: str,
) -> Recognition:
    known = {part for parts in PARTS.values() for part in parts}
    for part, column in columns.items():
        if part not in known:
            raise DatasetError(
                f"{part} is no part of a row.", where="dataset.columns", hint=f"Parts are {', '.join(sorted(known))}."
            )
        if column not in found and not any(reaches(value, column) for value in values[:SAMPLE_ROWS]):
            raise DatasetError(
                (
                    f"there is no column {shown_name(column)!r}: the columns are "
                    f"{', '.join(map(shown_name, list(found)[:12]))}."
                ),
                where=where,
                hint="Change dataset.columns.",
            )
    if format == "auto":
        format = _format_of_parts(columns)
    if format not in PARTS:
        raise DatasetError(
            f"{format} is no known format.", where="dataset.format", hint=f"Formats are auto, {', '.join(PARTS)}."
        )
    alike = next((reading for reading in readings if reading.format == format), None)
    taken = set(columns.values())
    filled = {
        part: column for part, column in (alike.columns if alike else {}).items() if column not in taken
    } | columns
    if columns:
        filled = {
            part: column
            for part, column in filled.items()
            if part in columns or part in NEEDED[format] or part in ("system", "tools")
        }
    missing = [part for part in NEEDED[format] if part not in filled]
    if missing:
        raise DatasetError(
            (
                f"read as {format}, the rows lack {' and '.join(missing)}: the columns are "
                f"{', '.join(map(shown_name, list(found)[:12]))}."
            ),
            where=where,
            hint=f"Say which column it is: --set dataset.columns={','.join(f'{part}:NAME' for part in missing)}",
        )
    ordered = {part: filled[part] for part in PARTS[format] if part in filled}
    others = tuple(_with_unused(reading, found) for reading in readings if reading.columns != ordered)
    why = "mapped by hand" if columns else f"read as {format}, as asked"
    return _with_unused(Recognition(format, ordered, why, others=others), found)


def _format_of_parts(columns: Mapping[str, str]) -> str:
    telling = (
        ("input_ids", "tokens"),
        ("chosen", "preference"),
        ("messages", "messages"),
        ("text", "text"),
        ("instruction", "instruction"),
        ("output", "instruction"),
        ("completion", "prompt-completion"),
        ("prompt", "prompt-completion"),
    )
    return next((format for part, format in telling if part in columns), "prompt-completion")


def reaches(value: Mapping[str, Any], name: str) -> bool:
    """Whether a dotted name leads to a value of the row."""
    current: Any = value
    for part in name.split("."):
        if not isinstance(current, Mapping) or part not in current:
            return False
        current = current[part]
    return True


def _shown(column: Column) -> str:
    return f"{shown_name(column.name)} ({column.kind})"


def shown_name(name: str) -> str:
    """A column's name within a sentence: as it is where it is short and printable, else quoted and cut."""
    if name.isprintable() and len(name) <= 40:
        return name or "''"
    return ascii(name[:40]) + ("…" if len(name) > 40 else "")


def _understood() -> str:
    return (
        "Understood are prompt and completion (or question and answer, input and output, …), "
        "instruction/input/output, messages, "
        "conversations, text, input_ids and chosen/rejected. Map columns by hand: --set "
        "dataset.columns=prompt:NAME,completion:NAME"
    )
