"""The start of a run by its stages, its device as bars, and curves that say what they show."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from pictured import shown, until
from recorded_run import BEGAN, record_run
from wizard import machine

from loratui.core.smoothing import Thinned
from loratui.runs.events import encode, make
from loratui.runs.status import Status
from loratui.tui.app import LoratuiApp
from loratui.tui.training.chart import Line, Picture, draw
from loratui.tui.training.curves import lies_on_floor, loss_legend
from loratui.tui.training.gauges import Gauge, gauge_lines
from loratui.tui.training.record import RunRecord
from loratui.tui.training.screen import TrainingScreen
from loratui.tui.training.stages import stage_lines


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    return tmp_path


def picture(values: list[float], *, log: bool = False) -> Picture:
    curve = Thinned()
    for step, value in enumerate(values, start=1):
        curve.add(step, value)
    lines = (Line(curve.xs, curve.points),)
    return Picture(lines=lines, x_end=len(values), log=log, from_zero=True, axis_format=lambda value: f"{value:g}")


@pytest.mark.parametrize("rows", range(4, 30))
@pytest.mark.parametrize("top", [0.03, 0.8, 1.64, 3.27, 11.0])
def test_every_label_is_round_and_stands_at_its_value(rows: int, top: float) -> None:
    """The middle one was whatever the middle row came to, such as 1.64."""
    drawn = draw(picture([top * math.exp(-step / 20) for step in range(200)]), 70, rows)
    found = {}
    for row, line in enumerate(drawn[:-1]):
        label = re.match(r"\s*([\d.e-]+)", "".join(letter for letter, style in line if style == "axis"))
        if label:
            found[row] = float(label[1])
    low, high = min(found.values()), max(found.values())
    assert len(found) >= 2
    for row, value in found.items():
        digits = f"{value:.6e}".partition("e")[0].rstrip("0").rstrip(".")
        assert len(digits.replace(".", "")) <= 3, value
        assert abs((high - value) / (high - low) * (rows - 2) - row) <= 0.5 + 1e-9


def test_a_logarithmic_axis_has_powers_of_ten() -> None:
    drawn = draw(picture([3.0 * math.exp(-step / 20) + 0.011 for step in range(200)], log=True), 70, 16)
    labels = ["".join(letter for letter, style in line if style == "axis").strip() for line in drawn[:-1]]
    assert [label for label in labels if label] == ["10", "1", "0.1", "0.01"]


def test_a_curve_on_the_floor_is_known() -> None:
    assert lies_on_floor([3.0 * math.exp(-step / 10) + 0.01 for step in range(200)])
    assert not lies_on_floor([3.0 - step / 100 for step in range(200)])
    assert not lies_on_floor([3.0 * math.exp(-step / 10) for step in range(10)]), "too few to say"
    assert not lies_on_floor([0.0] * 100)


@pytest.mark.parametrize("size", [(80, 24), (120, 36), (200, 50)], ids=str)
async def test_the_axis_proposes_itself_and_the_switch_is_seen(home: Path, size: tuple[int, int]) -> None:
    run = record_run(home, steps=340)
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        told = ("loss (log)", "g: linear", "◆ held out")
        await until(pilot, lambda: all(words in shown(app) for words in told))
        await pilot.press("g")
        await until(pilot, lambda: "loss (log)" not in shown(app) and "g: log axis" in shown(app))
        await pilot.press("g")
        await until(pilot, "loss (log)")


def test_the_legend_names_what_is_drawn_and_nothing_else() -> None:
    record = RunRecord()
    assert "held out" not in loss_legend(record, False, chosen=False, width=200)
    record.take([make("eval", BEGAN, step=1, loss=1.0), make("checkpoint", BEGAN, step=1, path="c")])
    whole = loss_legend(record, False, chosen=False, width=200)
    assert all(word in whole for word in ("each step", "smoothed", "◆ held out", "┴ saved", "g: log axis"))
    for width in range(24, 120):
        told = loss_legend(record, True, chosen=False, width=width)
        assert len(told) <= width - 4 and "g: linear" in told
        if width >= 44:  # a chart at 80 columns
            assert all(mark in told for mark in ("⠒", "━", "◆", "┴", "held out", "saved")), (width, told)


async def test_the_start_tells_its_stages(home: Path) -> None:
    """It said "starting", and nothing of what it was at."""
    run = record_run(home, state="starting", steps=0)
    run.events_path.write_text(
        "".join(
            encode(event) + "\n"
            for event in (
                make("phase", BEGAN, phase="rehearse", message="Rehearsing: two steps"),
                make("phase", BEGAN + 41, phase="load_model", message="Loading acme/model"),
                make("phase", BEGAN + 53, phase="tokenise", message="2,000 rows tokenised", done=2000),
            )
        )
    )
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "tokenise the rows")
        lines = text.splitlines()
        assert any("✓ 41 s" in line and "rehearse" in line for line in lines)
        assert any("✓ 12 s" in line and "load the model" in line for line in lines)
        assert any("○" in line and "make the first step" in line for line in lines)
        assert "2,000 rows" in text
        with run.events_path.open("a") as file:
            file.write(encode(make("phase", BEGAN + 60, phase="train", message="Training")) + "\n")
            file.write(encode(make("step", BEGAN + 61, step=1, epoch=0.1, loss=2.0)) + "\n")
        await until(pilot, "step 1")
        assert app.screen.query_one("#loss").display and not app.screen.query_one("#stages").display


def test_a_share_is_told_where_the_whole_is_known() -> None:
    record = RunRecord()
    record.take([make("phase", BEGAN, phase="load_model", message="Loading", done=40, of=100)])
    (line, *_) = [
        one.plain for one in stage_lines(record, Status(pid=1), now=BEGAN + 7) if "load the model" in one.plain
    ]
    assert "40%" in line and "7 s" in line


async def test_a_run_on_the_cpu_shows_cpu_and_ram(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = record_run(home, values={"hardware.cpu": True})
    monkeypatch.setattr(TrainingScreen, "_machine", property(lambda self: machine()))
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "RAM")
        assert "32.0 of 128.0 GiB" in text and re.search(r"CPU\s+[█▏▎▍▌▋▊▉·]*\s+\d+ %", text)


@pytest.mark.parametrize("width", range(10, 60))
def test_bars_keep_to_the_width_and_begin_and_end_below_one_another(width: int) -> None:
    found = [Gauge("memory", 7, 9, "7 of 9 GiB", warning=True), Gauge("load", 90, 100, "90 %")]
    drawn = [line.plain for line in gauge_lines(found, width)]
    assert all(len(line) <= max(width, 8 + len("7 of 9 GiB")) for line in drawn)
    assert ("█" in drawn[0]) == ("█" in drawn[1]) == (width >= 23)
    assert drawn[0].find("7 of") == drawn[1].find("90 %")


@pytest.mark.parametrize("size", [(200, 50), (160, 45)], ids=str)
async def test_below_the_stages_a_wide_terminal_shows_what_the_run_trains_with(
    home: Path, size: tuple[int, int]
) -> None:
    """Five lines stood in a box of thirty-three rows."""
    run = record_run(home, state="starting", steps=0)
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=size) as pilot:
        text = await until(pilot, "Minimum rate")
        assert "what this run trains with" in text and "make the first step" in text
        stages = app.screen.query_one("#stages")
        rows = text.splitlines()[stages.region.y + 1 : stages.region.bottom - 1]
        assert len([row for row in rows if row[4:60].strip()]) > 0.7 * len(rows)
        assert "Seed" in text if size[0] == 200 else rows[-1].count("…") == 1  # not all of them have room
        await pilot.resize_terminal(80, 24)
        assert "what this run trains with" not in await until(pilot, "make the first step")
