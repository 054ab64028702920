"""Rows with a label that says whether an answer is wanted, from the file to what KTO's trainer gets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import beside_trl
import numpy as np
import pytest
from judged_rows import JUDGED_FORMS, judged
from pair_rows import pairs, turn, write_pairs
from tiny_model import write_tiny_model

from loratui.core.errors import DatasetError
from loratui.core.plan import Plan
from loratui.worker.training.judged import Judged, before_in_block

pytestmark = pytest.mark.worker


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged") / "model"
    write_tiny_model(folder)
    return folder


def plan_of(model: Path, rows: Path, changes: dict[str, Any] | None = None) -> Plan:
    values = {"training.objective": "kto", "training.max_length": 64} | (changes or {})
    return beside_trl.plan_of(model, rows, values)


def prepared(plan: Plan) -> Any:
    from loratui.worker.tokenise import Tokeniser
    from loratui.worker.training.dataset import prepare
    from loratui.worker.training.load_model import load_tokenizer

    return prepare(plan, Tokeniser(load_tokenizer(plan), max_length=plan.training.max_length))


def test_every_form_of_judged_answers_is_the_same_answers(model: Path, tmp_path: Path) -> None:
    found = {}
    for name, form in JUDGED_FORMS.items():
        path = write_pairs(tmp_path / f"{name}.jsonl", [form(row) for row in judged()])
        rows = prepared(plan_of(model, path)).train
        assert isinstance(rows, Judged)
        found[name] = rows.as_dataset()[:]
    assert sorted(found["plain"]) == ["KL_completion_ids", "completion_ids", "label", "prompt_ids"]
    assert found["plain"]["label"].count(True) == 16 and len(found["plain"]["label"]) == 24
    assert all(one == found["plain"] for one in found.values())


def test_pairs_are_two_judged_answers_each_and_stay_together(model: Path, tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "pairs.jsonl", pairs(30))
    found = prepared(plan_of(model, path, {"dataset.eval_fraction": 0.2}))
    assert (len(found.train), len(found.held_out)) == (48, 12)
    assert found.train.desirable_share == found.held_out.desirable_share == 0.5
    sides = [row // 2 for row in found.held_out.row.tolist()]
    assert all(sides.count(pair) == 2 for pair in sides), "both sides of a pair are held out, or none"
    assert not set(sides) & {row // 2 for row in found.train.row.tolist()}
    assert found.facts.examples == 48 and found.facts.desirable_share == 0.5


def test_rows_come_in_the_order_that_a_shuffled_dataset_has(model: Path, tmp_path: Path) -> None:
    from datasets import Dataset

    path = write_pairs(tmp_path / "rows.jsonl", judged())
    rows = prepared(plan_of(model, path, {"training.seed": 7})).train
    assert rows.row.tolist() == Dataset.from_dict({"at": range(24)}).shuffle(seed=7)["at"]


def test_each_answer_is_read_after_the_next_question_of_its_block() -> None:
    assert before_in_block(7, 3).tolist() == [2, 0, 1, 5, 3, 4, 6]
    assert before_in_block(4, 8).tolist() == [3, 0, 1, 2]


def test_the_kl_answer_is_cut_where_its_new_row_is_full(model: Path, tmp_path: Path) -> None:
    rows = [{"prompt": "a " * (1 + 9 * (at % 2)), "completion": "b " * (30 - at), "label": True} for at in range(6)]
    data = prepared(plan_of(model, write_pairs(tmp_path / "rows.jsonl", rows), {"training.max_length": 40})).train
    for row in data.as_dataset():
        assert len(row["prompt_ids"]) + len(row["KL_completion_ids"]) <= 40
    lengths = [len(row["prompt_ids"]) + len(row["KL_completion_ids"]) for row in data.as_dataset()]
    assert max(lengths) == 40, "one of them is cut"


def test_a_loss_without_kl_has_no_such_answers(model: Path, tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "rows.jsonl", judged())
    changes = {"preference.kto_loss": "apo_zero_unpaired", "training.batch_size": 1}
    assert "KL_completion_ids" not in prepared(plan_of(model, path, changes)).train.as_dataset()[0]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"prompt": "1 and 2 is", "completion": "3"}, "the row has no label: nobody says whether its answer is wanted."),
    (
        {"prompt": "1 and 2 is", "completion": "3", "label": "maybe"},
        "label is maybe, and true (wanted) or false (not) was expected.",
    ),
    ({"prompt": "1 and 2 is", "completion": " ", "label": True}, "the answer is empty."),
    ({"prompt": " ", "completion": "3", "label": True}, "prompt is empty."),
    (
        {"prompt": [turn("user", "1")], "completion": [turn("user", "2")], "label": False},
        "the conversation has no answer to learn from.",
    ),
]


def test_rows_that_cannot_be_judged_are_named_by_line(model: Path, tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "rows.jsonl", [*judged(20), *(row for row, _ in BAD)])
    columns = {"prompt": "prompt", "completion": "completion", "label": "label"}
    found = prepared(plan_of(model, path, {"dataset.columns": columns}))
    assert len(found.train) == 20 and found.train.unusable == len(BAD)
    assert [(one.line, one.message) for one in found.left_out] == [
        (21 + at, message) for at, (_, message) in enumerate(BAD)
    ]


def test_rows_without_a_label_are_refused(model: Path, tmp_path: Path) -> None:
    rows = [{"prompt": str(one), "completion": "x"} for one in range(9)]
    with pytest.raises(DatasetError, match="learns from answers that are labelled as wanted or not") as caught:
        prepared(plan_of(model, write_pairs(tmp_path / "rows.jsonl", rows)))
    assert "label:NAME" in (caught.value.hint or "")


def test_the_numbers_of_both_kinds_are_held_against_their_weights(model: Path, tmp_path: Path) -> None:
    train = prepared(plan_of(model, write_pairs(tmp_path / "rows.jsonl", judged()))).train
    told = train.imbalance(1.0, 1.0)
    assert told.startswith("16 wanted and 8 unwanted answers") and told.endswith("undesirable_weight = 2 would do.")
    assert not train.imbalance(1.0, 2.0) and not train.imbalance(0.6, 1.0)
    one_kind = train.chosen(np.flatnonzero(train.label))
    assert one_kind.imbalance(1.0, 1.0).startswith("All 16 answers are wanted")
    plan = plan_of(model, tmp_path / "rows.jsonl")
    assert next(train.findings(plan))[3] == {"preference.undesirable_weight": 2.0}, "what mends it"
    assert next(one_kind.findings(plan))[3] == {}, "no weight makes up for a kind that is not there"
