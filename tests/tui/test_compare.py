"""Two runs on one chart: what of the axis is shown, which keys change that, and which words are explained."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import shown, until
from recorded_run import record_run
from textual.containers import VerticalScroll

from loratui.core.glossary import TERMS
from loratui.runs.directory import Run
from loratui.tui.app import LoratuiApp
from loratui.tui.home.compare import CompareScreen
from loratui.tui.training.chart import Chart
from loratui.tui.training.curves import first_steps

SIZES = [(80, 24), (120, 36)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    return tmp_path


def short_and_long(home: Path, state: str = "finished") -> tuple[Run, Run]:
    total = 20 if state == "finished" else 400
    short = record_run(home, "short", state=state, steps=20, total=total, values={"lora.r": 4})
    return short, record_run(home, "long", state="finished", steps=400, total=400)


def footer(app: LoratuiApp) -> str:
    return shown(app).rstrip().splitlines()[-1]


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_a_short_run_is_read_beside_a_long_one(home: Path, size: tuple[int, int]) -> None:
    """Its curve stood in the left twentieth of the chart."""
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=size) as pilot:
        app.push_screen(CompareScreen(*short_and_long(home)))
        text = await until(pilot, "steps 0 to 20 of 400, in both")
        assert "Z all steps" in text and "z first steps" not in text
        chart = app.screen.query_one("#compared", Chart)
        assert chart.picture.x_end == 20
        axis = next(line for line in text.splitlines() if "─20 " in line)
        drawn = [line for line in text.splitlines() if any("\u2801" <= one <= "\u28ff" for one in line)]
        last = max(at for line in drawn for at, one in enumerate(line) if "\u2801" <= one <= "\u28ff")
        assert last > axis.index("─20 ") - 2, "to the right end"
        await until(pilot, lambda: "Z All steps" in footer(app))
        await pilot.press("Z")
        text = await until(pilot, "z first steps")
        assert chart.picture.x_end == 400 and "steps 0 to" not in text
        await until(pilot, lambda: "z First steps" in footer(app) and "Z " not in footer(app))
        await pilot.press("z")
        await until(pilot, lambda: chart.picture.x_end == 20)


@pytest.mark.parametrize("state", ["running", "stopped"])
async def test_a_run_that_still_trains_is_shown_on_its_whole_axis_unless_one_asks(home: Path, state: str) -> None:
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(120, 36)) as pilot:
        app.push_screen(CompareScreen(*short_and_long(home, state)))
        await until(pilot, "z first steps" if state == "running" else "Z all steps")
        chart = app.screen.query_one("#compared", Chart)
        assert chart.picture.x_end == (400 if state == "running" else 20)
        await pilot.press("z" if state == "running" else "Z")
        await until(pilot, lambda: chart.picture.x_end == (20 if state == "running" else 400))


async def test_runs_of_one_length_are_offered_no_part_of_it(home: Path) -> None:
    runs = [record_run(home, name, state="finished", steps=100, total=100) for name in ("first", "second")]
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(CompareScreen(*runs))
        text = await until(pilot, "axis · esc closes")
        assert "first steps" not in text and "First steps" not in text


def test_where_the_axis_ends() -> None:
    assert first_steps([20.0, 200.0], 200.0) == 20.0
    assert first_steps([60.0, 200.0], 200.0) is None
    assert first_steps([0.0, 200.0], 200.0) is None, "nothing is drawn of it yet"
    assert first_steps([], 1.0) is None


async def test_the_footer_names_the_axis_that_the_key_leads_to(home: Path) -> None:
    """It said `Log axis` also where the axis was logarithmic."""
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(CompareScreen(*short_and_long(home)))
        await until(pilot, lambda: "g Log axis" in footer(app))
        await pilot.press("g")
        await until(pilot, lambda: "g Linear axis" in footer(app) and "g linear axis" in shown(app))
        await pilot.press("g")
        await until(pilot, lambda: "g Log axis" in footer(app))


async def test_what_scrolls_scrolls_by_pages_too(home: Path) -> None:
    app = LoratuiApp(screen="runs")
    values = {
        "training.learning_rate": 0.001,
        "training.epochs": 2.0,
        "training.scheduler": "constant",
        "lora.alpha": 9,
    }
    other = record_run(home, "other", state="finished", steps=50, total=50, values={"lora.r": 32, **values})
    async with app.run_test(size=(60, 15)) as pilot:
        app.push_screen(CompareScreen(short_and_long(home)[0], other))
        await until(pilot, "↑ ↓ pgdn scroll")
        scroll = app.screen.query_one(VerticalScroll)
        await pilot.press("pagedown")
        await until(pilot, lambda: scroll.scroll_y > 0)
        await pilot.press("pageup")
        await until(pilot, lambda: scroll.scroll_y == 0)


async def test_the_unit_is_explained_where_it_stands_until_it_was_read(
    home: Path, monkeypatch: pytest.MonkeyPatch, new_here: None
) -> None:
    from loratui.tui.home import compare

    app = LoratuiApp(screen="runs")
    runs = [
        record_run(home, name, state="finished", steps=100, total=100, values={"lora.r": rank})
        for name, rank in (("first", 8), ("second", 16))
    ]
    for run in runs:
        run.fingerprint_path.write_text('{"data": {"held_out": "same", "digest": 2}}')
    monkeypatch.setattr(compare, "READ_SECONDS", 0.0)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "first")
        for new in (True, False):
            app.push_screen(CompareScreen(*runs))
            await until(pilot, "axis · esc closes")
            verdict = str(app.screen.query_one("#verdict").render())
            assert "nats a token" in verdict and (TERMS["nats"].line in verdict) == new
            await pilot.press("f1")
            await until(pilot, "Two runs compared: help")
            assert TERMS["nats"].line in " ".join(str(app.screen.query_one("#words").render()).split())
            await pilot.press("escape", "escape")
            await until(pilot, lambda: app.screen.name == "runs")


async def test_a_sentence_over_the_first_steps_says_that_the_end_is_not_shown(home: Path) -> None:
    """It called one run better while its line lay above the other's, in a chart of four rows over two empty ones."""
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        app.push_screen(CompareScreen(*short_and_long(home)))
        text = await until(pilot, "The chart shows the first 20 of 400 steps: Z shows the end.")
        lines = text.splitlines()
        assert lines[22].lstrip().startswith("╰"), text
        assert app.screen.query_one("#compared", Chart).size.height >= 8
        await pilot.press("Z")
        await until(pilot, lambda: "The chart shows the first" not in shown(app))
        await pilot.press("z")
        await until(pilot, "The chart shows the first 20 of 400 steps")


@pytest.mark.parametrize("size", SIZES, ids=str)
async def test_whose_colour_is_whose_stays_while_one_scrolls(home: Path, size: tuple[int, int]) -> None:
    values = {"training.learning_rate": 0.001, "training.epochs": 2.0, "lora.alpha": 9, "training.seed": 3}
    values |= {"training.warmup_steps": 9, "lora.dropout": 0.1, "training.weight_decay": 0.1, "saving.keep": 1}
    other = record_run(home, "other", state="finished", steps=50, total=50, values=values)
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=size) as pilot:
        app.push_screen(CompareScreen(short_and_long(home)[0], other))
        await until(pilot, "Best held-out")
        scroll = app.screen.query_one(VerticalScroll)
        await pilot.press("end")
        await until(pilot, lambda: scroll.scroll_y == scroll.max_scroll_y)
        assert scroll.max_scroll_y > 0 or size[1] > 24
        text = shown(app)
        assert "━━ short" in text and "━━ other" in text, text
