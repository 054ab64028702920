"""What an epoch draws of each part of a mix, as a table above its rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from textual.content import Content

from loratui.format import one_line

if TYPE_CHECKING:
    from loratui.core.dataset import DataFacts

NAME_COLUMNS = 16
HEAD = f"{'part':<{NAME_COLUMNS}} {'weight':>7} {'rows':>9} {'share':>6} {'tokens':>11} {'share':>6} {'held':>6}"


def part_lines(names: Sequence[str], facts: DataFacts) -> list[str]:
    """A line for each part: weight, rows and tokens of an epoch with their shares, rows held out."""
    rows = max(1, facts.examples)
    tokens = max(1.0, sum(part.examples * part.mean for part in facts.parts))
    about = "" if facts.exact else "~"
    lines = []
    for name, part in zip(names, facts.parts, strict=True):
        count = part.examples * part.mean
        counted = f"{about}{count:,.0f}"
        lines.append(
            f"{one_line(name, NAME_COLUMNS):<{NAME_COLUMNS}} {part.weight:>7g} {part.examples:>9,} "
            f"{part.examples / rows:>6.1%} {counted:>11} {count / tokens:>6.1%} {part.eval_examples:>6,}"
        )
    return lines


def mix_lines(names: Sequence[str], facts: DataFacts, most: int) -> Content:
    """The parts as a table of at most so many lines below its head; + shows all of them."""
    lines = part_lines(names, facts)
    left = len(lines) - most
    if left > 0:
        lines = [*lines[: most - 1], f"and {left + 1} more: + shows them"]
    shown = [Content.assemble((HEAD, "$text-muted")), *(Content.assemble((line, "$foreground")) for line in lines)]
    return Content("\n").join(shown)
