"""How commands print: aligned columns, GiB, one JSON object."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import click

GIB = 1 << 30
MIB = 1 << 20


def echo_json(value: Any) -> None:
    """Print one JSON object on standard output."""
    click.echo(json.dumps(value, ensure_ascii=False, indent=2))


def gib(size_bytes: int) -> str:
    """Bytes as GiB, or as MiB where that many GiB would read as nothing."""
    if abs(size_bytes) < GIB // 10:
        return f"{size_bytes / MIB:.1f} MiB"
    return f"{size_bytes / GIB:.1f} GiB" if abs(size_bytes) >= 10 * GIB else f"{size_bytes / GIB:.2f} GiB"


def table(rows: Sequence[Sequence[str]], *, indent: str = "", right: frozenset[int] = frozenset()) -> str:
    """Rows as aligned columns; `right` names the columns aligned at their end. Control characters are made visible."""
    clean = [[printable(cell) for cell in row] for row in rows]
    widths = [max((len(row[i]) for row in clean if i < len(row)), default=0) for i in range(max(map(len, clean), default=0))]
    lines = []
    for row in clean:
        cells = [cell.rjust(widths[i]) if i in right else cell.ljust(widths[i]) for i, cell in enumerate(row)]
        lines.append((indent + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def printable(text: str) -> str:
    """Text from outside as one harmless line."""
    return "".join(letter if letter.isprintable() else "�" for letter in text.replace("\n", " "))
