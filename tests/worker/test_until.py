"""A worker that is to train until a step evaluates, saves and stops there, and going on is the uninterrupted run."""

from __future__ import annotations

from pathlib import Path

import pytest
from tiny_model import write_rows, write_tiny_model

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.runs import row_losses
from loratui.runs.control import wait_ended
from loratui.runs.directory import Run
from loratui.runs.events import Eval, EventTail, Started, Step
from loratui.runs.start import begin_run, create_run, start_worker

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    folder = tmp_path_factory.mktemp("until")
    model, rows = write_tiny_model(folder / "model"), write_rows(folder / "rows.jsonl", 60)
    return with_values(
        Plan(),
        {
            "model.id": str(model),
            "model.dtype": "fp32",
            "dataset.path": str(rows),
            "dataset.eval_fraction": 0.2,
            "training.precision": "fp32",
            "training.max_length": 64,
            "training.accumulation": 2,
            "training.max_steps": 12,
            "training.group_by_length": True,
            "lora.dropout": 0.1,
            "evaluation.every_steps": 12,
            "evaluation.batch_size": 4,
            "hardware.cpu": True,
        },
    )


def until(run: Run, step: int) -> None:
    start_worker(run, until=step)
    ended(run)


def ended(run: Run) -> str:
    status = wait_ended(run, 120)
    assert status.state in ("stopped", "finished"), (status, run.log_path.read_text()[-2000:])
    return status.state


def told(run: Run, kind: type) -> list:
    return [one for one in EventTail(run.events_path).stream() if isinstance(one, kind)]


def test_stopped_at_two_steps_and_gone_on_it_is_the_uninterrupted_run(plan: Plan, tmp_path: Path) -> None:
    whole, _ = begin_run(plan, output=tmp_path / "whole", rehearse=False)
    assert ended(whole) == "finished"
    run = create_run(plan, output=tmp_path / "trial")
    for step in (3, 7):
        until(run, step)
        assert run.status().state == "stopped"
        assert run.last_checkpoint() == run.checkpoints_path / f"checkpoint-{step}"
        assert told(run, Eval)[-1].step == step
        rows = row_losses.read(run, step)
        assert rows is not None and len(rows.nll) == told(run, Eval)[-1].rows
        assert rows.loss == pytest.approx(told(run, Eval)[-1].loss, abs=1e-4)
    until(run, 7)  # nothing is left of that: neither a step nor an evaluation is made again
    assert [one.step for one in told(run, Eval)] == [0, 3, 7]
    start_worker(run)
    assert ended(run) == "finished"
    assert [one.step for one in told(run, Step)] == list(range(1, 13)), "nothing is trained twice"
    assert [(one.loss, one.grad_norm) for one in told(run, Step)] == [
        (one.loss, one.grad_norm) for one in told(whole, Step)
    ]
    assert [one.step for one in told(run, Started)] == [0, 3, 7, 7]
    adapters = [one.adapter_path / "adapter_model.safetensors" for one in (whole, run)]
    assert adapters[0].read_bytes() == adapters[1].read_bytes()
    assert row_losses.read(run, 12) == row_losses.read(whole, 12), "the same rows in the same order"


def test_a_checkpoint_of_that_step_without_an_evaluation_is_evaluated_and_not_trained(
    plan: Plan, tmp_path: Path
) -> None:
    saved = with_values(plan, {"saving.every_steps": 2})
    run = create_run(saved, output=tmp_path / "saved")
    until(run, 5)
    start_worker(run, until=6)
    assert ended(run) == "stopped"
    events = run.events_path.read_text().splitlines()
    run.events_path.write_text("\n".join(one for one in events if not ('"eval"' in one and '"step":6' in one)) + "\n")
    until(run, 6)
    assert [one.step for one in told(run, Step)] == [1, 2, 3, 4, 5, 6]
    assert [one.step for one in told(run, Eval)] == [0, 5, 6]


def test_rows_of_a_torn_line_are_passed_over(tmp_path: Path) -> None:
    run = Run(tmp_path)
    row_losses.keep(run, 2, row_losses.RowLosses([1.0, 3.0], [1, 1]))
    with (tmp_path / row_losses.NAME).open("a") as file:
        file.write('{"step": 4, "nll": [1.0')
    row_losses.keep(run, 6, row_losses.RowLosses([2.0], [4]))
    assert row_losses.read(run, 2) == row_losses.RowLosses([1.0, 3.0], [1, 1])
    assert row_losses.read(run, 4) is None
    assert row_losses.read(run, 6) == row_losses.RowLosses([2.0], [4])
    assert row_losses.read(run, 6).loss == 0.5  # type: ignore[union-attr]
