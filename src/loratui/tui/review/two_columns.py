"""The whole plan in two columns, for terminals that are wide."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content

from loratui.tui.review.rows import Row

GAP = 4
LEAST_COLUMN = 70
"""Columns that a line of the plan needs beside another."""


def in_columns(rows: Sequence[Row], width: int) -> Content:
    """The rows below each other, or in two columns where both have room: what belongs to a label stays together, and
    the columns are as even as that allows.
    """
    room = (width - GAP) // 2
    if room < LEAST_COLUMN:
        return Content("\n").join(row.content(width) for row in rows)
    groups: list[list[Content]] = []
    for row in rows:
        lines = row.content(room).split("\n")
        if row.label or row.glyph or not groups:
            groups.append(list(lines))
        else:
            groups[-1] += lines
    ends = [sum(map(len, groups[:number])) for number in range(len(groups) + 1)]
    split = min(range(len(ends)), key=lambda number: max(ends[number], ends[-1] - ends[number]))
    left, right = ([line for group in part for line in group] for part in (groups[:split], groups[split:]))
    lines = []
    for number in range(max(len(left), len(right))):
        first = left[number] if number < len(left) else Content("")
        pad = " " * (room - first.cell_length + GAP)
        lines.append(Content.assemble(first, pad, right[number]) if number < len(right) else first)
    return Content("\n").join(lines)
