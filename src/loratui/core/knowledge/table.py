"""One table of folk knowledge, with what the evidence says about it."""

from __future__ import annotations

import textwrap
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Measure = Literal["", "examples", "parameters", "rank", "memory_bytes"]


@dataclass(frozen=True, slots=True)
class Table:
    """A table as people hand it on.

    keys: the plan keys whose explanation shows it. source: which guide says it. evidence: what better sources say, or
    what this project measured; empty where they agree. measure: the number that rows stand for, if they do. limits:
    where rows share all its values out, the value at which each but the first begins. named: where rows name some of
    its values only, the lowest and the highest that each names.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    keys: tuple[str, ...]
    source: str
    evidence: str = ""
    measure: Measure = ""
    limits: tuple[float, ...] = ()
    named: tuple[tuple[float, float], ...] = ()

    def row_of(self, value: float) -> int | None:
        """Number of the row (from 0) that stands for this value of `measure`; None where none does."""
        if self.named:
            return next((number for number, (low, high) in enumerate(self.named) if low <= value <= high), None)
        return bisect_right(self.limits, value) if self.measure else None


def about(*values: float, below: float = 0.8, above: float = 1.25) -> tuple[tuple[float, float], ...]:
    """What rows name that stand for models or cards of about these sizes: from `below` to `above` times each."""
    return tuple((below * value, above * value) for value in values)


GAP = 2
"""Columns between the cells of a laid out table."""
NARROWEST = 8
"""A column is not made narrower than this to fit, or than its longest word up to twice as much."""


def laid_out(rows: Sequence[Sequence[str]], width: int) -> list[list[str]]:
    """Every row of a table as its lines, in columns that fit into `width`; long cells are wrapped within their column.

    Only where the columns would become too narrow to read are a row's cells written one after another.
    """
    natural = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    room = width - GAP * (len(natural) - 1)
    columns = _column_widths(rows, natural, room)
    if not columns:
        return [textwrap.wrap(" · ".join(cell for cell in row if cell), max(20, width)) or [""] for row in rows]
    laid = []
    for row in rows:
        cells = [textwrap.wrap(cell, wide) or [""] for cell, wide in zip(row, columns, strict=True)]
        height = max(map(len, cells))
        padded = [[*lines, *[""] * (height - len(lines))] for lines in cells]
        laid.append(
            [
                (" " * GAP).join(line.ljust(wide) for line, wide in zip(line_cells, columns, strict=True)).rstrip()
                for line_cells in zip(*padded, strict=True)
            ]
        )
    return laid


def _column_widths(rows: Sequence[Sequence[str]], natural: list[int], room: int) -> list[int]:
    """Widths that share the room: narrow columns keep theirs, the wide ones share the rest; empty where there is too
    little.
    """
    least = [
        min(
            wide,
            max(
                NARROWEST,
                min(2 * NARROWEST, max((len(word) for row in rows for word in row[place].split()), default=0)),
            ),
        )
        for place, wide in enumerate(natural)
    ]
    if sum(least) > room:
        return []
    widths = list(least)
    spare = room - sum(widths)
    while spare > 0 and (open_places := [place for place, wide in enumerate(widths) if wide < natural[place]]):
        narrowest = min(open_places, key=lambda place: widths[place])
        widths[narrowest] += 1
        spare -= 1
    return widths


CALCULATOR = "Hyperparameter calculations (the calculator's background)"
QUICK_START = "Fine-tuning hyperparameter guide (quick start)"
CONFIGURATION = "Configuration guide"
QWEN = "Qwen LoRA hyperparameter and inference guide"
THEORY = "Theory page: full, LoRA, QLoRA"
