"""The whole road by keys alone, at 80 × 24: from `loratui --demo` to an answer of the adapter it trained."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from console import Console

from waiting import PATIENCE_SECONDS, wait_for

pytestmark = [pytest.mark.terminal, pytest.mark.timeout(420)]

Start = Callable[..., Console]

QUESTION = "Nadia Weber called on Monday and ordered 4 green lamps for 52 euros."


def the_run(home: Path) -> Path:
    (run,) = (home / "runs").iterdir()
    return run


def state(run: Path) -> str:
    return str(json.loads((run / "status.json").read_text())["state"])


def wait_for_step(run: Path, number: int) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        steps = [
            one for one in map(json.loads, (run / "events.jsonl").read_text().splitlines()) if one["type"] == "step"
        ]
        if steps and steps[-1]["step"] >= number:
            return
        time.sleep(0.2)
    raise AssertionError(f"no step {number}: {(run / 'worker.log').read_text()[-500:]}")


def test_from_the_demo_to_an_answer(start: Start, home: Path) -> None:
    wizard = start("--demo")
    wizard.until("What the training will run on")
    wizard.until("fits")
    for title in (
        "The model that will learn",
        "What it will learn from",
        "How it will learn",
        "What will happen, and what it takes",
    ):
        wizard.press("ctrl+n")
        wizard.until(title)
    wizard.press("enter")
    wizard.until("running", "evaluating")
    run = the_run(home)

    # Quit in the middle: the run goes on.
    wait_for_step(run, 5)
    wizard.press("q")
    assert wizard.wait() == 0
    left = wizard.raw.decode("utf-8", "replace").rpartition("\x1b[?1049l")[2]
    told = [line.strip() for line in left.splitlines()]
    assert any(line.endswith(f"{run.name} goes on. Watch it with:") for line in told), left  # codes stand before it
    assert f"loratui attach {run.name}" in told, left
    before = len((run / "events.jsonl").read_text().splitlines())
    assert state(run) != "finished"
    wait_for(lambda: len((run / "events.jsonl").read_text().splitlines()) > before, "its next event")

    # Come back, and kill the interface: nothing changes for the run.
    again = start("--demo")
    again.until("running", "evaluating", "finished")
    os.kill(again.pid, signal.SIGKILL)
    again.wait()
    assert state(run) in ("running", "evaluating", "saving", "finished")

    # Come back once more: the run is there, whole, and ends.
    last = start("attach", columns=80, rows=24)
    last.until("✓ finished", seconds=300)
    last.press("a")
    last.until("base")
    last.type(QUESTION)
    last.press("enter")
    last.until('"name"')
    last.until('"Monday"}')
    assert '"Nadia Weber"' in last.text
    last.press("escape", "ctrl+q")
    last.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_interface_ends_well_and_keeps_the_draft(start: Start, home: Path, number: signal.Signals) -> None:
    wizard = start("--demo")
    wizard.until("What the training will run on")
    wizard.press("ctrl+n")
    wizard.until("The model that will learn")
    wizard.signal(number)
    assert wizard.wait() == 128 + number
    if number == signal.SIGTERM:
        assert b"\x1b[?1049l" in wizard.raw, "the alternate screen was not given back"
    again = start("--demo")
    again.until("The model that will learn")
