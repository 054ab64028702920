"""Recognise what a dataset's columns are: its format, which column plays which part, why, and how else it could be
read.

Every reading that the names allow is tried on the sample; the one that uses most rows and most text wins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from loratui.core.errors import DatasetError
from loratui.data.cells import is_constant, paths, reaches
from loratui.data.column_names import CONTENT_KEYS, FLAG_PARTS, NEEDED, PARTS, ROLE_KEYS, ROLES
from loratui.data.recognise_readings import readings
from loratui.data.recognise_survey import SAMPLE_ROWS, Column, survey
from loratui.data.recognise_trial import attempt, choose, told
from loratui.data.recognition import Recognition
from loratui.data.row import Row

__all__ = ["SAMPLE_ROWS", "UNKNOWN_SHAPE", "Recognition", "recognise", "shown_name"]

UNKNOWN_SHAPE = "the rows have no known shape"
"""How the sentence begins that says so."""

MOST_ROLES = 6
"""Roles of one conversation: more of them are names of people."""
ALWAYS_KEPT = ("system", "tools", *FLAG_PARTS)
"""Parts that are found beside a mapping by hand; `part:` with no column after it drops one."""


def recognise(
    rows: Iterable[Row], format: str = "auto", columns: Mapping[str, str] | None = None, *, where: str = ""
) -> Recognition:
    """The best reading of a sample of rows; `format` and `columns` (part → column) overrule what is found.

    DatasetError where the rows have no known shape, a named column does not exist, or a part is not known.
    """
    values = [row.value for row in rows if row.value is not None][:SAMPLE_ROWS]
    found = survey(values)
    if not found:
        raise DatasetError("there is no row with named fields in it.", where=where, hint=_understood())
    possible = list(readings(found, values))
    if columns or format != "auto":
        return _mapped(found, values, possible, format, dict(columns or {}), where)
    if not possible:
        names = ", ".join(_shown(column) for column in list(found.values())[:12])
        raise DatasetError(f"{UNKNOWN_SHAPE}: their columns are {names}.", where=where, hint=_understood())
    best, *others = choose([attempt(reading, values) for reading in possible])
    if best.reading.format == "text" and _is_a_message_each(values):
        raise DatasetError(
            "each row is one message, and a row is to be a whole conversation.",
            where=where,
            hint='Put those of each conversation into a row of its own: {"messages": [{"role": …, "content": …}, …]}.',
        )
    return replace(
        told(best, found, values), others=tuple(told(trial, found, values) for trial in others if trial.used)
    )


def _is_a_message_each(values: Sequence[Mapping[str, Any]]) -> bool:
    """Whether every row has words and a role, of which there are few, and some are known."""
    roles = [next((value[key] for key in ROLE_KEYS if isinstance(value.get(key), str)), "") for value in values]
    said = all(any(isinstance(value.get(key), str) for key in CONTENT_KEYS) for value in values)
    names = {role.strip().lower() for role in roles}
    return said and all(names) and len(names) <= MOST_ROLES and not names.isdisjoint(ROLES)


def _mapped(
    found: Mapping[str, Column],
    values: Sequence[Mapping[str, Any]],
    possible: Sequence[Recognition],
    format: str,
    columns: dict[str, str],
    where: str,
) -> Recognition:
    _require_known(found, values, columns, where)
    dropped = {part for part, column in columns.items() if not column}
    given = {part: column for part, column in columns.items() if column}
    tried = choose([attempt(reading, values) for reading in possible])
    telling = _format_of_parts(given)
    if format == "auto":
        format = telling or (tried[0].reading.format if tried else "prompt-completion")
    if format not in PARTS:
        raise DatasetError(
            f"{format} is no known format.", where="dataset.format", hint=f"Formats are auto, {', '.join(PARTS)}."
        )
    alike = next((trial.reading for trial in tried if trial.reading.format == format), None)
    taken = set(given.values())
    filled = {
        part: column
        for part, column in (alike.columns if alike else {}).items()
        if column not in taken
        and part not in dropped
        and (not telling or part in NEEDED[format] or part in ALWAYS_KEPT)
    } | given
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
    why = "mapped by hand" if columns else f"read as {format}, as asked"
    others = [trial for trial in tried if dict(trial.reading.columns) != ordered]
    verdict = alike.verdict if alike is not None and alike.verdict not in ordered.values() else ""
    best = told(attempt(Recognition(format, ordered, why, verdict=verdict), values), found, values)
    return replace(best, guess=False, others=tuple(told(trial, found, values) for trial in others if trial.used))


def _require_known(
    found: Mapping[str, Column], values: Sequence[Mapping[str, Any]], columns: Mapping[str, str], where: str
) -> None:
    known = {part for parts in PARTS.values() for part in parts}
    for part, column in columns.items():
        if part not in known:
            raise DatasetError(
                f"{part} is no part of a row.", where="dataset.columns", hint=f"Parts are {', '.join(sorted(known))}."
            )
        if is_constant(column) or column in found:
            continue
        for path in paths(column):
            if path not in found and not any(reaches(value, path) for value in values):
                raise DatasetError(
                    (
                        f"there is no column {shown_name(path)!r}: the columns are "
                        f"{', '.join(map(shown_name, list(found)[:12]))}."
                    ),
                    where=where,
                    hint="Change dataset.columns.",
                )


def _format_of_parts(columns: Mapping[str, str]) -> str:
    """The format that a mapping's parts belong to; empty where they belong to several."""
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
    return next((format for part, format in telling if part in columns), "")


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
        "conversations, text, input_ids, chosen/rejected and prompt/completion/label. Map columns by hand: --set "
        "dataset.columns=prompt:NAME,completion:NAME"
    )
