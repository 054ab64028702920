"""Rows that a plan leaves out, by number and by fault."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from loratui.core.errors import PlanError
from loratui.core.plan import DatasetSection, Plan
from loratui.core.plan_text import with_values
from loratui.data.conversation import Conversation
from loratui.data.facts import quick_facts
from loratui.data.find import find_dataset
from loratui.data.read import read_rows, sample_rows
from loratui.data.recognise import recognise
from loratui.data.row_filter import LeftOut, RowFilter, filter_rows
from loratui.data.split import RowKeys, split_rows

LONG = "The quick brown fox jumps over the lazy dog while the small cat looks on from the old wall by the river"
ROWS = [
    {"prompt": "One?", "completion": "First."},
    {"prompt": "One?", "completion": "First."},
    {"prompt": "Dear {{name}}?", "completion": "Hello."},
    {"prompt": "Bell?", "completion": "Ding\u0007."},
    {"prompt": LONG, "completion": "Yes."},
    {"prompt": LONG, "completion": "Yes, indeed."},
    {"prompt": "Held?", "completion": "Out."},
    {"prompt": "Two?", "completion": "Second."},
    {"prompt": "No answer?"},
]


def filtered(tmp_path: Path, **section: object) -> dict[int, str]:
    """Why each row is left out; empty where it is used."""
    train, held = tmp_path / "train.jsonl", tmp_path / "held.jsonl"
    train.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    held.write_text(json.dumps(ROWS[6]) + "\n")
    part = DatasetSection.model_validate({"path": str(train), "eval_path": str(held), **section})
    found = find_dataset(str(train))
    reading = recognise(sample_rows(found, 20), part.format, part.columns, where="train")
    return {
        row.index: one.kind if isinstance(one, LeftOut) else ""
        for row, one in filter_rows(RowFilter(part, found), read_rows(found), reading)
    }


def test_nothing_is_left_out_unless_asked(tmp_path: Path) -> None:
    reasons = filtered(tmp_path)
    assert [index for index, kind in reasons.items() if kind] == [8] and len(reasons) == len(ROWS)


@pytest.mark.parametrize(
    ("kind", "index"),
    [("duplicate", 1), ("placeholder", 2), ("control-character", 3), ("near-duplicate", 5), ("overlap", 6)],
)
def test_each_kind_takes_its_rows_and_no_others(tmp_path: Path, kind: str, index: int) -> None:
    reasons = filtered(tmp_path, leave_out=[kind])
    assert {number for number, why in reasons.items() if why == kind} == {index}


def test_rows_named_by_number_go_first(tmp_path: Path) -> None:
    assert filtered(tmp_path, exclude=[0, 8], leave_out=["duplicate"]) == {0: "by-hand", 8: "by-hand"} | dict.fromkeys(
        range(1, 8), ""
    )


def test_the_message_names_the_other_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS[:2]))
    section = DatasetSection(path=str(path), leave_out=["duplicate"])
    found = find_dataset(str(path))
    reading = recognise(sample_rows(found, 5), "auto", {}, where="rows")
    (_, first), (_, second) = filter_rows(RowFilter(section, found), read_rows(found), reading)
    assert isinstance(first, Conversation) and isinstance(second, LeftOut)
    assert second.message == "the row says the same as line 1." and second.line == 2


def test_an_unknown_kind_is_refused_with_what_is_allowed() -> None:
    with pytest.raises(PlanError, match=r"dataset\.leave_out.*near-duplicate"):
        with_values(Plan(), {"dataset.leave_out": ["ugly"]})


def test_a_count_stands_above_the_share(tmp_path: Path) -> None:
    section = DatasetSection(eval_fraction=0.5, eval_count=3)
    keys = RowKeys()
    for number in range(40):
        keys.add(Conversation(text=f"row {number}"))
    assert len(split_rows(section, keys, 7).evaluation) == 3
    assert split_rows(section, keys, 7) == split_rows(section, keys, 7) != split_rows(section, keys, 8)
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"{number}?", "completion": "yes"}) + "\n" for number in range(40)))
    facts = quick_facts(find_dataset(str(path)), DatasetSection(path=str(path), eval_count=3))
    assert (facts.examples, facts.eval_examples) == (37, 3)
