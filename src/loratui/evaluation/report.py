"""An evaluation as one document, and as the table that people read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loratui.core.errors import InputError
from loratui.evaluation.intervals import Interval, interval, paired
from loratui.evaluation.measures import MEASURES, Numbers, measure_of
from loratui.evaluation.scoring import Item, Outcome, Rules, figures, parsed_json
from loratui.evaluation.verdict import shown, verdict, words
from loratui.format import one_line

Document = dict[str, Any]


@dataclass(frozen=True)
class Side:
    """A model that was evaluated. title: for people."""

    name: str
    title: str
    outcomes: Sequence[Outcome]


@dataclass(frozen=True)
class Floor:
    """What a figure must reach: `exact_match=0.9`; at most, where less is better."""

    name: str
    value: float

    @classmethod
    def of(cls, text: str) -> Floor:
        """From NAME=VALUE. InputError where it is none."""
        name, equals, value = text.partition("=")
        measure_of(name.strip())
        try:
            number = float(value.strip().removesuffix("%")) / (100 if value.strip().endswith("%") else 1)
        except ValueError:
            number = math.nan
        if not equals or math.isnan(number):
            raise InputError(f"{text!r} is no NAME=NUMBER.", where="--at-least", hint="Write exact_match=0.9, say.")
        return cls(name.strip(), number)

    def met(self, value: float) -> bool:
        """Whether a figure reaches it; one that is no number does not."""
        return value <= self.value if measure_of(self.name).better < 0 else value >= self.value


def document(
    sides: Sequence[Side], items: Sequence[Item], names: Sequence[str], rules: Rules, floors: Sequence[Floor] = ()
) -> Document:
    """Figures with intervals, the last side beside each other one, and its failed rows.

    sides: the one that is judged comes last. InputError where a floor's measure was not computed.
    """
    numbers = {side.name: figures(names, items, side.outcomes, rules) for side in sides}
    judged = sides[-1]
    found: Document = {
        "rows": len(items),
        "judged": judged.name,
        "sides": [{"name": side.name, "title": side.title, "figures": _figures(numbers[side.name])} for side in sides],
        "differences": [
            line for side in sides[:-1] for line in _differences(judged, side, numbers[judged.name], numbers[side.name])
        ],
        "failed": _failed(judged, items, rules),
    }
    mine = found["sides"][-1]["figures"]
    for floor in floors:
        if floor.name not in mine:
            raise InputError(
                f"{floor.name} was not measured here.", where="--at-least", hint=f"Measured: {', '.join(mine)}."
            )
    found["missed"] = [
        {"measure": floor.name, "wanted": floor.value, "value": mine[floor.name]["value"]}
        for floor in floors
        if not floor.met(_number(mine[floor.name]["value"]))
    ]
    return found


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _figures(numbers: Mapping[str, Numbers]) -> Document:
    found = {}
    for name, rows in numbers.items():
        one = interval(measure_of(name), rows)
        if one.rows:
            found[name] = _interval(one)
    return found


def _interval(one: Interval) -> Document:
    value = one.value if math.isfinite(one.value) else None
    return {"value": value, "low": one.low, "high": one.high, "rows": one.rows}


def _differences(
    judged: Side, other: Side, mine: Mapping[str, Numbers], theirs: Mapping[str, Numbers]
) -> list[Document]:
    found = []
    for name in mine:
        measure = measure_of(name)
        if mine[name].shape[1] != theirs[name].shape[1]:  # one of them has no row of it
            continue
        difference = paired(measure, mine[name], theirs[name])
        if not difference.rows:
            continue
        told = verdict(measure, difference)
        found.append(
            {
                "side": judged.name,
                "against": other.name,
                "measure": name,
                **_interval(difference),
                "told": told.told if measure.better else None,
                "rows_needed": told.rows_needed,
                "words": words(measure, difference) if measure.graded else "",
            }
        )
    return found


def _failed(side: Side, items: Sequence[Item], rules: Rules) -> list[Document]:
    """Rows without a right answer, and why not."""
    found = []
    for item, outcome in zip(items, side.outcomes, strict=True):
        if not outcome.answers or not (item.expected or rules.pattern):
            continue
        if any(rules.right(answer.text, item) for answer in outcome.answers):
            continue
        answer = outcome.answers[0]
        found.append(
            {
                "row": item.row + 1,
                "asked": item.asked,
                "expected": item.expected,
                "answer": answer.text,
                "why": _why(item, answer.text, answer.ended_by, rules),
            }
        )
    return found


def _why(item: Item, answer: str, ended_by: str, rules: Rules) -> str:
    if not answer.strip():
        return "empty"
    if ended_by != "stop token":
        return f"no stop token ({ended_by})"
    if not rules.extract and parsed_json(item.expected) is not None and parsed_json(answer) is None:
        return "no JSON"
    return "another answer" if item.expected else "does not match the pattern"


NAME_WIDTH, COLUMN_WIDTH = 22, 24


def table(found: Document, *, width: int = 80, failed: int = 3) -> list[str]:
    """The document as lines. failed: failed rows that are shown; the rest is counted."""
    together = max(1, (width - NAME_WIDTH) // COLUMN_WIDTH)
    lines: list[str] = []
    sides = found["sides"]
    for start in range(0, len(sides), together):
        lines += _block(sides[start : start + together])
    for side in sides[:-1]:
        mine = [one for one in found["differences"] if one["against"] == side["name"] and one["words"]]
        if mine:
            lines += [f"{sides[-1]['title']}, beside {side['title']}:"]
            lines += [f"  {measure_of(one['measure']).title}: {one['words']}" for one in mine] + [""]
    return lines + _failed_lines(found, failed)


def _block(sides: Sequence[Document]) -> list[str]:
    names = list(dict.fromkeys(name for side in sides for name in side["figures"]))
    order = [name for name in names if name not in MEASURES] + [name for name in MEASURES if name in names]
    lines = [
        " " * NAME_WIDTH + "".join(f"{one_line(side['title'], COLUMN_WIDTH - 2):<{COLUMN_WIDTH}}" for side in sides)
    ]
    for name in order:
        cells = [_cell(name, side["figures"].get(name)) for side in sides]
        lines.append(f"{measure_of(name).title:<{NAME_WIDTH}}" + "".join(f"{cell:<{COLUMN_WIDTH}}" for cell in cells))
    return [line.rstrip() for line in lines] + [""]


def _cell(name: str, figure: Document | None) -> str:
    if figure is None:
        return "–"
    unit = measure_of(name).unit
    sign = " %" if unit == "share" else ""
    if figure["low"] is None:
        return shown(figure["value"], unit) + sign
    return f"{shown(figure['value'], unit)}{sign} ({shown(figure['low'], unit)} to {shown(figure['high'], unit)})"


def _failed_lines(found: Document, failed: int) -> list[str]:
    rows = found["failed"]
    if not rows:
        return []
    lines = [f"{len(rows):,} of {found['rows']:,} rows have no right answer by {found['judged']}:"]
    for row in rows[:failed]:
        lines += [f"  row {row['row']}: {row['why']}", f"    asked     {one_line(row['asked'], 100)}"]
        lines += [f"    expected  {one_line(row['expected'], 100)}"] if row["expected"] else []
        lines += [f"    answer    {one_line(row['answer'], 100)}"]
    if len(rows) > failed:
        lines.append(f"  … {len(rows) - failed:,} more; --failed N shows N of them.")
    return [*lines, ""]
