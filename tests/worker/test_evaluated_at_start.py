"""What a run begins with is evaluated once, before its first step, and nothing that comes later follows from it."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import beside_trl
import pytest
from judged_rows import judged
from pair_rows import pairs, write_pairs
from test_preference_run import execute, of_kind, weights
from tiny_model import write_rows, write_tiny_model

from loratui.core.plan import Plan
from loratui.runs import row_losses
from loratui.runs.checkpoints import MANIFEST
from loratui.runs.course import read_course
from loratui.runs.directory import Run
from loratui.runs.events import EventTail
from loratui.runs.start import create_run
from loratui.runs.verdict import worse_than_base
from loratui.worker.training.callbacks import RunCallback
from loratui.worker.training.journal import Journal
from loratui.worker.training.session import Session
from loratui.worker.training.signals import Requests, StopRequestedError
from loratui.worker.training.trainer import Obedient

pytestmark = pytest.mark.worker
OBJECTIVES = ("sft", "dpo", "orpo", "kto")
BEGUN = {"dpo": math.log(2), "kto": 0.5}
"""Losses of a model that is its own reference."""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rows")
    write_tiny_model(folder / "model")
    write_rows(folder / "sft.jsonl", 30)
    for name in ("dpo", "orpo"):
        write_pairs(folder / f"{name}.jsonl", pairs(30))
    write_pairs(folder / "kto.jsonl", judged(30))
    return folder


def plan_of(files: Path, objective: str, changes: dict[str, Any] | None = None) -> Plan:
    values: dict[str, Any] = {
        "dataset.eval_fraction": 0.2,
        "training.objective": objective,
        "training.max_length": 64,
        "training.max_steps": 6,
        "training.learning_rate": 2e-3,
        "evaluation.every_steps": 2,
        "evaluation.batch_size": 4,
        "saving.every_steps": 2,
        "saving.keep": 5,
    }
    if objective == "sft":
        values["lora.dropout"] = 0.1  # draws from chance at every step
    return beside_trl.plan_of(files / "model", files / f"{objective}.jsonl", values | (changes or {}))


def without(fields: dict[str, Any], *names: str) -> dict[str, Any]:
    timed = ("time", "seconds", "eta", "tokens_per_second", "memory_allocated", "memory_peak")
    return {name: value for name, value in fields.items() if name not in (*timed, *names)}


def checkpoint_files(run: Run) -> dict[str, bytes]:
    """What its checkpoints hold, but for what names the run's folder or a time."""
    return {
        str(path.relative_to(run.path)): path.read_bytes()
        for path in sorted(run.checkpoints_path.rglob("*"))
        if path.is_file()
        and path.name not in (MANIFEST, "training_args.bin")
        and str(run.path).encode() not in path.read_bytes()
    }


def states(run: Run) -> list[dict[str, Any]]:
    """Of each checkpoint the trainer's state, but for times."""
    found = []
    for folder in sorted(run.checkpoints()):
        state = json.loads((folder / "trainer_state.json").read_text().replace(str(run.path), ""))
        for entry in state["log_history"]:
            for name in ("eval_runtime", "eval_samples_per_second", "eval_steps_per_second"):
                entry.pop(name)
        found.append(state)
    return found


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_it_is_told_first_and_changes_no_bit_of_what_follows(
    files: Path, tmp_path: Path, objective: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = execute(create_run(plan_of(files, objective), output=tmp_path / "told"))
    first, *later = of_kind(told, "eval")
    assert [one["step"] for one in (first, *later)] == [0, 2, 4, 6]
    assert first["rows"] == later[0]["rows"] == 6 and not first["best"] and first["generated"] == 0
    begun, ended = (next(event.time for event in told if event.type == kind) for kind in ("started", "eval"))
    assert 0 <= first["seconds"] <= ended - begun + 1 and math.isfinite(first["loss"])
    kinds = [one.type for one in told]
    assert kinds.index("eval") < kinds.index("step")
    if objective in BEGUN:
        assert first["loss"] == pytest.approx(BEGUN[objective], abs=1e-6) and first["reward_margin"] == 0
    assert not (tmp_path / "told/checkpoints/checkpoint-0").exists()

    monkeypatch.setattr(Obedient, "evaluate_start", lambda trainer: None)
    untold = execute(create_run(plan_of(files, objective), output=tmp_path / "untold"))
    for kind, mine in (("step", of_kind(told, "step")), ("eval", later)):
        theirs = of_kind(untold, kind)
        assert [without(one) for one in mine] == [without(one) for one in theirs]
    one, other = Run(tmp_path / "told"), Run(tmp_path / "untold")
    first_weights, second_weights = weights(one), weights(other)
    assert all(bool((first_weights[name] == second_weights[name]).all()) for name in second_weights)
    mine, theirs = checkpoint_files(one), checkpoint_files(other)
    assert mine.keys() == theirs.keys() and any("optimizer" in name for name in mine)
    assert [name for name in mine if mine[name] != theirs[name]] == []
    assert states(one) and states(one) == states(other)


def test_a_worker_that_begins_again_at_step_0_does_not_make_it_anew(files: Path, tmp_path: Path) -> None:
    run = create_run(plan_of(files, "dpo"), output=tmp_path / "run")
    before = execute(run)
    shutil.rmtree(run.checkpoints_path)
    shutil.rmtree(run.path / "adapter")
    again = execute(run)[len(before) :]
    assert [one["step"] for one in of_kind(again, "step")] == [1, 2, 3, 4, 5, 6]
    assert [one["step"] for one in of_kind(again, "eval")] == [2, 4, 6], "what it begins with was evaluated before"
    course = read_course(run)
    assert course.base is not None and [one.step for one in course.evals] == [2, 4, 6]


def test_without_held_out_rows_nothing_is_evaluated(files: Path, tmp_path: Path) -> None:
    told = execute(create_run(plan_of(files, "dpo", {"dataset.eval_fraction": 0}), output=tmp_path / "run"))
    assert not of_kind(told, "eval")


def test_a_stop_within_it_is_heeded_at_once_and_the_next_worker_makes_it(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_of(files, "sft")
    whole = execute(create_run(plan, output=tmp_path / "whole"))
    run = create_run(plan, output=tmp_path / "stopped")
    requests = Requests()
    heeded = RunCallback.on_prediction_step

    def stopped(self: Any, *arguments: Any, **options: Any) -> None:
        requests.stop, requests.reason = True, "asked to stop (SIGTERM)"
        heeded(self, *arguments, **options)

    journal = Journal(run)
    with monkeypatch.context() as patch:
        patch.setattr(RunCallback, "on_prediction_step", stopped)
        with pytest.raises(StopRequestedError, match="SIGTERM"):
            Session(run, plan, journal, requests).execute()
    journal.close("stopped")
    events = EventTail(run.events_path).new_events()
    assert not of_kind(events, "eval") and not of_kind(events, "step") and not run.checkpoints()
    again = execute(run)[len(events) :]
    assert [one["step"] for one in of_kind(again, "eval")] == [0, 2, 4, 6]
    mine, theirs = ([without(one) for one in of_kind(told, "step")] for told in (again, whole))
    assert mine == theirs


def test_patience_counts_from_the_first_step_and_the_result_is_never_the_base(files: Path, tmp_path: Path) -> None:
    """Held out are the same pairs the other way round: whatever is learnt is wrong there, and more so at each step."""
    swapped = [row | {"chosen": row["rejected"], "rejected": row["chosen"]} for row in pairs(30)]
    write_pairs(tmp_path / "held.jsonl", swapped)
    changes = {
        "training.max_steps": 12,
        "training.learning_rate": 1e-2,
        "evaluation.patience": 2,
        "dataset.eval_path": str(tmp_path / "held.jsonl"),
    }
    run = create_run(plan_of(files, "dpo", changes), output=tmp_path / "run")
    told = execute(run)
    first, *later = of_kind(told, "eval")
    assert [one["step"] for one in later] == [2, 4, 6] and all(one["loss"] > first["loss"] for one in later)
    assert [one["best"] for one in (first, *later)] == [False, True, False, False]
    (ended,) = of_kind(told, "finished")
    assert (ended["step"], ended["best_step"], ended["result_step"]) == (6, 2, 2)
    found = worse_than_base(run, run.status())
    assert found is None or found.since_step == 2, "judged is what the result holds"


@pytest.mark.parametrize(
    ("objective", "changes"),
    [
        ("dpo", {}),
        ("dpo", {"preference.sft_weight": 0.3, "preference.reference": "precomputed"}),
        ("orpo", {}),
        ("kto", {}),
    ],
)
def test_the_losses_of_pairs_make_the_loss(
    files: Path, tmp_path: Path, objective: str, changes: dict[str, Any]
) -> None:
    """Of batches of unlike size, each row's own loss: patience tells by them what is chance."""
    settings = {"training.max_steps": 2, "evaluation.batch_size": 4, "training.learning_rate": 1e-2} | changes
    run = create_run(plan_of(files, objective, settings), output=tmp_path / "run")
    judged = of_kind(execute(run), "eval")
    kept = [row_losses.read(run, one["step"]) for one in judged]
    assert len(judged) == 2 and all(rows is not None for rows in kept)
    for one, rows in zip(judged, kept, strict=True):
        assert rows is not None and len(rows.nll) == one["rows"] and rows.loss == pytest.approx(one["loss"], abs=2e-5)
    assert kept[1] is not None and len(set(kept[1].nll)) > 1


def test_judged_answers_that_are_worse_than_before_are_told(files: Path, tmp_path: Path) -> None:
    """Labels the other way round in the held-out rows: whatever is learnt is wrong there."""
    write_pairs(tmp_path / "held.jsonl", [row | {"label": not row["label"]} for row in judged(30)])
    changes = {
        "training.max_steps": 12,
        "training.learning_rate": 2e-2,
        "preference.beta": 0.5,
        "dataset.eval_path": str(tmp_path / "held.jsonl"),
    }
    run = create_run(plan_of(files, "kto", changes), output=tmp_path / "run")
    told = execute(run)
    first, *later = of_kind(told, "eval")
    assert later[-1]["loss"] > first["loss"] == pytest.approx(0.5, abs=1e-6)
    assert later[-1]["preference_accuracy"] < first["preference_accuracy"] == 0.5
    found = worse_than_base(run, run.status())
    assert found is not None and "worse than its base" in found.message
    straight = create_run(plan_of(files, "kto", changes | {"dataset.eval_path": ""}), output=tmp_path / "straight")
    execute(straight)
    assert worse_than_base(straight, straight.status()) is None
