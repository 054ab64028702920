"""Public benchmarks of several models on the same rows: figures with intervals, side by side. Their figures come from
lm-evaluation-harness, one a row where it gives them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from loratui.evaluation.intervals import interval, paired
from loratui.evaluation.measures import Measure, Numbers, ratio
from loratui.evaluation.report import Document, difference_document, figure_cell, grid, interval_document
from loratui.format import one_line

NAME_WIDTH = 34
NEAR = 1e-6


@dataclass(frozen=True)
class Figure:
    """One metric of one task. rows: its value of each row by the row's number; none where the metric is no mean of
    them. better: 1 where more is better, -1 where less is.
    """

    value: float
    better: int = 1
    rows: dict[str, float] = field(default_factory=dict)


Figures = dict[str, Figure]
"""By `TASK METRIC`."""


def read_results(results: Mapping[str, Any]) -> Figures:
    """What lm-evaluation-harness found, by task and metric."""
    found: Figures = {}
    for task, metrics in results["results"].items():
        samples = (results.get("samples") or {}).get(task, [])
        higher = (results.get("higher_is_better") or {}).get(task) or {}
        for key, value in metrics.items():
            metric, comma, filtered = key.partition(",")
            number = _number(value)
            if not comma or metric.endswith("_stderr") or number is None:
                continue
            name = f"{task} {metric}" + (f" ({filtered})" if filtered != "none" else "")
            rows = {
                str(one["doc_id"]): row
                for one in samples
                if one.get("filter", "none") == filtered and (row := _number(one.get(metric))) is not None
            }
            mean = sum(rows.values()) / len(rows) if rows else math.nan
            is_mean = abs(mean - number) <= NEAR * max(1.0, abs(number))
            found[name] = Figure(number, -1 if higher.get(metric) is False else 1, rows if is_mean else {})
    return found


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def as_document(figures: Figures) -> dict[str, Any]:
    """For a JSON file."""
    return {name: asdict(one) for name, one in figures.items()}


def from_document(document: Mapping[str, Any]) -> Figures:
    """From such a file."""
    return {name: Figure(float(one["value"]), int(one["better"]), dict(one["rows"])) for name, one in document.items()}


def compare(sides: Mapping[str, Figures]) -> Document:
    """Figures of all sides with intervals, and the last one, which is judged, beside each other one."""
    names = list(dict.fromkeys(name for figures in sides.values() for name in figures))
    judged = list(sides)[-1]
    measures = {
        name: _measure(name, [figures[name] for figures in sides.values() if name in figures]) for name in names
    }
    differences = []
    for side in list(sides)[:-1]:
        for name in names:
            mine, theirs = sides[judged].get(name), sides[side].get(name)
            if mine is None or theirs is None:
                continue
            rows = sorted(mine.rows.keys() & theirs.rows.keys(), key=lambda row: (len(row), row))
            if not rows:
                continue
            found = paired(measures[name], _columns(mine, rows), _columns(theirs, rows))
            differences.append(difference_document(judged, side, measures[name], found))
    return {
        "judged": judged,
        "sides": [
            {"name": side, "figures": {name: _shown(measures[name], one) for name, one in figures.items()}}
            for side, figures in sides.items()
        ],
        "differences": differences,
    }


def _measure(name: str, figures: Sequence[Figure]) -> Measure:
    values = [value for one in figures for value in (one.value, *one.rows.values())]
    return Measure(name, name, "share" if all(0 <= one <= 1 for one in values) else "number", figures[0].better, ratio)


def _columns(figure: Figure, rows: Sequence[str]) -> Numbers:
    return np.array([[figure.rows[row], 1.0] for row in rows], dtype=np.float64)


def _shown(measure: Measure, figure: Figure) -> Document:
    found = {"low": None, "high": None, "rows": 0}
    if figure.rows:
        found = interval_document(interval(measure, _columns(figure, list(figure.rows))))
    return {**found, "value": figure.value, "unit": measure.unit}


def table(found: Document, *, width: int = 80) -> list[str]:
    """The document as lines."""
    sides = found["sides"]
    names = {name: one_line(name, NAME_WIDTH - 2) for side in sides for name in side["figures"]}
    columns = [
        (side["name"], {name: figure_cell(one, one["unit"]) for name, one in side["figures"].items()}) for side in sides
    ]
    lines = grid(names, columns, width=width, name_width=NAME_WIDTH)
    for side in sides[:-1]:
        mine = [one for one in found["differences"] if one["against"] == side["name"]]
        if mine:
            lines += [f"{found['judged']}, beside {side['name']}:"]
            lines += [f"  {one['measure']}: {one['words']}" for one in mine] + [""]
    return lines
