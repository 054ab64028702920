"""What made somebody hesitate who walked through it without knowing it, for the eighth time."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from pictured import shown, until
from recorded_run import BEGAN, record_run

from loratui.core.smoothing import Bucket
from loratui.runs.events import encode, make
from loratui.tui.app import LoratuiApp
from loratui.tui.common.text import wrap
from loratui.tui.home.compare import CompareScreen
from loratui.tui.training.chart import Line, Picture, draw
from loratui.tui.training.curves import loss_title
from loratui.tui.training.follow import Followed, follow
from loratui.tui.training.news import MARGIN, news
from loratui.tui.training.record import RunRecord
from loratui.tui.training.run_state import facts
from loratui.tui.wizard.draft import Draft, choices_mark
from loratui.tui.wizard.state import WizardState

NAME = "little-model-lora-20261127-0937"


def ended_run(homes: Path, state: str) -> Followed:
    """A run that is over, read."""
    followed = follow(str(record_run(homes / "home", state=state, checkpoint=True).path))
    followed.poll()
    return followed


def rows_at(followed: Followed, width: int) -> list[str]:
    """The rows below the curves."""
    return [row for line in news(followed, width) for row in wrap(line.plain, max(20, width - MARGIN))]


@pytest.mark.parametrize("width", [80, 120])
def test_a_finished_run_names_the_ways_on_from_it(homes: Path, width: int) -> None:
    """The heading promised them, and one alone was named: Merge was looked for, and the way home was not found."""
    rows = rows_at(ended_run(homes, "finished"), width)
    for way in ("a asks it", "x merges, exports or serves it", "^r Home"):
        assert any(way in row for row in rows), rows
    assert any("still falling" in row for row in rows[:3]), "what was found has its place beside them"


@pytest.mark.parametrize(("above", "note"), [(2 << 20, "peak 2.00 MiB above"), (-(2 << 20), "100% of it")])
def test_a_peak_above_the_prediction_is_not_said_to_use_it(above: int, note: str) -> None:
    """Peak memory 609 MiB, predicted 607 MiB 100% used."""
    record, predicted = RunRecord(), 607 << 20
    record.take([make("step", 1.0, step=1, loss=0.1, memory_peak=predicted + above)])
    assert ("predicted", "607 MiB", note) in facts(record, predicted)


async def test_a_stopped_run_resumes_by_one_word_and_shows_that_it_can_be_taken_away(homes: Path) -> None:
    """The dialog said "r goes on", the key bar "r Resume", and "x Take away" was not in it."""
    followed = ended_run(homes, "stopped")
    async with LoratuiApp(screen="training", run=str(followed.run.path)).run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "x Take away")
        assert "r resumes from there" in text and "^r Home" in text and "r Resume" in text, text
        assert "goes on" not in text, text


async def test_what_is_said_of_a_new_run_goes_once_the_cursor_moves(homes: Path) -> None:
    """The cursor was on the new run, and "The cursor stays on" the old one was still said."""
    record_run(homes / "home", name="first", state="finished", created=time.time() - 600)
    async with LoratuiApp(screen="runs").run_test(size=(80, 24)) as pilot:
        await until(pilot, "first")
        await pilot.press("down")
        record_run(homes / "home", name="second", state="finished", created=time.time() - 60)
        await until(pilot, "The cursor stays on first.")
        await pilot.press("up")
        await until(pilot, lambda: "The cursor stays on" not in shown(pilot.app))


@pytest.mark.parametrize(
    ("width", "title"), [(44, f"{NAME} · loss"), (50, f"{NAME} · loss (log)"), (30, "little-m…127-0937 · loss")]
)
def test_the_title_over_the_losses_is_not_cut(width: int, title: str) -> None:
    """`little-model-lora-20261127-0937 · los…` stood there."""
    assert loss_title(NAME, True, width) == title


def test_a_chart_that_is_not_laid_out_yet_cuts_no_title() -> None:
    """`demo-lora-202611…ra-20261127-1108 · l…` stood over the first steps."""
    assert loss_title(NAME, False, 0) == f"{NAME} · loss"


@pytest.mark.parametrize("rows", range(5, 40))
def test_the_labels_of_a_logarithmic_axis_stand_at_even_powers(rows: int) -> None:
    """100, 1, 0.1, 0.001, 0.0001 stood there."""
    line = Line([0.0, 1.0], [Bucket(1e-4, 1e-4, 1e-4), Bucket(100.0, 100.0, 100.0)])
    grid = draw(Picture((line,), log=True, format=lambda value: f"{value:g}"), 40, rows)
    labels = [text for row in grid[:-1] if (text := "".join(cell[0] for cell in row[:8]).split()[:1])]
    powers = [round(math.log10(float(text[0]))) for text in labels if text[0][0].isdigit()]
    assert len(powers) > 1 and len({one - other for one, other in pairwise(powers)}) == 1, powers


async def test_compare_proposes_the_axis_and_offers_no_scrolling_where_all_is_shown(homes: Path) -> None:
    """One tangled line was shown, and page down did nothing."""
    runs = [record_run(homes / "home", name=name, state="finished", total=142) for name in ("first", "second")]
    for run in runs:
        fallen = [make("step", BEGAN + n, step=n, loss=4.0 if n < 10 else 0.001) for n in range(1, 60)]
        run.events_path.write_text("".join(encode(event) + "\n" for event in fallen))
    async with LoratuiApp(screen="runs").run_test(size=(120, 36)) as pilot:
        pilot.app.push_screen(CompareScreen(*runs))
        text = await until(pilot, "g linear axis")
        assert "pgdn scroll" not in text and "0.01" in text, text
        await pilot.press("g")
        await until(pilot, "g log axis")


@pytest.mark.parametrize("own", [True, False])
async def test_training_says_where_the_draft_did_not_make_the_run_that_it_shows(homes: Path, own: bool) -> None:
    """Review had another rate than the run beside it, and nothing said so."""
    followed = ended_run(homes, "finished")
    draft = Draft(model="/models/little", dataset="rows.jsonl", visited=["review", "training"])
    if own:
        draft = replace(draft, run=str(followed.run.path), run_for=choices_mark(draft))
    state = WizardState(homes / "draft.json", draft=draft)
    async with LoratuiApp(screen="training", run=str(followed.run.path), state=state).run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "✓ finished")
        words = "Steps 1 to 5 hold another plan than that of this run."
        assert (words in text) != own and ("What became of the run" in text) == own, text


@pytest.mark.parametrize("step", ["review", "playground"])
async def test_where_the_draft_is_stands_whole_on_its_card(homes: Path, step: str) -> None:
    """`at review · 1 …` stood there."""
    values = {"training.epochs": 2.0}
    draft = Draft(model="/models/little", dataset="rows.jsonl", by_hand=values, step=step, visited=[step])
    state = WizardState(homes / "draft.json", draft=draft)
    async with LoratuiApp(screen="runs", state=state).run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "1 value of yours")
        assert f"│ at {step} " in text, text
