"""After more epochs: the plan that runs now is the one that is told, and weights of before are told as such."""

from __future__ import annotations

from pathlib import Path

import pytest
from pictured import shown, until
from recorded_run import record_run

from loratui.core.plan_text import plan_to_toml, with_values
from loratui.runs.directory import Run
from loratui.runs.resume import longer
from loratui.tui.app import LoratuiApp
from loratui.tui.training.follow import Followed
from loratui.tui.training.run_state import headline


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    return tmp_path


def lengthen(run: Run, epochs: float) -> None:
    """The plan as More epochs writes it."""
    plan = run.plan()
    run.plan_path.write_text(plan_to_toml(with_values(plan, longer(run, plan, epochs))), encoding="utf-8")


def test_the_number_of_epochs_follows_the_plan_that_runs_now(home: Path) -> None:
    run = record_run(home, state="running", values={"training.epochs": 3.0})
    followed = Followed(run)
    followed.poll()
    assert "of 3" in headline(followed).plain.split("epoch ")[1]
    assert not followed.poll(), "nothing is new"
    lengthen(run, 397)
    assert followed.poll(), "another plan is news"
    assert headline(followed).plain.split("epoch ")[1].split("   ")[0].endswith("of 400")


async def test_a_screen_that_stays_open_tells_the_new_number_of_epochs(home: Path) -> None:
    run = record_run(home, state="running", values={"training.epochs": 3.0})
    async with LoratuiApp(screen="training", run=str(run.path)).run_test(size=(120, 36)) as pilot:
        await until(pilot, "1.14 of 3")
        lengthen(run, 397)
        await until(pilot, "1.14 of 400")
        assert "✗" not in shown(pilot.app)
