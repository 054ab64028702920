"""The mapping of a dataset's columns as one line of text: `prompt:question,completion:answer`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

_BETWEEN = re.compile(r",(?=\s*[a-z_]+\s*:)")
"""A comma with a part after it; other commas belong to a template or a constant."""


def read_columns(text: str) -> dict[str, str]:
    """Part → column of a line `part:column,part:column`. A column may hold commas unless `name:` follows one."""
    pairs = (pair.partition(":") for pair in _BETWEEN.split(text) if pair.strip(" ,"))
    return {part.strip(): column.strip() for part, _, column in pairs}


def write_columns(columns: Mapping[str, str]) -> str:
    """The line that `read_columns` reads back; JSON where a column could not stand in one."""
    line = ",".join(f"{part}:{_escaped(column)}" for part, column in columns.items())
    plain = {part: _escaped(column) for part, column in columns.items()}
    if read_columns(line) == plain and not line.startswith(("{", "[")):
        return line
    return json.dumps(dict(columns), ensure_ascii=False)


def _escaped(column: str) -> str:
    """Line breaks and tabs of a template as they are typed."""
    return column.replace("\n", "\\n").replace("\t", "\\t")
