"""The problems of an inspection as text: each sentence once, with the rows that it holds for."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from loratui.commands.text import table

MOST_LINES = 20
MOST_OF_A_KIND = 5
"""Sentences of one kind that are printed; the others are counted."""
MOST_PLACES = 3


def problem_lines(result: dict[str, Any]) -> list[str]:
    """What is wrong, how many rows each kind holds for, and where; nothing where nothing is wrong."""
    problems = result["problems"]
    if not problems:
        return []
    counts: dict[str, int] = result["problem_counts"]
    total = sum(counts.values())
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in counts.items())
    lines = ["", f"{total:,} problem{'s' if total != 1 else ''}: {kinds}"]
    places: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for one in problems:
        places[one["kind"], one["message"]].append(one)
    said: dict[str, int] = defaultdict(int)
    rows: list[list[str]] = []
    for (kind, message), ones in places.items():
        said[kind] += 1
        if said[kind] <= MOST_OF_A_KIND and len(rows) < MOST_LINES:
            rows.append([_places(ones), kind, message])
    lines.append(table(rows, indent="  "))
    more = len(places) - len(rows)
    if more:
        lines.append(f"  and {more:,} more sentence{'s' if more != 1 else ''}: --json lists them")
    return lines


def _places(ones: list[dict[str, Any]]) -> str:
    """`line 3`, `rows 3, 7, 12 and 17 more`, or `file`; rows count from 1, as `--rows` does."""
    placed = [one for one in ones if one["line"] is not None or one["index"] is not None]
    if not placed:
        return "file"
    by_line = all(one["line"] is not None for one in placed)
    numbers = sorted(int(one["line"]) if by_line else int(one["index"]) + 1 for one in placed)
    word = ("line" if by_line else "row") + "s" * (len(numbers) > 1)
    shown = ", ".join(f"{number:,}" for number in numbers[:MOST_PLACES])
    more = len(numbers) - MOST_PLACES
    return f"{word} {shown}" + (f" and {more:,} more" if more > 0 else "")
