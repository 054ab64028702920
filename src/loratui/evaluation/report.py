"""An evaluation as one document, and as the table that people read."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loratui.core.errors import InputError
from loratui.evaluation.by_part import rows_by_part
from loratui.evaluation.intervals import Interval, interval, paired
from loratui.evaluation.measures import MEASURES, Measure, Numbers, Unit, measure_of
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
        **compared(sides, numbers),
        "failed": _failed(judged, items, rules),
        "parts": [
            {"part": part, "rows": count, **compared(sides, own)}
            for part, (count, own) in rows_by_part(items, numbers).items()
        ],
    }
    mine = found["sides"][-1]["figures"]
    require_measured(floors, mine)
    found["missed"] = [
        {"measure": floor.name, "wanted": floor.value, "value": mine[floor.name]["value"]}
        for floor in floors
        if not floor.met(_number(mine[floor.name]["value"]))
    ]
    return found


def compared(sides: Sequence[Side], numbers: Mapping[str, Mapping[str, Numbers]]) -> Document:
    """`sides` and `differences` of a document. numbers: of each side, by measure, the figures of the rows."""
    judged = sides[-1]
    return {
        "sides": [{"name": side.name, "title": side.title, "figures": _figures(numbers[side.name])} for side in sides],
        "differences": [
            line for side in sides[:-1] for line in _differences(judged, side, numbers[judged.name], numbers[side.name])
        ],
    }


def require_measured(floors: Sequence[Floor], names: Collection[str]) -> None:
    """InputError where a floor's measure is none of these."""
    for floor in floors:
        if floor.name not in names:
            raise InputError(
                f"{floor.name} is not measured here.", where="--at-least", hint=f"Measured: {', '.join(names)}."
            )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _figures(numbers: Mapping[str, Numbers]) -> Document:
    found = {}
    for name, rows in numbers.items():
        measure = measure_of(name)
        one = interval(measure, rows)
        if one.rows:
            found[name] = interval_document(one)
        elif measure.too_short:
            found[name] = {**interval_document(one), "why_none": measure.too_short}
    return found


def interval_document(one: Interval) -> Document:
    """An interval for a document; a figure that is no number is None."""
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
        if difference.rows:
            found.append(difference_document(judged.name, other.name, measure, difference))
    return found


def difference_document(judged: str, other: str, measure: Measure, difference: Interval) -> Document:
    """How the judged side stands to another by one measure."""
    told = verdict(measure, difference)
    return {
        "side": judged,
        "against": other,
        "measure": measure.name,
        **interval_document(difference),
        "told": told.told if measure.better else None,
        "rows_needed": told.rows_needed,
        "words": words(measure, difference) if measure.graded else "",
    }


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


RIGHT = ("extracted", "exact_match", "pattern", "choice")
"""Measures by which a row is right or wrong, those that `Rules.right` goes by first."""
NAME_WIDTH, COLUMN_WIDTH = 22, 24
"""Columns of the measures' names and of each side's figures, with the space after them, where there is room."""


def table(found: Document, *, width: int = 80, failed: int = 3) -> list[str]:
    """The document as lines. failed: failed rows that are shown; the rest is counted."""
    return (
        figure_lines(found, width=width)
        + verdict_lines(found)
        + part_lines(found, width=width)
        + _failed_lines(found, failed)
    )


def figure_lines(found: Document, *, width: int) -> list[str]:
    """Every side's figures with their intervals, and why one does not apply."""
    names = list(dict.fromkeys(name for side in found["sides"] for name in side["figures"]))
    measures = {name: measure_of(name) for name in _ordered(names)}
    sides = [
        (side["title"], {name: figure_cell(one, measures[name].unit) for name, one in side["figures"].items()})
        for side in found["sides"]
    ]
    lines = grid({name: one.title for name, one in measures.items()}, sides, width=width)
    return [*lines, *none_lines(found)]


def none_lines(found: Document) -> list[str]:
    """Which figures do not apply to these rows, and why not."""
    why = {
        name: one["why_none"] for side in found["sides"] for name, one in side["figures"].items() if "why_none" in one
    }
    lines = [f"{measure_of(name).title} does not apply: {sentence}" for name, sentence in why.items()]
    return [*lines, ""] if lines else []


def _ordered(names: Sequence[str]) -> list[str]:
    return [name for name in names if name not in MEASURES] + [name for name in MEASURES if name in names]


def part_lines(found: Document, *, width: int) -> list[str]:
    """Of a mix every side's figures by part, and where the judged side can be told from another one there; nothing of
    rows that are of one.
    """
    parts = found.get("parts", [])
    lines: list[str] = []
    for number, side in enumerate(found["sides"] if parts else ()):
        measured = list(dict.fromkeys(name for one in parts for name in one["sides"][number]["figures"]))
        names = {name: measure_of(name) for name in _ordered(measured)}
        cells = [
            (
                f"{one_line(one['part'], 11)}, {one['rows']:,} row{'' if one['rows'] == 1 else 's'}",
                {
                    name: figure_cell(figure, names[name].unit)
                    for name, figure in one["sides"][number]["figures"].items()
                },
            )
            for one in parts
        ]
        lines.append(f"{side['title']}, by part:")
        lines += grid({name: measure.title for name, measure in names.items()}, cells, width=width)
    told = [
        f"  {one_line(one['part'], 40)}, beside {difference['against']}: {measure_of(difference['measure']).title} "
        f"{difference['words']}"
        for one in parts
        for difference in one["differences"]
        if difference["words"] and difference["told"] in ("better", "worse")
    ]
    if told:
        lines += ["By part:", *told, ""]
    elif parts and len(found["sides"]) > 1:
        lines += ["By part no difference can be told.", ""]
    return lines


def verdict_lines(found: Document) -> list[str]:
    """Whether the judged side is better than each other one, measure by measure."""
    lines: list[str] = []
    sides = found["sides"]
    for side in sides[:-1]:
        mine = [one for one in found["differences"] if one["against"] == side["name"] and one["words"]]
        if mine:
            lines += [f"{sides[-1]['title']}, beside {side['title']}:"]
            lines += [f"  {measure_of(one['measure']).title}: {one['words']}" for one in mine] + [""]
    return lines


def right_line(found: Document) -> str:
    """How many rows each side has right, the judged one first; empty where rows are not right or wrong."""
    told = [f"{title}: {right} of {rows:,}" for _, title, right, rows in reversed(_rights(found))]
    return f"{' · '.join(told)} answers right." if told else ""


def score_words(found: Document) -> str:
    """`scored: 16 of 16 right, base 0`, the side that the others are compared with first; empty where rows are not
    right or wrong.
    """
    rights = _rights(found)
    judged = next((right for name, _, right, _ in rights if name == found["judged"]), "")
    others = [f"{name} {right}" for name, _, right, _ in rights if name != found["judged"]]
    return ", ".join([f"scored: {judged} of {found['rows']:,} right", *others]) if judged else ""


def _rights(found: Document) -> list[tuple[str, str, str, int]]:
    """Of each side its name and title, how many rows are right, and of how many."""
    named = [next((name for name in RIGHT if name in side["figures"]), "") for side in found["sides"]]
    if not all(named) or len(set(named)) > 1:
        return []
    told = []
    for side in found["sides"]:
        figure = side["figures"][named[0]]
        right = round((figure["value"] or 0) * figure["rows"], 1)
        told.append((side["name"], side["title"], f"{right:,g}", figure["rows"]))
    return told


def brief_verdict_lines(found: Document) -> list[str]:
    """As `verdict_lines`, but measures of which nothing can be told are only named, with the one that the fewest more
    rows would decide.
    """
    lines: list[str] = []
    sides = found["sides"]
    for side in sides[:-1]:
        mine = [one for one in found["differences"] if one["against"] == side["name"] and one["words"]]
        told = [one for one in mine if one["told"] in ("better", "worse")]
        open_ones = [one for one in mine if one not in told]
        on_all = f", on {found['rows']:,} row{'s' * (found['rows'] != 1)}"  # said once, not in every line
        if mine:
            lines.append(f"{sides[-1]['title']}, beside {side['title']}{on_all}:")
        lines += [f"  {measure_of(one['measure']).title}: {one['words'].removesuffix(on_all)}" for one in told]
        if open_ones:
            names = ", ".join(measure_of(one["measure"]).title for one in open_ones)
            near = min(
                (one for one in open_ones if one["rows_needed"]), key=lambda one: one["rows_needed"], default=None
            )
            more = (
                f"; about {near['rows_needed']:,} more rows would tell {measure_of(near['measure']).title}"
                if near
                else ""
            )
            lines.append(f"  no difference can be told: {names}{more}")
        lines += [""] * bool(mine)
    return lines


def grid(
    rows: Mapping[str, str], sides: Sequence[tuple[str, Mapping[str, str]]], *, width: int, name_width: int = NAME_WIDTH
) -> list[str]:
    """Sides beside each other, as many as fit into so many columns, and the others below them. rows: titles by name.
    sides: each one's title, and its cells by the row's name; a row that no side of a block has is left out there.
    """
    titled = [(one_line(title, COLUMN_WIDTH - 2), cells) for title, cells in sides]
    needed = max(map(len, rows.values()), default=0) + 1
    needed_column = max((len(text) for title, cells in titled for text in (title, *cells.values())), default=0) + 2
    name_width, column = max(name_width, needed), max(COLUMN_WIDTH, needed_column)
    if name_width + column * len(titled) > width:  # what is written needs less than it is given
        name_width, column = needed, needed_column
    together = max(1, (width + 2 - name_width) // column)
    lines: list[str] = []
    for start in range(0, len(titled), together):
        block = titled[start : start + together]
        lines.append(" " * name_width + "".join(f"{title:<{column}}" for title, _ in block))
        lines += [
            f"{title:<{name_width}}" + "".join(f"{cells.get(name, '–'):<{column}}" for _, cells in block)
            for name, title in rows.items()
            if any(name in cells for _, cells in block)
        ]
        lines.append("")
    return [line.rstrip() for line in lines]


def figure_cell(figure: Document, unit: Unit) -> str:
    """A figure with its interval, where it has one; or that it does not apply."""
    if figure.get("why_none"):
        return "does not apply"
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
