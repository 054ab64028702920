"""A finished run whose loss blew up: its screen says so, and the fix that it offers is followed to its end by key."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
from pictured import shown, until

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.paths import demo_dataset_path, demo_model_path
from loratui.runs.directory import Run
from loratui.runs.events import Event, EventTail, Finding, Fix, FixOutcome, Started, Step
from loratui.runs.listing import list_runs
from loratui.runs.start import create_run, worker_command, worker_environment
from loratui.tui.app import LoratuiApp

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]
TIMEOUT = 300.0
BLIND = """
from loratui.core.diagnosis.divergence import DivergenceWatch
from loratui.worker.training import session
DivergenceWatch.evaluated = DivergenceWatch.diverged = lambda *arguments, **options: False
session.spoilt_at_the_end = lambda *arguments: None
emit = session.Journal.emit
session.Journal.emit = lambda self, kind, **fields: emit(
    self, kind, **{name: value for name, value in fields.items() if name != "judged"}
)
"""
"""What a worker of earlier versions did not see."""


def train(run: Run, site: str = "") -> int:
    """site: what Python reads when it starts."""
    environment = worker_environment(run.plan()) | {"OMP_NUM_THREADS": "1"}
    if site:
        folder = run.path.parents[1] / "site"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(site)
        environment["PYTHONPATH"] = f"{folder}:{environment.get('PYTHONPATH', '')}"
    with run.log_path.open("ab") as log:
        return subprocess.run(
            worker_command(run),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            timeout=TIMEOUT,
            check=False,
        ).returncode


def far_too_fast(folder: Path) -> Run:
    values: dict[str, Any] = {
        "model.id": str(demo_model_path()),
        "model.dtype": "fp32",
        "dataset.path": str(demo_dataset_path()),
        "dataset.eval_count": 16,
        "dataset.split_by": "order",
        "training.precision": "fp32",
        "training.batch_size": 8,
        "training.accumulation": 1,
        "training.max_length": 128,
        "training.max_steps": 18,
        "training.warmup_steps": 0,
        "training.learning_rate": 0.9,
        "evaluation.every_steps": 6,
        "evaluation.batch_size": 16,
        "evaluation.patience": 3,
        "saving.every_steps": 6,
        "hardware.cpu": True,
    }
    return create_run(with_values(Plan(), values), output=folder)


def told(run: Run, kind: type[Event]) -> list[Any]:
    return [event for event in EventTail(run.events_path).new_events() if isinstance(event, kind)]


def test_its_worker_calls_a_blown_up_run_no_success(tmp_path: Path) -> None:
    run = far_too_fast(tmp_path / "run")
    assert train(run) == 1 and run.status().state == "failed"
    (found,) = told(run, Finding)
    assert found.finding == "diverged" and found.fixes[0]["restart"]
    assert "diverged" in run.status().message


async def test_the_fix_of_a_finished_run_that_diverged_is_followed_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    run = far_too_fast(tmp_path / "runs" / "blown")
    assert train(run, BLIND) == 0 and run.status().state == "finished"
    assert [one.ruin.word for one in list_runs() if one.ruin] == ["diverged"], "the list says so too"
    app = LoratuiApp(screen="training", run=str(run.path))
    async with app.run_test(size=(80, 24)) as pilot:
        text = await until(pilot, "f Fix")
        assert "✗ finished, but diverged" in text and "✓" not in text and "s Stop" not in text
        assert "The training diverged" in text or "what the base knew is lost" in text
        await pilot.press("f")
        await until(pilot, "with the proposed learning rate")
        await pilot.press("escape")
        await until(pilot, "f Fix")  # the keys come back
        await pilot.press("f")
        await until(pilot, "with the proposed learning rate")
        await pilot.press("enter")
        await until(pilot, lambda: bool(told(run, FixOutcome)), TIMEOUT)
        await until(pilot, "✓ 18 steps")
        assert "diverged" not in shown(app).replace("diverged-", "")
    (fix,) = told(run, Fix)
    old, new = fix.changes["training.learning_rate"]
    assert old == 0.9 and new < 0.01 and (fix.start, fix.reason) == ("anew", "diverging")
    starts, steps = told(run, Started), told(run, Step)
    after = [step for step in steps if step.time > fix.time]
    assert starts[-1].step == 0 and after[0].step == 1
    assert max(step.learning_rate for step in after) == pytest.approx(new) and len(after) == 18
    assert told(run, FixOutcome)[-1].helped and run.status().state == "finished"
    assert (run.path / "earlier" / "checkpoints").is_dir(), "what it made before is kept"
