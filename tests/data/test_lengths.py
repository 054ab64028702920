"""Lengths of rows against plain counting, and rows that a screen jumps to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loratui.core.errors import DatasetError
from loratui.data.find import find_dataset
from loratui.data.hub import find_cached
from loratui.data.lengths import CANDIDATES, Lengths, best_fit
from loratui.data.preview import find_row, preview, rows_from

ROWS = st.lists(st.tuples(st.integers(2, 900), st.integers(0, 899)), min_size=1, max_size=60)


def counted(rows: list[tuple[int, int]]) -> Lengths:
    """Rows of so many tokens, of which those from a position on bear loss."""
    lengths = Lengths()
    for tokens, start in rows:
        lengths.add(tokens, [(min(start, tokens), tokens)])
    return lengths


@settings(max_examples=60, deadline=None)
@given(ROWS, st.integers(1, 900))
def test_a_maximum_length_costs_what_counting_token_by_token_says(rows: list[tuple[int, int]], limit: int) -> None:
    answers = [{at for at in range(max(1, min(start, tokens)), tokens)} for tokens, start in rows]
    kept = [{at for at in answer if at < limit} for answer in answers]
    assert counted(rows).ledger(limit) == {
        "max_length": limit,
        "cut": sum(tokens > limit for tokens, _ in rows),
        "without_answer": sum(bool(answer) and not left for answer, left in zip(answers, kept, strict=True)),
        "answer_tokens_lost": sum(len(answer - left) for answer, left in zip(answers, kept, strict=True)),
        "tokens": sum(min(tokens, limit) for tokens, _ in rows),
        "sequences": len(rows),
    }


@settings(max_examples=60, deadline=None)
@given(ROWS)
def test_the_proposed_length_leaves_the_rows_and_their_answers(rows: list[tuple[int, int]]) -> None:
    lengths = counted(rows)
    value = lengths.proposal()["value"]
    assert value in CANDIDATES and lengths.ledger(value)["without_answer"] == 0
    assert sum(tokens <= value for tokens, _ in rows) >= 0.95 * len(rows) - 1
    histogram = lengths.histogram()
    assert sum(histogram["counts"]) == len(rows) and len(histogram["edges"]) == len(histogram["counts"]) + 1
    summary = lengths.summary()
    assert summary["min"] <= summary["median"] <= summary["p95"] <= summary["max"] == max(lengths.tokens)


def test_lengths_in_words() -> None:
    lengths = counted([(100, 50)] * 19 + [(5000, 10)])
    assert lengths.proposal()["why"] == (
        "95 % of the rows have at most 100 tokens; at 128 1 of 20 rows are cut, 4,872 answer tokens lost"
    )
    assert lengths.proposal(context=64)["value"] == 64, "never beyond the model's context"
    assert "no row is cut" in counted([(100, 50)]).proposal()["why"]
    assert [one["max_length"] for one in lengths.ledgers(700, 0)][-3:] == [3072, 4096, 6144]
    assert 700 in [one["max_length"] for one in lengths.ledgers(700)]


def test_one_row_far_beyond_the_rest_has_a_bin_of_its_own() -> None:
    histogram = counted([(100, 0)] * 999 + [(90_000, 0)]).histogram()
    assert histogram["counts"][-1] == 1 and histogram["edges"][-1] == 90_001 and histogram["edges"][-2] < 200


def test_of_no_rows_nothing_is_claimed() -> None:
    nothing = Lengths()
    assert nothing.summary()["max"] == 0 and nothing.proposal() == {"value": 0, "why": "there is no row"}
    assert nothing.histogram()["counts"] == [0] and nothing.packing(512, 2, 0)["sequences"] == 0
    assert best_fit([], 10) == 0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=60))
def test_packing_fills_no_sequence_over_its_edge(tokens: list[int]) -> None:
    sequences = best_fit(tokens, 50)
    assert -(-sum(tokens) // 50) <= sequences <= len(tokens)
    packing = counted([(count, 0) for count in tokens]).packing(50, 4, seed=1)
    assert packing["sequences"] == sequences and 0 < packing["packed_share"] <= 1 and 0 < packing["padded_share"] <= 1


def test_packing_is_best_fit() -> None:
    assert best_fit([6, 5, 4, 3, 2], 10) == 2 and best_fit([3] * 7, 10) == 3
    assert counted([(10, 0), (10, 0)]).packing(0, 1, seed=0) == {
        "sequences": 2,
        "packed_share": 1.0,
        "padded_share": 1.0,
    }


def test_a_sample_is_the_same_each_time() -> None:
    lengths = counted([(number, 0) for number in range(2, 500)])
    assert lengths.sample(20, 3) == lengths.sample(20, 3) == sorted(lengths.sample(20, 3))
    assert len(lengths.sample(20, 3)) == 20 and lengths.sample(9999, 3) == list(range(2, 500))


# Rows that a screen jumps to


def test_rows_by_number_and_by_words(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = [
        {"messages": [{"role": "user", "content": f"Frage {n}"}, {"role": "assistant", "content": f"ANTWORT {n}"}]}
        for n in range(40)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    shown = preview(find_dataset(str(path)), count=5)
    assert [row.index for row in shown.rows] == [0, 1, 2, 3, 4]
    assert [row.index for row in rows_from(shown, 38, 10)] == [38, 39] and rows_from(shown, 40, 10) == ()
    assert find_row(shown, "antwort 7", 0) == 7, "capitals do not matter"
    assert find_row(shown, "antwort 7", 7) == 7 and find_row(shown, "antwort 7", 20) == 7, "then from the top"
    assert find_row(shown, "frage 3", 3) == 30 and find_row(shown, "nowhere", 0) is None
    assert find_row(shown, "frage 3", 0, stopped=lambda: True) is None


def test_numbers_are_found_too(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"prompt": "a", "completion": "b", "id": 70 + n}) + "\n" for n in range(4)))
    assert find_row(preview(find_dataset(str(path))), "72", 0) == 2


# Tables that the datasets library prepared


def test_prepared_tables_are_found_with_their_held_out_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "org___rows" / "main" / "0.0.0" / "0123abcd"
    folder.mkdir(parents=True)
    for name in ("rows-train-00000-of-00002", "rows-train-00001-of-00002", "rows-test"):
        (folder / f"{name}.arrow").write_bytes(b"x")
    found = find_cached("org/rows")
    assert found is not None
    assert [file.path.name for file in found.files] == [
        "rows-train-00000-of-00002.arrow",
        "rows-train-00001-of-00002.arrow",
    ]
    assert [file.path.name for file in found.eval_files] == ["rows-test.arrow"]
    with pytest.raises(DatasetError, match="it has test, train"):
        find_cached("org/rows", split="validation")
    assert find_cached("org/rows", configuration="socratic") is None and find_cached("org/others") is None
