"""Runs that learn by ORPO and KTO, whole: events, evaluation, resume, quantised bases and what the card says."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import beside_trl
import pytest
from judged_rows import judged
from pair_rows import pairs, write_pairs
from test_preference_run import execute, of_kind, weights
from tiny_model import write_tiny_model

from loratui.core.plan import Plan
from loratui.runs.control import wait_ended
from loratui.runs.directory import Run
from loratui.runs.events import EventTail
from loratui.runs.start import create_run, start_worker, wait_started

pytestmark = pytest.mark.worker


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preferences")
    write_tiny_model(folder / "model")
    write_pairs(folder / "orpo.jsonl", pairs(30))
    write_pairs(folder / "kto.jsonl", judged(30))
    return folder


def plan_of(files: Path, objective: str, changes: dict[str, Any] | None = None) -> Plan:
    values = {
        "dataset.eval_fraction": 0.2,
        "training.objective": objective,
        "training.max_length": 64,
        "training.max_steps": 6,
        "training.learning_rate": 2e-3,
        "evaluation.every_steps": 3,
        "evaluation.batch_size": 4,
        "saving.every_steps": 3,
        "saving.keep": 5,
    }
    return beside_trl.plan_of(files / "model", files / f"{objective}.jsonl", values | (changes or {}))


@pytest.mark.parametrize("objective", ["orpo", "kto"])
def test_a_run_tells_how_preferences_are_learnt(files: Path, tmp_path: Path, objective: str) -> None:
    run = create_run(plan_of(files, objective), output=tmp_path / "run")
    wait_started(run, 120, pid=start_worker(run, rehearse=True))
    assert wait_ended(run, 120).state == "finished", run.log_path.read_text()[-3000:]
    events = EventTail(run.events_path).new_events()
    (rehearsal,) = of_kind(events, "rehearsal")
    assert rehearsal["passed"]
    steps, evaluations = of_kind(events, "step"), of_kind(events, "eval")
    assert len(steps) == 6 and [one["step"] for one in evaluations] == [3, 6]
    assert all(one["tokens"] > 0 and one["tokens_per_second"] for one in steps)
    assert all(one["rows"] == 6 and one["perplexity"] is None for one in evaluations)
    for one in evaluations:
        assert one["reward_margin"] == pytest.approx(one["reward_chosen"] - one["reward_rejected"], abs=1e-6)
    (started,) = of_kind(events, "started")
    card = (run.path / "adapter" / "README.md").read_text()
    assert f"\n- {objective}\n" in card and started["in_force"]["beta"] == 0.1
    if objective == "kto":
        assert steps[0]["loss"] == pytest.approx(0.5, abs=1e-3) and steps[0]["kl"] == 0, "it is its reference"
        assert steps[-1]["kl"] >= 0 and started["in_force"]["preference_loss"] == "kto"
        (told,) = [one for one in of_kind(events, "finding") if one["finding"] == "imbalance"]
        assert "preference.undesirable_weight" in told["message"]
        assert "answers judged one by one, loss kto, beta 0.1, held to the base without the adapter" in card
        assert "| KL |" in card
        wanted = {row["completion"] for row in judged(30) if row["label"]}
        asked = [one for one in of_kind(events, "sample") if one.get("expected")]
        assert asked and {one["expected"] for one in asked} <= wanted, "an unwanted answer is nothing to be like"
        assert all(one["generated"] < one["rows"] for one in evaluations)
    else:
        assert evaluations[-1]["loss"] < evaluations[0]["loss"] and steps[0]["chosen_loss"] > steps[-1]["chosen_loss"]
        assert all(0 <= one["preference_accuracy"] <= 1 and one["log_odds"] is not None for one in steps)
        assert "odds ratio × 0.1 beside the loss of question and chosen answer, no reference" in card
        assert "log odds" in card and "pairs in the right order" in card


@pytest.mark.parametrize(
    ("objective", "changes"),
    [
        ("orpo", {}),
        ("orpo", {"method.kind": "full"}),
        ("kto", {}),
        ("kto", {"preference.reference": "precomputed"}),
        ("kto", {"method.kind": "full", "preference.reference": "precomputed"}),
    ],
    ids=["orpo", "orpo, whole model", "kto", "kto, precomputed", "kto, whole model, precomputed"],
)
def test_a_resumed_run_is_bit_for_bit_the_same(
    files: Path, tmp_path: Path, objective: str, changes: dict[str, Any]
) -> None:
    whole = create_run(plan_of(files, objective, changes), output=tmp_path / "whole")
    events = execute(whole)
    shutil.copytree(whole.path, tmp_path / "again")
    again = Run(tmp_path / "again")
    shutil.rmtree(again.checkpoints_path / "checkpoint-6")
    shutil.rmtree(again.path / ("model" if "method.kind" in changes else "adapter"))
    told = of_kind(execute(again)[len(events) :], "step")
    assert [one["step"] for one in told] == [4, 5, 6]
    names = ("loss", "grad_norm", "reward_chosen", "reward_rejected", "reward_margin", "kl", "log_odds", "tokens")
    for one, before in zip(told, of_kind(events, "step")[3:], strict=True):
        assert {name: one[name] for name in names} == {name: before[name] for name in names}
    first, second = weights(whole), weights(again)
    assert first.keys() == second.keys() and all(bool((first[name] == second[name]).all()) for name in first)


@pytest.mark.parametrize("objective", ["orpo", "kto"])
def test_on_a_quantised_base_the_adapter_stays_in_float32(files: Path, tmp_path: Path, objective: str) -> None:
    changes = {"method.kind": "qlora", "method.quantization": "nf4", "method.compute_dtype": "fp32"}
    events = execute(create_run(plan_of(files, objective, changes), output=tmp_path / "run"))
    steps = of_kind(events, "step")
    assert of_kind(events, "started")[0]["in_force"]["trained_in"] == "float32"
    assert steps[-1]["loss"] < steps[0]["loss"]


def test_held_out_answers_weigh_alike_whatever_the_batches(files: Path, tmp_path: Path) -> None:
    told = []
    for size in (1, 4):
        changes = {
            "evaluation.batch_size": size,
            "training.max_steps": 2,
            "evaluation.every_steps": 2,
            "preference.kto_loss": "apo_zero_unpaired",
        }
        events = execute(create_run(plan_of(files, "kto", changes), output=tmp_path / str(size)))
        told.append(of_kind(events, "eval")[0])
    for name in ("loss", "reward_chosen", "reward_rejected", "reward_margin", "logp_chosen", "logp_rejected"):
        assert told[0][name] == pytest.approx(told[1][name], rel=1e-4, abs=1e-6), name
