"""A line of the list keeps its columns whatever the state, and a run tells what was made of its result."""

from __future__ import annotations

import time
from pathlib import Path
from typing import get_args

import pytest
from pictured import until
from recorded_run import record_run

from loratui.runs.states import State
from loratui.tui.app import LoratuiApp
from loratui.tui.home.lines import heading, row
from loratui.tui.home.reading import Looker
from loratui.tui.home.run_list import RunList


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("width", [70, 110])
def test_every_name_stands_under_its_heading(home: Path, width: int) -> None:
    for state in get_args(State):
        record_run(home, f"run-{state}", state=state)
    lines = Looker().look().lines
    assert len(lines) == len(get_args(State))
    for line in lines:
        drawn = row(line, width).plain
        assert drawn.index(line.summary.name) == heading(width).index("run"), drawn
        assert len(drawn) == len(heading(width))


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_what_was_merged_or_written_as_gguf_is_told(home: Path, size: tuple[int, int]) -> None:
    began = time.time() - 600
    run = record_run(home, "taken", state="finished", created=began)
    async with LoratuiApp(screen="runs").run_test(size=size) as pilot:
        text = await until(pilot, "✓ finished   step 142")
        assert "merged" not in text
        for folder, name in ((run.adapter_path, "adapter_model.safetensors"), (run.merged_path, "config.json")):
            folder.mkdir()
            (folder / name).touch()
        (run.path / "taken-Q4_K_M.gguf").touch()
        await until(pilot, "✓ finished, merged and as GGUF")
        assert pilot.app.screen.query_one(RunList).chosen is not None


def test_a_run_that_goes_on_tells_nothing_of_what_an_earlier_end_left(home: Path) -> None:
    run = record_run(home, "again", state="running")
    run.merged_path.mkdir()
    assert Looker().look().lines[0].taken == ()
