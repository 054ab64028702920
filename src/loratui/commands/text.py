"""How commands print: aligned columns, one JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

from loratui.format import printable


def echo_json(value: Any) -> None:
    """Print one JSON object on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def table(rows: Sequence[Sequence[str]], *, indent: str = "", right: frozenset[int] = frozenset()) -> str:
    """Rows as aligned columns; `right` names the columns aligned at their end. Control characters are made visible."""
    clean = [[printable(cell) for cell in row] for row in rows]
    widths = [
        max((len(row[i]) for row in clean if i < len(row)), default=0) for i in range(max(map(len, clean), default=0))
    ]
    lines = []
    for row in clean:
        cells = [cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(row)]
        lines.append((indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)
