"""A line chart in braille dots that repaints only the cells that changed: a growing curve costs a few bytes a
second.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from loratui.core.smoothing import Bucket, nice_bounds, nice_step

DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Bit of the dot in row 0..3 and column 0..1 of a braille cell."""

BRAILLE = 0x2800
"""The braille cell without a dot."""
STRONG = frozenset({"smooth", "second"})
"""Styles of curves that are both to be seen where they lie on each other."""
TURN = 2
"""Cells of each colour where they do."""

Cell = tuple[str, str]
"""A character and the name of its style."""


@dataclass(frozen=True)
class Line:
    """One curve. style: raw, smooth or second."""

    xs: Sequence[float]
    points: Sequence[Bucket]
    style: str = "smooth"


@dataclass(frozen=True)
class Picture:
    """Everything a chart shows."""

    lines: tuple[Line, ...] = ()
    x_end: float = 1.0
    """Right end of the x axis; the left end is 0 unless `x_start` says otherwise."""
    x_start: float = 0.0
    marks: tuple[tuple[float, float], ...] = ()
    """Points of their own, drawn as diamonds: evaluations."""
    ticks: tuple[float, ...] = ()
    """Places marked on the x axis: checkpoints."""
    nothing: str = ""
    """What stands in the middle instead of axes; empty: there is, or may come, something to draw."""
    log: bool = False
    from_zero: bool = False
    format: Callable[[float], str] = field(default=lambda value: f"{value:.3g}")
    """The newest value, as it is written at the line's end."""
    axis_format: Callable[[float], str] | None = None
    """The y axis's labels; None: as `format`."""
    cursor: float | None = None
    """x at which a vertical line is drawn."""


class Chart(Widget):
    """Draws a Picture; `show` takes a new one."""

    DEFAULT_CSS = """
    Chart { height: 1fr; width: 1fr; color: $text-muted; }
    Chart > .chart--raw { color: $text-muted 45%; }
    Chart > .chart--smooth { color: $accent; }
    Chart > .chart--second { color: $warning; }
    Chart > .chart--mark { color: $success; }
    Chart > .chart--axis { color: $text-muted; }
    Chart > .chart--cursor { color: $foreground; }
    Chart:ansi > .chart--raw { color: ansi_bright_black; }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "chart--raw",
        "chart--smooth",
        "chart--second",
        "chart--mark",
        "chart--axis",
        "chart--cursor",
    }

    def __init__(self, title: str = "", *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.border_title = title
        self.picture = Picture()
        self._grid: list[list[Cell]] = []

    def show(self, picture: Picture) -> None:
        """Take a new picture and repaint what is different."""
        self.picture = picture
        if not self.size.width or not self.size.height:
            return
        before, self._grid = self._grid, draw(picture, self.size.width, self.size.height)
        if len(before) != len(self._grid) or (before and len(before[0]) != len(self._grid[0])):
            self.refresh()
            return
        changed = [
            Region(first, y, last - first + 1, 1)
            for y, (old, new) in enumerate(zip(before, self._grid, strict=True))
            for first, last in [_difference(old, new)]
            if last >= first
        ]
        if changed:
            self.refresh(*changed)

    def on_resize(self) -> None:
        self._grid = draw(self.picture, self.size.width, self.size.height)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        if y >= len(self._grid):
            return Strip.blank(self.size.width, self.rich_style)
        styles = {"": self.rich_style}
        segments = []
        for text, style in _runs(self._grid[y]):
            if style not in styles:
                styles[style] = self._style(style)
            segments.append(Segment(text, styles[style]))
        return Strip(segments, self.size.width)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"chart--{name}")


def draw(picture: Picture, width: int, height: int) -> list[list[Cell]]:
    """The picture as `height` rows of `width` cells: labels on the left, the x axis below."""
    if width < 12 or height < 3:
        return [[(" ", "")] * width for _ in range(height)]
    if picture.nothing:
        blank, told = [(" ", "")] * width, f"{picture.nothing[:width]:^{width}}"
        return [[(letter, "axis") for letter in told] if row == height // 2 else [*blank] for row in range(height)]
    low, high = _bounds(picture)
    rows = height - 1
    labels = _labels(picture, low, high, rows)
    gutter = max(map(len, labels.values()), default=0) + 1
    plot = _Plot(picture, width - gutter, rows, low, high)
    for line in picture.lines:
        plot.line(line)
    plot.marks()
    plot.last_value()
    grid = []
    for row in range(rows):
        label = labels.get(row, "")
        grid.append([*((letter, "axis") for letter in f"{label:>{gutter - 1}} "), *plot.cells[row]])
    grid.append(_x_axis(picture, gutter, width - gutter))
    return grid


def _bounds(picture: Picture) -> tuple[float, float]:
    """Limits of the y axis, in log10 where it is logarithmic."""
    lows, highs = [], []
    for line in picture.lines:
        for x, point in zip(line.xs, line.points, strict=True):
            if picture.x_start <= x <= picture.x_end:
                lows.append(point.low)
                highs.append(point.high)
    for x, y in picture.marks:
        if picture.x_start <= x <= picture.x_end:
            lows.append(y)
            highs.append(y)
    if picture.log:
        lows = [math.log10(value) for value in lows if value > 0]
        highs = [math.log10(value) for value in highs if value > 0]
    if not lows or not highs:
        return 0.0, 1.0
    return nice_bounds(min(lows), max(highs), from_zero=picture.from_zero and not picture.log)


def _labels(picture: Picture, low: float, high: float, rows: int) -> dict[int, str]:
    """What stands beside the rows: round values, each at the row that is nearest to it, and never two in rows that
    touch; a value that rounds to the label of another is left out.
    """
    written = picture.axis_format or picture.format
    values = _log_values(low, high, rows) if picture.log else _round_values(low, high, rows)
    span = (high - low) or 1.0
    labels: dict[int, str] = {}
    for value, at in values:
        row = round((high - at) / span * (rows - 1))
        text = written(value)
        if 0 <= row < rows and text not in labels.values() and all(abs(row - other) > 1 for other in labels):
            labels[row] = text
    return labels


def _round_values(low: float, high: float, rows: int) -> list[tuple[float, float]]:
    """Multiples of a round step between the limits, both included, as value and place."""
    step = nice_step((high - low) / max(1, min(4, (rows - 1) // 3))) if high > low else 1.0
    first = math.ceil(low / step - 1e-9)
    inner = [number * step for number in range(first, math.floor(high / step + 1e-9) + 1)]
    return [(value, value) for value in dict.fromkeys([high, low, *inner])]


def _log_values(low: float, high: float, rows: int) -> list[tuple[float, float]]:
    """Powers of ten on a logarithmic axis (also twice and five times those where there are few, and round values where
    there are none), as value and place; where there is no row for each power, every second, third, … one.
    """
    factors = (1.0,) if high - low >= 2 else (1.0, 2.0, 5.0)
    apart = next(n for n in count(1) if n * (rows - 1) >= 2 * (high - low) or n >= high - low)
    powers = range(math.floor(low / apart) * apart, math.ceil(high) + 1, apart)
    inner = [(factor * 10.0**power, power + math.log10(factor)) for factor in factors for power in powers]
    shown = [one for one in inner if low - 1e-9 <= one[1] <= high + 1e-9]
    round_ones = [value for value, _ in reversed(_round_values(10**low, 10**high, rows)) if value > 0]
    return shown if len(shown) > 1 else [*shown, *((value, math.log10(value)) for value in round_ones)]


def _x_axis(picture: Picture, gutter: int, columns: int) -> list[Cell]:
    cells: list[Cell] = [(" ", "axis")] * gutter + [("─", "axis")] * columns
    for x in picture.ticks:
        column = _column(picture, x, columns)
        if 0 <= column < columns:
            cells[gutter + column] = ("┴", "mark")
    start, end = f"{picture.x_start:,.0f}", f"{picture.x_end:,.0f}"
    for text, place in ((start, gutter), (end, gutter + columns - len(end))):
        for offset, letter in enumerate(text):
            cells[place + offset] = (letter, "axis")
    return cells


def _column(picture: Picture, x: float, columns: int) -> int:
    span = (picture.x_end - picture.x_start) or 1.0
    return min(columns - 1, int((x - picture.x_start) / span * columns))


class _Plot:
    """The cells right of the labels and above the x axis."""

    def __init__(self, picture: Picture, columns: int, rows: int, low: float, high: float) -> None:
        self.picture, self.columns, self.rows, self.low, self.high = picture, columns, rows, low, high
        self.cells: list[list[Cell]] = [[(" ", "")] * columns for _ in range(rows)]
        if picture.cursor is not None:
            column = _column(picture, picture.cursor, columns)
            for row in range(rows):
                self.cells[row][column] = ("┊", "cursor")

    def dot_x(self, x: float) -> int:
        """Dot column of x, from 0 to 2 * columns - 1; outside of it where x lies outside the chart."""
        span = (self.picture.x_end - self.picture.x_start) or 1.0
        return round((x - self.picture.x_start) / span * (2 * self.columns - 1))

    def dot_y(self, y: float) -> int:
        """Dot row of y, from 0 (top) to 4 * rows - 1."""
        if self.picture.log:
            y = math.log10(y) if y > 0 else self.low
        share = (y - self.low) / ((self.high - self.low) or 1.0)
        return round((1.0 - min(1.0, max(0.0, share))) * (4 * self.rows - 1))

    def line(self, line: Line) -> None:
        """Join a curve's points; where a point stands for several values, show their whole extent."""
        bits: dict[tuple[int, int], int] = {}
        before: tuple[int, int] | None = None
        for x, point in zip(line.xs, line.points, strict=True):
            column = self.dot_x(x)
            if not 0 <= column < 2 * self.columns:
                before = None
                continue
            now = (column, self.dot_y(point.last))
            dots = _segment(before, now) if before is not None else [now]
            if line.style == "raw":
                dots = [*dots, *((column, row) for row in range(self.dot_y(point.high), self.dot_y(point.low) + 1))]
            for dot_column, dot_row in dots:
                cell = (dot_row // 4, dot_column // 2)
                bits[cell] = bits.get(cell, 0) | DOTS[dot_row % 4][dot_column % 2]
            before = now
        for (row, column), value in bits.items():
            self.cells[row][column] = self._with_other(self.cells[row][column], value, line.style, column)

    @staticmethod
    def _with_other(there: Cell, value: int, style: str, column: int) -> Cell:
        """The dots of a curve in a cell; where another strong curve has dots in it, those of both, and the colours take
        turns along the line: neither hides the other.
        """
        other, its = there
        if its not in STRONG or style not in STRONG or its == style:
            return chr(BRAILLE + value), style
        return chr(BRAILLE | value | ord(other) - BRAILLE), its if column // TURN % 2 else style

    def marks(self) -> None:
        """Points of their own."""
        for x, y in self.picture.marks:
            column = _column(self.picture, x, self.columns)
            if 0 <= column < self.columns and math.isfinite(y):
                self.cells[self.dot_y(y) // 4][column] = ("◆", "mark")

    def last_value(self) -> None:
        """The newest value of each strong line, written at its end, or just above or below that: where there is room
        for it, and over nothing that is drawn.
        """
        for line in self.picture.lines:
            if line.style not in STRONG or not line.points:
                continue
            text = self.picture.format(line.points[-1].last)
            end = self.dot_y(line.points[-1].last) // 4
            first = self.dot_x(line.xs[-1]) // 2 + 2
            if first < 0 or first + len(text) > self.columns:
                continue
            for row in (end, end - 1, end + 1, end - 2, end + 2):
                if 0 <= row < self.rows and all(one[0] == " " for one in self.cells[row][first : first + len(text)]):
                    self.cells[row][first : first + len(text)] = [(letter, line.style) for letter in text]
                    break


def _segment(start: tuple[int, int], end: tuple[int, int]) -> Iterable[tuple[int, int]]:
    """The dots between two dots, both included."""
    steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
    return [
        (round(start[0] + (end[0] - start[0]) * step / steps), round(start[1] + (end[1] - start[1]) * step / steps))
        for step in range(steps + 1)
    ]


def _difference(old: list[Cell], new: list[Cell]) -> tuple[int, int]:
    """First and last cell that differ; (0, -1) where none does."""
    changed = [place for place, (one, other) in enumerate(zip(old, new, strict=True)) if one != other]
    return (changed[0], changed[-1]) if changed else (0, -1)


def _runs(cells: list[Cell]) -> Iterable[tuple[str, str]]:
    """Neighbours of one style joined."""
    text, style = "", ""
    for letter, own in cells:
        if own != style and text:
            yield text, style
            text = ""
        style = own
        text += letter
    if text:
        yield text, style
