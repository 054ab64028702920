"""Runs that learn by ORPO and KTO, whole: events, evaluation, resume, quantised bases and what the card says."""

from __future__ import annotations

import functools
import math
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
from loratui.worker.training.figures import preference_figures

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("preferences")
    write_tiny_model(folder / "model")
    for name in ("orpo", "dpo"):
        write_pairs(folder / f"{name}.jsonl", pairs(30))
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
    steps, (begun, *evaluations) = of_kind(events, "step"), of_kind(events, "eval")
    assert len(steps) == 6 and [one["step"] for one in (begun, *evaluations)] == [0, 3, 6]
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
        assert "| KL |" in card and "pairs in the right order" in card
        assert begun["preference_accuracy"] == 0.5 and all(0 <= one["preference_accuracy"] <= 1 for one in evaluations)
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


BATCHES: list[tuple[str, dict[str, Any]]] = [
    ("orpo", {}),
    ("kto", {}),
    ("kto", {"preference.reference": "precomputed"}),
    ("kto", {"preference.kto_loss": "apo_zero_unpaired", "preference.desirable_weight": 0.5}),
    ("dpo", {"preference.sft_weight": 0.3}),
    ("dpo", {"preference.loss": "ipo"}),
]


@pytest.mark.parametrize(("objective", "changes"), BATCHES, ids=str)
def test_no_figure_of_held_out_rows_depends_on_the_batches(
    files: Path, tmp_path: Path, objective: str, changes: dict[str, Any]
) -> None:
    now = {"training.max_steps": 2, "dataset.eval_fraction": 0.4, "training.learning_rate": 1e-2, **changes}
    trainer, _ = beside_trl.trained(plan_of(files, objective, now), tmp_path / "run")
    told = []
    for size in (1, 2, 8, 16):
        trainer.args.per_device_eval_batch_size = size
        loss = trainer.evaluate()["eval_loss"]
        told.append({"eval_loss": loss} | preference_figures(trainer.state.log_history[-1], "eval_"))
        if "eval_mean_token_accuracy" in trainer.state.log_history[-1]:
            told[-1]["token_accuracy"] = trainer.state.log_history[-1]["eval_mean_token_accuracy"]
    assert {"eval_loss", "reward_margin", "preference_accuracy", "logp_chosen"} <= set(told[0])
    for other in told[1:]:
        assert other == pytest.approx(told[0], rel=1e-5, abs=1e-5)


def test_held_out_figures_of_judged_answers_are_those_of_their_definition(files: Path, tmp_path: Path) -> None:
    """By hand, from each answer's own log-probabilities: the KL over all of them, the loss, the order."""
    changes = {"training.max_steps": 3, "training.learning_rate": 1e-2, "preference.undesirable_weight": 1.5}
    run = create_run(plan_of(files, "kto", {"dataset.eval_fraction": 0.4, **changes}), output=tmp_path / "run")
    told = of_kind(execute(run), "eval")[-1]
    rows = held_out_rows(run)
    above = [mine - theirs for mine, theirs in (scores(run, row["prompt"], row["completion"]) for row in rows)]
    beside = [
        mine - theirs
        for mine, theirs in (
            scores(run, row["prompt"], before["completion"])
            for row, before in zip(rows, [rows[-1], *rows[:-1]], strict=True)
        )
    ]
    kl, beta = max(0.0, sum(beside) / len(beside)), 0.1
    values = [
        (1.0 if row["label"] else 1.5) / (1 + math.exp(beta * (gain - kl) * (1 if row["label"] else -1)))
        for row, gain in zip(rows, above, strict=True)
    ]
    wanted, unwanted = (
        [gain for row, gain in zip(rows, above, strict=True) if row["label"] is kind] for kind in (True, False)
    )
    first = [(one > other) + (one == other) / 2 for one in wanted for other in unwanted]
    assert told["kl"] == pytest.approx(kl, rel=1e-4, abs=1e-5)
    assert told["loss"] == pytest.approx(sum(values) / len(values), rel=1e-5)
    assert told["preference_accuracy"] == pytest.approx(sum(first) / len(first)) and wanted and unwanted
    assert told["reward_chosen"] == pytest.approx(beta * sum(wanted) / len(wanted), rel=1e-4, abs=1e-6)
    assert told["reward_rejected"] == pytest.approx(beta * sum(unwanted) / len(unwanted), rel=1e-4, abs=1e-6)


def held_out_rows(run: Run) -> list[dict[str, Any]]:
    """In their order."""
    from loratui.worker.tokenise import Tokeniser
    from loratui.worker.training.dataset import prepare
    from loratui.worker.training.load_model import load_tokenizer

    plan = run.plan()
    held = prepare(plan, Tokeniser(load_tokenizer(plan), max_length=plan.training.max_length)).held_out
    places = [int(held.table.value(int(row), "index")) for row in held.row]
    return [judged(30)[place] for place in places]


@functools.cache
def loaded(place: Path) -> tuple[Any, Any]:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    plan = Run(place).plan()
    model = AutoModelForCausalLM.from_pretrained(plan.model.id, dtype="float32")
    return PeftModel.from_pretrained(model, str(place / "adapter")).eval(), AutoTokenizer.from_pretrained(plan.model.id)


def scores(run: Run, question: str, answer: str) -> tuple[float, float]:
    """Log-probability of the answer with the adapter and without it."""
    import torch

    model, tokenizer = loaded(run.path)
    asked = [{"role": "user", "content": question}]
    before = tokenizer.apply_chat_template(asked, add_generation_prompt=True, tokenize=False)
    ids = tokenizer(before)["input_ids"]
    whole = ids + tokenizer(answer)["input_ids"] + [tokenizer.eos_token_id]

    def likely() -> float:
        logits = model(torch.tensor([whole])).logits[0].double().log_softmax(-1)
        return float(sum(logits[at - 1, whole[at]] for at in range(len(ids), len(whole))))

    with torch.no_grad():
        mine = likely()
        with model.disable_adapter():
            return mine, likely()
