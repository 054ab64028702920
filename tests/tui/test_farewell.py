"""What the terminal is told once the wizard has left it: what goes on, and where lies what was made."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import pytest
from pictured import until
from recorded_run import record_run

from loratui.runs.directory import MERGE_NOTE, Run
from loratui.runs.status import read_status, write_status
from loratui.tui.app import LoratuiApp
from loratui.tui.farewell import farewell
from loratui.tui.start import open_interface


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    return tmp_path


def recorded(home: Path, name: str, state: str, *, made: bool = True, ended: float = 0.0) -> Run:
    """A run of this state. made: with a checkpoint, and where it is finished a result. ended: Unix seconds."""
    run = record_run(home, name, state=state, steps=50, checkpoint=made)
    if state == "finished" and made:
        run.adapter_path.mkdir()
    status = read_status(run.status_path)
    assert status is not None
    write_status(run.status_path, status.model_copy(update={"ended": ended, "heartbeat": ended, "pid": status.pid}))
    return run


def test_each_end_says_where_its_result_lies_and_how_one_comes_back(home: Path) -> None:
    now = time.time()
    states = ("running", "finished", "stopped", "failed")
    runs = {state: recorded(home, f"the-{state}", state, ended=now) for state in states}
    told = {state: farewell([str(run.path)], now - 60) for state, run in runs.items()}
    assert told["running"] == "the-running goes on. Watch it with:\n  loratui attach the-running"
    assert told["finished"].splitlines() == [
        "the-finished is finished. Its adapter is in:",
        f"  {runs['finished'].adapter_path}",
        "Come back with:",
        "  loratui attach the-finished",
    ]
    for state in ("stopped", "failed"):
        assert told[state].splitlines() == [
            f"the-{state} is {state}. Step 50 is in:",
            f"  {runs[state].checkpoints_path / 'checkpoint-50'}",
            "Go on with:",
            f"  loratui resume the-{state}",
        ]
    both = farewell([str(runs["finished"].path), str(runs["running"].path), str(runs["finished"].path)], now - 60)
    assert both == f"{told['finished']}\n{told['running']}"


def test_the_merged_model_of_a_finished_run_is_named_beside_its_adapter(home: Path) -> None:
    now = time.time()
    run = recorded(home, "merged", "finished", ended=now)
    (run.adapter_path / "adapter_model.safetensors").write_bytes(b"")
    alone = farewell([str(run.path)], now - 60).splitlines()
    run.merged_path.mkdir()
    (run.merged_path / "config.json").write_text("{}")
    (run.merged_path / MERGE_NOTE).write_text("{}")
    told = farewell([str(run.path)], now - 60).splitlines()
    assert told == [*alone[:2], "Merged into its base, it is in:", f"  {run.merged_path}", *alone[2:]]


def test_nothing_is_said_where_nothing_was_made_or_all_was_over_before(home: Path) -> None:
    now = time.time()
    for state in ("stopped", "failed", "finished"):
        run = recorded(home, f"empty-{state}", state, made=False, ended=now)
        assert farewell([str(run.path)], now - 60) == ""
    old = recorded(home, "old", "finished", ended=now - 3600)
    gone = str(home / "runs" / "gone")
    assert farewell([str(old.path), gone, ""], now - 60) == ""


@pytest.mark.parametrize("screen", ["training", "playground", "runs"])
async def test_q_leaves_the_words_for_the_terminal(home: Path, screen: str) -> None:
    run = recorded(home, "here", "running", ended=time.time())
    app = LoratuiApp(screen=screen, run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "^q Quit")
        await pilot.press("ctrl+q")
    assert app.farewell == "here goes on. Watch it with:\n  loratui attach here"


async def test_a_run_that_was_resumed_from_home_is_met(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = recorded(home, "there", "running", ended=time.time())
    monkeypatch.setattr("loratui.runs.control.save_now", lambda run: None)
    app = LoratuiApp(screen="runs")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "s Stop")
        assert app.state.run.met == [""]
        await until(pilot, lambda: not app.screen.actions.why_not("save"))  # type: ignore[attr-defined]
        await pilot.press("w")
        await until(pilot, "A checkpoint will be saved")
        assert app.state.run.met == ["", str(run.path)]


@pytest.mark.parametrize("words", ["a goes on.", ""])
def test_they_are_printed_after_the_screen_is_given_back(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str
) -> None:
    order: list[str] = []

    def run(app: LoratuiApp, **options: Any) -> None:
        app.farewell = words
        order.append(capsys.readouterr().out)

    monkeypatch.setattr(LoratuiApp, "run", run)
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)
    assert open_interface(screen="machine") == 0
    assert order == [""] and capsys.readouterr().out == (f"{words}\n" if words else "")
