"""Runs that learn preferences and mend themselves unattended: memory that is full, and a rate that is far too high."""

from __future__ import annotations

from pathlib import Path

import beside_trl
import pytest
from pair_rows import pairs, write_pairs
from test_train_recover import FULL_AT_STEP_7, worker
from tiny_model import write_tiny_model

from loratui.runs.events import EventTail, Finding, Fix, Step
from loratui.runs.recovery import allow
from loratui.runs.start import create_run

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preferences")
    write_tiny_model(folder / "model")
    write_pairs(folder / "pairs.jsonl", pairs(40))
    both_ways = [
        row for one in pairs(40) for row in (one, one | {"chosen": one["rejected"], "rejected": one["chosen"]})
    ]
    write_pairs(folder / "contradicting.jsonl", both_ways)
    return folder


@pytest.mark.parametrize(("objective", "trainer"), [("dpo", "DPOTrainer"), ("kto", "KTOTrainer")])
def test_where_memory_is_full_smaller_passes_make_the_same_steps(
    files: Path, tmp_path: Path, objective: str, trainer: str
) -> None:
    values = {"training.objective": objective, "training.max_steps": 10, "saving.every_steps": 3}
    plan = beside_trl.plan_of(files / "model", files / "pairs.jsonl", values)
    run = create_run(plan, output=tmp_path / "run")
    allow(run)
    assert worker(run, FULL_AT_STEP_7.replace("SFTTrainer", trainer)) == 0
    events = EventTail(run.events_path).new_events()
    assert run.status().state == "finished", run.log_path.read_text()[-3000:]
    (fix,) = [event for event in events if isinstance(event, Fix)]
    after = run.plan()
    assert fix.reason == "oom" and after.training.batch_size == 2 and after.effective_batch_size == 4
    assert [event.step for event in events if isinstance(event, Step)][-1] == 10


def test_a_rate_that_is_far_too_high_is_lowered_to_the_proposed_one(files: Path, tmp_path: Path) -> None:
    values = {"training.objective": "dpo", "training.max_steps": 80, "training.learning_rate": 1.0}
    whole = {"method.kind": "full", "preference.reference": "precomputed"}
    plan = beside_trl.plan_of(files / "model", files / "contradicting.jsonl", values | whole)
    run = create_run(plan, output=tmp_path / "run")
    allow(run)
    assert worker(run) == 0, run.log_path.read_text()[-3000:]
    events = EventTail(run.events_path).new_events()
    assert {"diverged", "diverging", "loss-nan"} & {e.finding for e in events if isinstance(e, Finding)}
    assert any(isinstance(event, Fix) for event in events) and run.status().state == "finished"
    rate = run.plan().training.learning_rate
    assert rate < 1e-4, "pairs are learnt at far smaller rates than answers"
    last = [event for event in events if isinstance(event, Step)][-1]
    assert last.step == 80 and last.loss is not None and last.loss < 0.75
