"""Shapes of public data reach the trainer as the inspection says: examples within rows, flags, preferences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tiny_model import write_tiny_model

from loratui.core.errors import DatasetError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values

pytestmark = pytest.mark.worker


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("shapes") / "model")


@pytest.fixture(scope="module")
def text_model(model: Path) -> Any:
    from loratui.worker.inspecting.model import load_text_model

    return load_text_model(with_values(Plan(), {"model.id": str(model)}))


def plan_for(model: Path, data: Path, **values: Any) -> Plan:
    return with_values(Plan(), {"model.id": str(model), "dataset.path": str(data), **values})


def write(path: Path, values: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(value) + "\n" for value in values))
    return path


def both(plan: Plan, text_model: Any) -> tuple[dict[str, Any], Any]:
    """The inspection's result and the trainer's rows."""
    from loratui.worker.inspecting.inspection import Inspection
    from loratui.worker.training.dataset import prepare

    return Inspection(plan, [].append).run(text_model), prepare(plan, text_model.tokeniser(plan, 512))


def test_every_example_within_a_row_is_trained_on(model: Path, text_model: Any, tmp_path: Path) -> None:
    samples = [{"input": f"in {n}", "output": f"out {n}"} for n in range(3)]
    path = write(
        tmp_path / "a.jsonl", [{"instruction": f"do {n}", "instances": samples[: n % 3 + 1]} for n in range(9)]
    )
    plan = plan_for(model, path, **{"dataset.exclude": [1], "dataset.eval_count": 4})
    result, prepared = both(plan, text_model)
    assert result["examples"] - result["left_out"] == 17 == len(prepared.train) + len(prepared.held_out)
    assert len(prepared.held_out) == 4
    assert result["trained_tokens"] == prepared.train.trained_tokens + prepared.held_out.trained_tokens


def test_rows_labelled_false_are_left_out_of_the_training(model: Path, text_model: Any, tmp_path: Path) -> None:
    path = write(
        tmp_path / "kto.jsonl", [{"prompt": f"{n}?", "completion": f"{n}!", "label": n % 2 == 0} for n in range(40)]
    )
    values = {"dataset.eval_fraction": 0.0, "dataset.preference": "chosen"}
    result, prepared = both(plan_for(model, path, **values), text_model)
    assert result["usable"] == len(prepared.train) == 20
    assert result["problem_counts"]["label"] == 20 and result["unusable"] == list(range(1, 40, 2))
    assert {row.kind for row in prepared.left_out} == {"label"}


def test_preferences_are_trained_on_only_when_the_plan_says_so(model: Path, text_model: Any, tmp_path: Path) -> None:
    turn = {"from": "gpt", "value": "yes it is"}
    path = write(
        tmp_path / "dpo.jsonl",
        [
            {
                "conversations": [{"from": "human", "value": f"{n}?"}],
                "chosen": turn,
                "rejected": {**turn, "value": "no"},
            }
            for n in range(8)
        ],
    )
    from loratui.export.rows import write_rows
    from loratui.worker.training.dataset import prepare

    plan = plan_for(model, path)
    for asks in (
        lambda: prepare(plan, text_model.tokeniser(plan, 512)),
        lambda: write_rows(plan, tmp_path / "out", tool="trl"),
    ):
        with pytest.raises(DatasetError, match=r"preferences.*--set dataset\.preference=chosen"):
            raise_sentence(asks)
    result, prepared = both(plan_for(model, path, **{"dataset.preference": "chosen"}), text_model)
    assert result["usable"] == 8 == len(prepared.train) + len(prepared.held_out)
    texts = [text_model.tokenizer.decode(prepared.train.ids(at)) for at in range(len(prepared.train))]
    assert all("yes it is" in text and "from" not in text and "no" not in text for text in texts)


def raise_sentence(call: Any) -> None:
    """Call it; an error is raised anew with its whole sentence, the hint included."""
    try:
        call()
    except DatasetError as error:
        raise DatasetError(error.sentence) from None


def test_a_document_of_splits_trains_on_train_and_evaluates_on_test(
    model: Path, text_model: Any, tmp_path: Path
) -> None:
    path = tmp_path / "all.json"
    rows = [{"prompt": f"{n}?", "completion": f"{n}!"} for n in range(30)]
    path.write_text(json.dumps({"test": rows[10:], "train": rows[:10]}))
    result, prepared = both(plan_for(model, path), text_model)
    assert (len(prepared.train), len(prepared.held_out)) == (10, 20)
    assert result["split"]["train"] == 10 and result["split"]["evaluation"] == 20


def test_the_inspection_says_what_is_left_out(model: Path, text_model: Any, tmp_path: Path) -> None:
    from loratui.commands.inspect import describe

    path = write(
        tmp_path / "mcq.jsonl",
        [{"question": f"{n}?", "choices": ["red", "blue"], "answer": "red"} for n in range(5)],
    )
    result, _ = both(plan_for(model, path), text_model)
    assert result["guess"] and result["unused_characters"] == {"choices": 35}
    assert "▲ left out of the first 5 rows: choices (35 characters)" in describe(result)
    assert "columns     prompt:question,completion:answer" in describe(result)
