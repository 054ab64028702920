"""Preference rows are read as pairs where preferences are learnt, asked about where nobody said, refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loratui.core.errors import DatasetError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.data.convert import to_conversation
from loratui.data.facts import quick_facts
from loratui.data.find import find_dataset
from loratui.data.preferences import recognise_for, require_answer, unanswered
from loratui.data.read import sample_rows
from loratui.data.recognise import recognise
from loratui.data.row import RowError

PAIRS = [{"prompt": f"is {n} even?", "chosen": "yes", "rejected": f"no, {n} is odd, I think"} for n in range(20)]
DPO = {"training.objective": "dpo"}


def found_rows(tmp_path: Path, rows: list[dict[str, Any]]) -> tuple[Any, Any]:
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = find_dataset(str(path))
    return found, sample_rows(found, 100)


def test_who_learns_what_is_asked_once(tmp_path: Path) -> None:
    found, head = found_rows(tmp_path, PAIRS)
    read_as = recognise(head, "auto", {}, where=found.path)
    assert unanswered(read_as, "ask") and not unanswered(read_as, "chosen") and not unanswered(read_as, "ask", "dpo")
    with pytest.raises(DatasetError) as caught:
        require_answer(read_as, Plan().dataset, where=found.path)
    assert "training.objective=dpo" in caught.value.hint and "dataset.preference=chosen" in caught.value.hint
    assert require_answer(read_as, Plan().dataset, where=found.path, objective="dpo").pairs
    assert not require_answer(
        read_as, with_values(Plan(), {"dataset.preference": "chosen"}).dataset, where=found.path
    ).pairs


def test_both_sides_are_read_and_the_longer_one_counts(tmp_path: Path) -> None:
    found, head = found_rows(tmp_path, PAIRS)
    both = recognise_for(with_values(Plan(), DPO), head, where=found.path)
    assert both.pairs and "both sides are learnt from" in both.why and not both.doubts
    pair = to_conversation(head[3], both)
    chosen, rejected = pair.sides
    assert (chosen.answer, rejected.answer) == ("yes", "no, 3 is odd, I think")
    assert chosen.prompt == rejected.prompt and pair.identity != chosen.identity
    (alone,) = to_conversation(head[3], recognise_for(Plan(), head, where=found.path)).sides
    assert alone.messages == chosen.messages and alone.desirable is None, "who learns answers alone has no verdict"
    assert quick_facts(found, None, both).longest > quick_facts(found).longest


@pytest.mark.parametrize(
    ("row", "kind", "words"),
    [
        ({"prompt": "a", "chosen": "b"}, "missing", "the rejected side: the row has no rejected."),
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "equal-sides", "are the same"),
        ({"prompt": "", "chosen": "b", "rejected": "c"}, "empty-prompt", "prompt is empty"),
        ({"prompt": "a", "chosen": "b", "rejected": ""}, "empty-answer", "the rejected side: the answer is empty."),
    ],
)
def test_what_is_no_pair_is_said(tmp_path: Path, row: dict[str, Any], kind: str, words: str) -> None:
    found, head = found_rows(tmp_path, [*PAIRS, row])
    both = recognise_for(with_values(Plan(), DPO), head, where=found.path)
    with pytest.raises(RowError) as caught:
        to_conversation(head[-1], both)
    assert caught.value.kind == kind and words in str(caught.value)
    facts = quick_facts(found, None, both)
    assert facts.unusable == 1 and facts.problem.startswith("line 21: ")


def test_rows_without_a_rejected_side_are_refused(tmp_path: Path) -> None:
    found, head = found_rows(tmp_path, PAIRS)
    columns = {"prompt": "prompt", "chosen": "chosen"}
    alone = recognise(head, "preference", columns, where=found.path)
    with pytest.raises(DatasetError, match="no rejected one"):
        require_answer(alone, Plan().dataset, where=found.path, objective="dpo")


def test_who_asks_for_pairs_of_labelled_answers_is_told_what_learns_from_those(tmp_path: Path) -> None:
    rows = [{"prompt": f"Ask {n}?", "completion": f"Say {n}.", "label": n % 2 == 0} for n in range(20)]
    found, head = found_rows(tmp_path, rows)
    read = recognise(head, "auto", {}, where=found.path)
    with pytest.raises(DatasetError) as raised:
        require_answer(read, Plan().dataset, where=found.path, objective="dpo")
    assert "training.objective=kto" in raised.value.sentence
