"""The chart draws what it is given, and repaints only the cells that changed."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from recorded_run import BEGAN, record_run
from textual.app import App, ComposeResult
from textual.geometry import Region

from loratui.core.smoothing import Bucket
from loratui.format import loss_text
from loratui.runs.events import make
from loratui.tui.training.chart import Chart, Line, Picture, _bounds, _labels, draw
from loratui.tui.training.curves import loss_picture, short_number
from loratui.tui.training.follow import follow
from loratui.tui.training.news import news
from loratui.tui.training.record import RunRecord
from work_done import calls_of


def points(values: list[float]) -> list[Bucket]:
    return [Bucket(value, value, value) for value in values]


def falling(count: int, end: float = 100.0) -> Picture:
    xs = [float(x) for x in range(1, count + 1)]
    return Picture(lines=(Line(xs, points([3 * math.exp(-x / 20) for x in xs])),), x_end=end, from_zero=True)


def as_text(grid: list[list[tuple[str, str]]]) -> list[str]:
    return ["".join(letter for letter, _ in row) for row in grid]


def test_a_falling_curve_falls() -> None:
    rows = as_text(draw(falling(100), 60, 12))
    places = [
        next((row for row, text in enumerate(rows[:-1]) if "\u2800" < text[column] <= "\u28ff"), None)
        for column in range(8, 58)
    ]
    drawn = [place for place in places if place is not None]
    assert drawn[0] <= 4  # the axis ends at a round figure above it
    assert drawn[-1] >= 9
    assert drawn == sorted(drawn)
    assert rows[0].strip().startswith("3")
    assert rows[-1].rstrip().endswith("100")


def styles_of(grid: list[list[tuple[str, str]]]) -> list[str]:
    return [style for row in grid[:-1] for letter, style in row if "\u2800" < letter <= "\u28ff"]


def test_of_two_curves_that_lie_on_each_other_both_are_seen() -> None:
    alone = falling(100)
    (curve,) = alone.lines
    both = replace(alone, lines=(Line(curve.xs, curve.points, "second"), curve))
    styles = styles_of(draw(both, 60, 12))
    assert styles.count("second") > 10 and styles.count("smooth") > 10
    assert as_text(draw(both, 60, 12)) == as_text(draw(alone, 60, 12)), "the dots are the same"
    faint = replace(alone, lines=(Line(curve.xs, curve.points, "raw"), curve))
    assert set(styles_of(draw(faint, 60, 12))) == {"smooth"}, "the faint course gives way"


def test_where_two_curves_meet_the_dots_of_both_are_there() -> None:
    xs = [float(x) for x in range(1, 101)]
    level, rising = Line(xs, points([1.0] * 100), "second"), Line(xs, points([x / 50 for x in xs]), "smooth")
    picture = Picture(lines=(level, rising), x_end=100.0, from_zero=True, marks=((1.0, 2.0),))  # one axis for all
    one, other = (dots_of(replace(picture, lines=(each,))) for each in (level, rising))
    assert one.keys() & other.keys()
    assert dots_of(picture) == {cell: one.get(cell, 0) | other.get(cell, 0) for cell in one.keys() | other.keys()}


def dots_of(picture: Picture) -> dict[tuple[int, int], int]:
    """The braille dots of each cell, the last value left out."""
    rows = as_text(draw(replace(picture, format=lambda value: ""), 60, 12))
    return {
        (y, x): ord(letter) - 0x2800
        for y, row in enumerate(rows)
        for x, letter in enumerate(row)
        if "\u2800" < letter <= "\u28ff"
    }


def test_marks_ticks_and_the_last_value() -> None:
    xs = [1.0, 50.0]
    rows = as_text(
        draw(
            Picture(
                lines=(Line(xs, points([2.0, 1.0])),),
                x_end=100,
                marks=((25.0, 1.5),),
                ticks=(50.0,),
                format=lambda value: f"{value:.2f}",
            ),
            60,
            12,
        )
    )
    assert any("◆" in row for row in rows)
    assert "┴" in rows[-1]
    assert any("1.00" in row[20:] for row in rows[:-1])


def test_nothing_and_nonsense_are_drawn_as_nothing() -> None:
    assert len(draw(Picture(), 40, 8)) == 8
    assert len(draw(Picture(), 3, 2)) == 2
    same = Picture(lines=(Line([1.0], points([0.0])),), x_end=1)
    assert all(len(row) == 40 for row in draw(same, 40, 8))
    assert all(len(row) == 40 for row in draw(Picture(lines=(Line([1.0, 2.0], points([0.0, -5.0])),), log=True), 40, 8))


class Alone(App[None]):
    def compose(self) -> ComposeResult:
        yield Chart("loss")


async def test_a_new_point_repaints_a_few_cells(monkeypatch: Any) -> None:
    app = Alone()
    async with app.run_test(size=(80, 24)) as pilot:
        chart = app.query_one(Chart)
        chart.show(falling(60))
        await pilot.pause()
        asked: list[Region] = []
        monkeypatch.setattr(chart, "refresh", lambda *regions, **_: asked.extend(regions))
        chart.show(falling(61))
        assert 0 < sum(region.area for region in asked) < 30
        asked.clear()
        chart.show(falling(61))
        assert asked == []


def test_a_million_steps_draw_in_a_frame() -> None:
    from loratui.runs.events import make

    record = RunRecord()
    record.take([make("started", 0.0, total_steps=1_000_000)])
    step: Any = make("step", 1.0, step=1, loss=1.0)
    for number in range(0, 1_000_000, 10):
        record._take_step(step.model_copy(update={"step": number, "loss": 1.0 + (number % 70) / 100}))
    draw(loss_picture(record), 120, 30)
    calls = calls_of(lambda: draw(loss_picture(record), 120, 30))
    assert calls < 140_000, "some 70,000, of 100,000 points"


@pytest.mark.parametrize("rows", range(3, 40))
@pytest.mark.parametrize(
    ("low", "high"), [(0.0012, 2.9), (0.4, 9.0), (2.2, 2.75), (0.9, 1.1), (1e-7, 40.0), (3.0, 3.0001)]
)
def test_labels_of_an_axis_never_touch(low: float, high: float, rows: int) -> None:
    for log in (True, False):
        course = [Bucket(low, high, low), Bucket(low, low, low)]
        picture = Picture(lines=(Line([1.0, 2.0], course, "smooth"),), x_end=2, log=log, format=short_number)
        labels = _labels(picture, *_bounds(picture), rows)
        places = sorted(labels)
        assert labels and all(later - earlier > 1 for earlier, later in pairwise(places)), labels
        assert len(set(labels.values())) == len(labels)


def test_a_gradient_of_any_size_is_written_short() -> None:
    assert [short_number(value) for value in (1.5e15, 1.97e6, 4.2e10, 0.00051)] == ["1.5e15", "1.97M", "42G", "5.1e-4"]
    edges = (999.7, 9_996.0, 999_700.0, 999_700_000.0, 999.7e9, -999_700.0)
    assert [short_number(value) for value in edges] == ["1,000", "10k", "1M", "1G", "1e12", "-1M"]


def test_a_failure_is_told_once(tmp_path: Path) -> None:
    message = "The gradient of step 20 is not finite: the training diverged."
    told = [
        make("finding", BEGAN + 5, finding="not-finite", severity="error", message=message, step=20),
        make("failed", BEGAN + 6, step=20, message=message),
    ]
    run = record_run(tmp_path, state="failed", steps=20, more=told)
    followed = follow(str(run.path))
    while not followed.whole:
        followed.poll()
    assert sum(line.plain.count(message) for line in news(followed, 200, 6)) == 1


def test_the_loss_at_the_lines_end_is_the_smoothed_loss_that_stands_beside_it() -> None:
    """0.0006 beside a line whose end said 0.001."""
    record = RunRecord()
    record.take([make("started", 0.5, step=0, total_steps=40)])
    record.take([make("step", float(step), step=step, loss=0.00061) for step in range(1, 20)])
    text = "\n".join(as_text(draw(loss_picture(record), 60, 12)))
    assert " 0.0006" in text and loss_text(record.smoothed_loss) == "0.0006"


def test_a_curves_newest_value_is_written_over_nothing_that_is_drawn() -> None:
    """Of two runs the longer one's curve was overprinted by the value at the shorter one's end."""
    xs = list(range(1, 101))
    level = [Bucket(1.0, 1.0, 1.0) for _ in xs]
    longer, shorter = Line(xs, level, "second"), Line(xs[:40], level[:40], "smooth")
    grid = draw(
        Picture(lines=(longer, shorter), x_end=120.0, from_zero=True, format=lambda value: f"{value:.2f}"), 80, 12
    )
    alone = draw(Picture(lines=(longer,), x_end=120.0, from_zero=True, format=lambda value: f"{value:.2f}"), 80, 12)
    dotted = {
        (y, x) for y, row in enumerate(alone) for x, cell in enumerate(row) if cell[1] == "second" and cell[0] > "⠀"
    }
    assert dotted and all(grid[y][x][0] > "⠀" for y, x in dotted)
    written = [
        "".join(cell[0] if cell[1] == style else " " for cell in row) for row in grid for style in ("smooth", "second")
    ]
    assert sum("1.00" in row for row in written) == 2
