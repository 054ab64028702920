"""How commands lay out what they print: aligned columns."""

from __future__ import annotations

from collections.abc import Sequence

from loratui.format import printable


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
