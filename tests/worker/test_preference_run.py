"""Runs that learn preferences, whole: their rows, events, evaluation, checkpoints and what is left in the end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import beside_trl
import pytest
from pair_rows import FORMS, pairs, turn, write_pairs
from tiny_model import write_tiny_model

from loratui.core.errors import DatasetError
from loratui.core.plan import Plan
from loratui.runs.directory import Run
from loratui.runs.events import Event, EventTail
from loratui.runs.start import create_run, start_worker, wait_started
from loratui.worker.training.journal import Journal
from loratui.worker.training.session import Session
from loratui.worker.training.signals import Requests

pytestmark = [pytest.mark.worker, pytest.mark.usefixtures("ready_workers")]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    write_tiny_model(folder / "model")
    for name, form in FORMS.items():
        write_pairs(folder / f"{name}.jsonl", [form(row) for row in pairs(30)])
    return folder


def plan_of(files: Path, changes: dict[str, Any]) -> Plan:
    values = {
        "dataset.eval_fraction": 0.2,
        "training.objective": "dpo",
        "training.max_length": 64,
        "training.max_steps": 6,
        "training.learning_rate": 2e-3,
        "evaluation.every_steps": 3,
        "evaluation.batch_size": 4,
        "saving.every_steps": 3,
        "saving.keep": 5,
    }
    return beside_trl.plan_of(files / "model", files / "plain.jsonl", values | changes)


def execute(run: Run) -> list[Event]:
    journal = Journal(run)
    state = "failed"
    try:
        state = Session(run, run.plan(), journal, Requests()).execute().state
    finally:
        journal.close(state)  # type: ignore[arg-type]
    return EventTail(run.events_path).new_events()


def of_kind(events: list[Event], kind: str) -> list[dict[str, Any]]:
    return [event.fields for event in events if event.type == kind]


def weights(run: Run) -> dict[str, Any]:
    from safetensors.torch import load_file

    (file,) = [*run.path.glob("adapter/*.safetensors"), *run.path.glob("model/*.safetensors")]
    return load_file(file)


def prepared(files: Path, path: Path) -> Any:
    from loratui.worker.tokenise import Tokeniser
    from loratui.worker.training.dataset import prepare
    from loratui.worker.training.load_model import load_tokenizer

    plan = plan_of(files, {"dataset.path": str(path), "dataset.eval_fraction": 0})
    return prepare(plan, Tokeniser(load_tokenizer(plan), max_length=plan.training.max_length))


def test_a_run_tells_how_preferences_are_learnt(files: Path, tmp_path: Path) -> None:
    run = create_run(plan_of(files, {}), output=tmp_path / "run")
    wait_started(run, 120, pid=start_worker(run, rehearse=True))
    from loratui.runs.control import wait_ended

    assert wait_ended(run, 120).state == "finished", run.log_path.read_text()[-3000:]
    events = EventTail(run.events_path).new_events()
    (rehearsal,) = of_kind(events, "rehearsal")
    assert rehearsal["passed"] and not rehearsal["ways"], "pairs are not laid end to end"
    steps, (begun, *evaluations) = of_kind(events, "step"), of_kind(events, "eval")
    assert len(steps) == 6 and [one["step"] for one in (begun, *evaluations)] == [0, 3, 6]
    assert steps[0]["reward_margin"] == 0 and steps[0]["loss"] == pytest.approx(0.6931, abs=1e-3), "it is its reference"
    for one in [*steps, *evaluations]:
        assert one["reward_margin"] == pytest.approx(one["reward_chosen"] - one["reward_rejected"], abs=1e-6)
        assert 0 <= one["preference_accuracy"] <= 1 and one["logp_chosen"] < 0 and one["logp_rejected"] < 0
    assert steps[-1]["reward_margin"] > 0 and evaluations[-1]["preference_accuracy"] > 0.5, "it learns"
    assert all(one["perplexity"] is None and one["rows"] == 6 for one in evaluations)
    (data,) = of_kind(events, "data")
    assert (data["examples"], data["eval_examples"]) == (24, 6)
    (started,) = of_kind(events, "started")
    assert started["in_force"]["beta"] == 0.1 and started["in_force"]["preference_loss"] == "sigmoid"
    card = (run.path / "adapter" / "README.md").read_text()
    assert "preferences by DPO, loss sigmoid, beta 0.1, held to the base without the adapter" in card
    assert "pairs in the right order" in card and "\n- dpo\n" in card and "\n- sft\n" not in card


@pytest.mark.parametrize(
    "changes",
    [{}, {"method.kind": "full", "preference.reference": "precomputed"}, {"method.kind": "full"}],
    ids=["adapter", "whole model, precomputed", "whole model"],
)
def test_a_resumed_run_is_bit_for_bit_the_same(files: Path, tmp_path: Path, changes: dict[str, Any]) -> None:
    whole = create_run(plan_of(files, changes), output=tmp_path / "whole")
    events = execute(whole)
    shutil.copytree(whole.path, tmp_path / "again")
    again = Run(tmp_path / "again")
    shutil.rmtree(again.checkpoints_path / "checkpoint-6")
    shutil.rmtree(again.path / ("model" if changes else "adapter"))
    told = execute(again)[len(events) :]
    figures = [
        {
            name: value
            for name, value in one.items()
            if name.startswith(("loss", "reward", "logp", "preference", "grad"))
        }
        for one in of_kind(told, "step")
    ]
    assert [one["step"] for one in of_kind(told, "step")] == [4, 5, 6]
    for one, before in zip(figures, of_kind(events, "step")[3:], strict=True):
        assert one == {name: before[name] for name in one}
    first, second = weights(whole), weights(again)
    assert first.keys() == second.keys() and all(bool((first[name] == second[name]).all()) for name in first)


@pytest.mark.parametrize("reference", ["each-step", "precomputed"])
def test_on_an_adapter_that_exists_a_resumed_run_is_bit_for_bit_the_same(
    files: Path, tmp_path: Path, reference: str
) -> None:
    first = create_run(plan_of(files, {"training.max_steps": 3, "training.learning_rate": 1e-2}), output=tmp_path / "1")
    execute(first)
    changes = {"lora.adapter": str(first.adapter_path), "preference.reference": reference, "training.seed": 7}
    whole = create_run(plan_of(files, changes), output=tmp_path / "whole")
    events = execute(whole)
    assert of_kind(events, "step")[0]["reward_margin"] == pytest.approx(0, abs=1e-5), "its copy is the reference"
    assert not list(whole.path.rglob("ref")), "the copy is no result, and no checkpoint carries it"
    shutil.copytree(whole.path, tmp_path / "again")
    again = Run(tmp_path / "again")
    shutil.rmtree(again.checkpoints_path / "checkpoint-6")
    shutil.rmtree(again.path / "adapter")
    told = of_kind(execute(again)[len(events) :], "step")
    assert [one["loss"] for one in told] == [one["loss"] for one in of_kind(events, "step")[3:]]
    one, other = weights(whole), weights(again)
    assert one.keys() == other.keys() and all(bool((one[name] == other[name]).all()) for name in one)
    assert "held to the adapter that it began from" in (whole.path / "adapter" / "README.md").read_text()


def test_on_a_quantised_base_pairs_are_learnt_too(files: Path, tmp_path: Path) -> None:
    changes = {"method.kind": "qlora", "method.quantization": "nf4", "method.compute_dtype": "fp32"}
    steps = of_kind(execute(create_run(plan_of(files, changes), output=tmp_path / "run")), "step")
    assert steps[0]["loss"] == pytest.approx(0.6931, abs=1e-3) and steps[-1]["loss"] < steps[0]["loss"]


def test_every_form_of_pairs_is_the_same_pairs(files: Path) -> None:
    found = {name: prepared(files, files / f"{name}.jsonl").train.as_dataset()[:] for name in FORMS}
    assert len(found["plain"]["chosen_ids"]) == 30
    assert all(one == found["plain"] for one in found.values())


BAD: list[tuple[dict[str, Any], str]] = [
    ({"prompt": "1 and 2 is", "chosen": "3"}, "the rejected side: the row has no rejected."),
    ({"prompt": "1 and 2 is", "chosen": "3", "rejected": "3"}, "the chosen and the rejected answer are the same."),
    ({"prompt": " ", "chosen": "3", "rejected": "4"}, "prompt is empty."),
    ({"prompt": "1 and 2 is", "chosen": "3", "rejected": " "}, "the rejected side: the answer is empty."),
    (
        {
            "chosen": [turn("user", "a"), turn("assistant", "b")],
            "rejected": [turn("user", "c"), turn("assistant", "d")],
        },
        "the chosen and the rejected side do not answer the same question.",
    ),
]


def test_rows_that_are_no_pairs_are_named_by_line(files: Path, tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "rows.jsonl", [*pairs(20), *(row for row, _ in BAD)])
    found = prepared(files, path)
    assert len(found.train) == 20 and found.train.unusable == len(BAD)
    assert [(one.line, one.message) for one in found.left_out] == [
        (21 + at, message) for at, (_, message) in enumerate(BAD)
    ]


def test_rows_without_two_sides_are_refused(files: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"prompt": str(one), "completion": "x"}) + "\n" for one in range(9)))
    with pytest.raises(DatasetError, match="learns from pairs, and the rows are read as prompt-completion"):
        prepared(files, path)


def test_how_often_the_longer_answer_is_chosen_is_told(files: Path, tmp_path: Path) -> None:
    biased = [row | {"chosen": row["chosen"] + " and" * 6} for row in pairs(40)]
    told = prepared(files, write_pairs(tmp_path / "biased.jsonl", biased)).train.length_bias()
    assert told.startswith("In 100% (91% to 100%) of 40 pairs of unlike length the longer answer is the chosen one")
    mixed = [
        row | {side: row[side] + " and" * 6}
        for at, row in enumerate(pairs(40))
        for side in (("chosen",) if at % 2 else ("rejected",))
    ]
    assert not prepared(files, write_pairs(tmp_path / "mixed.jsonl", mixed)).train.length_bias()
