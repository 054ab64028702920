"""How commands lay out what they print: aligned columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

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


def parts_table(parts: Sequence[Mapping[str, Any]]) -> str:
    """Parts of a mix: what an epoch draws of each, its share of rows and of tokens, and what is held out."""
    rows, tokens = (max(1, sum(part[key] for part in parts)) for key in ("examples", "tokens"))
    lines = [["part", "weight", "rows", "share", "tokens", "share", "held out", ""]]
    for part in parts:
        lines.append(
            [
                part["name"],
                f"{part['weight']:g}",
                f"{part['examples']:,}",
                f"{part['examples'] / rows:.1%}",
                f"{part['tokens']:,}",
                f"{part['tokens'] / tokens:.1%}",
                f"{part['eval_examples']:,}",
                f"of {part['usable']:,}" + (f", {part['capped']:,} beyond the cap" if part["capped"] else "")
                if "usable" in part
                else "",
            ]
        )
    return table(lines, indent="  ", right=frozenset(range(1, 7)))


def shared_lines(parts: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is to be known of rows that are in two parts."""
    for part in parts:
        name = printable(part["name"])
        if part["shared"]:
            yield f"  ▲ {part['shared']:,} rows of {name} are in an earlier part, too: they are drawn for both"
        if part["kept_out"]:
            yield f"  ▲ {part['kept_out']:,} rows of {name} are held out by another part: they are not trained on"
