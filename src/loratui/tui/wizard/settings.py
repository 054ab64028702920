"""A setting of a plan as a line shows it, and all of them as a text to read where nothing is to be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.content import Content

from loratui.core.plan_text import label_of
from loratui.format import one_line, value_text
from loratui.tui.wizard.change import NOUGHT, value_words
from loratui.tui.wizard.fields import shown_keys, unit_of

if TYPE_CHECKING:
    from loratui.core.plan import Plan

LEAST_CELL = 38
"""Columns that a setting needs with its name and its value."""
GAP = 3


def value_and_unit(key: str, value: Any) -> tuple[str, str]:
    """A value as its line shows it, and its unit, which words have none of."""
    shown = shown_words(key, value)
    return (shown, "") if shown else (value_text(value), unit_of(key, value))


def shown_words(key: str, value: Any) -> str:
    """A value in the words of the sentences that tell of its changes; empty: as it stands."""
    said = key == "method.kind" or isinstance(value, bool) or (key in NOUGHT and value == 0)
    return value_words(key, value) if said else ""


def columns_of(width: int) -> int:
    """How many settings stand beside each other."""
    return max(1, (width + GAP) // (LEAST_CELL + GAP))


def setting_lines(plan: Plan, width: int, height: int) -> Content:
    """Every setting of a plan as the recipe shows it, group by group, in as many columns as there is room for."""
    if not width or not height:
        return Content("")
    many = columns_of(width)
    room = (width - GAP * (many - 1)) // many
    cells: list[Content] = []
    for group, keys in shown_keys(plan.method.kind, True, plan.processes, plan.cluster.engine, plan.training.objective):
        values = [(key, plan.get(key)) for key in keys if plan.get(key) not in ("", [], {}, None)]
        rows = [_setting(label_of(key), *value_and_unit(key, value), room) for key, value in values]
        cells += [Content(group.upper()).stylize("$text-muted"), *rows] if rows else []
    if len(cells) > many * height:  # the recipe shows them all
        cells[many * height - 1 :] = [Content("…").stylize("$text-muted")]
    beside = [cells[at * height : (at + 1) * height] for at in range(many)]
    lines = []
    for number in range(len(beside[0])):
        parts = [column[number] for column in beside if number < len(column)]
        lines.append(Content(" " * GAP).join(_padded(parts, room)))
    return Content("\n").join(lines)


def _setting(name: str, value: str, unit: str, room: int) -> Content:
    label = one_line(name, 18)
    shown = one_line(value, max(4, room - 20))
    return Content.assemble(
        (f"{label:<20}", "$text-muted"), (shown, "$foreground"), (f" {unit}" if unit else "", "$text-muted")
    )


def _padded(parts: list[Content], room: int) -> list[Content]:
    return [
        *(Content.assemble(part[:room], " " * max(0, room - len(part))) for part in parts[:-1]),
        parts[-1][:room],
    ]
