"""The monitor's figures stand with what they are of, and its words with the state that the run is in."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner
from pictured import until
from recorded_run import BEGAN, record_run

from loratui.commands.tree import loratui
from loratui.core.early_stopping import UNDECIDED, Change, undecided_words
from loratui.runs.events import Eval, Event, Finished, make
from loratui.runs.follow import event_line
from loratui.tui.app import LoratuiApp
from loratui.tui.training.figures import fitting_figures
from loratui.tui.training.history_lines import history_lines
from loratui.tui.training.record import RunRecord
from loratui.tui.training.run_state import finished_words


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    return tmp_path


def asked(generated: int, share: float = 0.12) -> Event:
    return make("eval", BEGAN + 50, step=150, loss=0.2, exact_match=share, rows=40, generated=generated)


def test_exact_match_stands_with_the_rows_that_were_asked() -> None:
    record = RunRecord()
    record.take([make("step", BEGAN, step=150, loss=0.3), asked(25)])
    ended = make("finished", BEGAN + 60, step=150, seconds=60.0, result="adapter", result_step=150)
    assert isinstance(ended, Finished)
    assert "exact match 12% of 25 rows" in finished_words(ended, record)
    assert any("12% of 25 rows" in line.plain for line in fitting_figures(record, None, 30, 99))
    assert any("exact 12% of 25 rows" in line.plain for line in history_lines(record, 52, 9))
    narrow = [line.plain for line in history_lines(record, 30, 9)]
    assert any(line.endswith("best") for line in narrow) and all(len(line) <= 30 for line in narrow)
    event = asked(1, 1.0)
    assert isinstance(event, Eval) and "exact match 100% of 1 row" in event_line(event)


def test_speed_stands_with_its_unit_where_lines_run_short() -> None:
    record = RunRecord()
    record.take([make("step", BEGAN, step=150, loss=0.3, tokens=9_000_000, tokens_per_second=14_632.0)])
    for height in range(4, 20):
        lines = [line.plain for line in fitting_figures(record, None, 30, height)]
        told = next(line for line in lines if "14,632" in line)
        assert re.search(r"tokens/s 14,632|14,632 tokens/s", told), told


@pytest.mark.parametrize(
    ("state", "past"),
    [("finished", "training went on, and the checkpoint with the lowest loss is the result."), ("stopped", "went on.")],
)
async def test_what_was_foretold_of_a_run_that_is_over_is_past(home: Path, state: str, past: str) -> None:
    few = Change(step=40, before=2.0, difference=0.05, low=0.012, high=0.088, rows=3)
    noise = make("finding", BEGAN + 40, finding=UNDECIDED, severity="info", step=140, message=undecided_words(3, few))
    run = record_run(home, state=state, more=[noise])
    told = CliRunner().invoke(loratui, ["runs", "findings", run.name]).output
    assert past in told and "goes on" not in told and "will be" not in told, told
    async with LoratuiApp(screen="training", run=str(run.path)).run_test(size=(200, 50)) as pilot:
        text = await until(pilot, "tell that from chance")
        assert past in " ".join(text.split()) and "training goes on" not in text
