"""A start where another training is at work: which one, what it leaves, and the queue as the way to wait."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pictured import shown, until
from recorded_run import record_run
from textual.widgets import Static
from wizard import choose, settled, wizard

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.queue.room import crowd_of
from loratui.queue.trainings import trainings
from loratui.runs.directory import Run
from loratui.runs.status import write_status
from loratui.runs.waiting import read_queue
from loratui.tui.app import LoratuiApp
from loratui.tui.review.screen import StartButton

STARTED: list[Plan] = []


@pytest.fixture
def at_work(homes: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """A run of this home whose worker's process is there. Nothing that a test starts becomes a real worker."""
    run = record_run(homes / "home", name="older-run", state="running")
    words = [sys.executable, "-c", "import time; time.sleep(120)", "-m", "loratui.worker", "train", str(run.path)]
    process = subprocess.Popen(words)
    monkeypatch.setattr("loratui.queue.wake.wake", lambda: True)
    STARTED.clear()
    monkeypatch.setattr(
        "loratui.tui.wizard.loading.start_run", lambda plan: STARTED.append(plan) or str(homes / "none")
    )
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)
    yield run
    process.kill()
    process.wait()


def on_cpu(folder: Path) -> LoratuiApp:
    app = wizard(folder, screen="review", gpus=0, demo=True)
    choose(app, cpu=True)
    return app


@pytest.mark.parametrize("size", [(80, 24), (120, 36)], ids=lambda size: f"{size[0]}x{size[1]}")
async def test_a_start_beside_a_running_run_asks_first(homes: Path, at_work: Run, size: tuple[int, int]) -> None:
    app = on_cpu(homes)
    async with app.run_test(size=size) as pilot:
        text = await until(pilot, "At work here: older-run (step 142 of 375")
        assert "Q Queue" in text.splitlines()[-1]
        await pilot.press("enter")
        text = await until(pilot, "Another training is at work")
        told = str(app.screen.query_one(".paragraph", Static).render())
        assert "older-run" in told and "of memory; this plan takes up to" in told
        assert "Queue it" in text and "Start it now, beside it" in text and not STARTED
        below = app.screen_stack[-2].query_one(StartButton)
        await until(pilot, lambda: "▸ Start training" in str(below.render()))
        await pilot.press("escape")
        await settled(pilot)
        assert app.screen.name == "review" and not STARTED and not read_queue()
        await pilot.press("enter")
        await until(pilot, "Another training is at work")
        await pilot.press("down", "enter")
        await until(pilot, lambda: len(STARTED) == 1)
        assert not read_queue()


@pytest.mark.parametrize("keys", [("enter", "enter"), ("Q",)], ids=["asked", "by its key"])
async def test_it_waits_in_the_queue_and_is_shown_there(homes: Path, at_work: Run, keys: tuple[str, ...]) -> None:
    app = on_cpu(homes)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "At work here: older-run")
        await pilot.press(keys[0])
        if len(keys) > 1:
            await until(pilot, "Another training is at work")
            await pilot.press(keys[1])
        text = await until(pilot, "at place 1 of the queue")
        (waiting,) = read_queue()
        assert not STARTED and waiting.path == app.state.draft.run
        assert waiting.memory > 0 and Run(Path(waiting.path)).status().state == "queued"
        assert "○              start the worker" in text, "nothing was started for it yet"
        await pilot.press("5")
        await settled(pilot)
        await pilot.press("ctrl+n")
        await settled(pilot)
        assert app.screen.name == "training", "the run of this plan"


async def test_with_nobody_at_work_a_start_starts(homes: Path, at_work: Run) -> None:
    (one,) = trainings()
    os.kill(one.pid, signal.SIGKILL)
    app = on_cpu(homes)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, "▸ Start training")
        await settled(pilot)
        await pilot.press("enter")
        await until(pilot, lambda: len(STARTED) == 1)
        assert "At work here" not in shown(app)


async def test_a_run_that_is_over_is_not_at_work(homes: Path, at_work: Run) -> None:
    """Its process may be there for a while longer: it said `stopped`, and holds up nobody."""
    app = on_cpu(homes)
    async with app.run_test(size=(120, 36)) as pilot:
        await until(pilot, "At work here: older-run")
        await pilot.press("4")
        await until(pilot, lambda: app.screen.name == "recipe")
        status = at_work.status()
        write_status(at_work.status_path, status.model_copy(update={"state": "stopped"}))
        await pilot.press("5")
        await until(pilot, lambda: app.screen.name == "review")
        assert "At work here" not in shown(app), "not even until it is looked again"
        assert trainings() and crowd_of(with_values(Plan(), {"hardware.cpu": True})) is None
        await pilot.press("enter")
        await until(pilot, lambda: len(STARTED) == 1)


def test_who_is_in_the_way_and_what_they_will_still_take(homes: Path, at_work: Run) -> None:
    crowd = crowd_of(with_values(Plan(), {"hardware.cpu": True}))
    assert crowd is not None
    (one,) = crowd.runs
    assert (one.name, one.step, one.steps) == ("older-run", 142, 375)
    assert crowd.growing_bytes == (20 << 20) + 142 * 1024, "peak less what it holds, as its last step told"
