"""What is too large to be held is named with its place and size, whatever the kind of file, and the rows around it are
read.
"""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from loratui.data import bounds, json_window, read_json, read_table
from loratui.data.find import find_dataset
from loratui.data.read import read_rows, sample_rows

LIMIT = 2**16


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits, divided by 512, so that files stay small; buffers, too."""
    monkeypatch.setattr(bounds, "ROW_LIMIT_BYTES", LIMIT)
    monkeypatch.setattr(read_table, "ROW_LIMIT_BYTES", LIMIT)
    monkeypatch.setattr(read_json, "DOCUMENT_LIMIT_BYTES", 4 * LIMIT)
    monkeypatch.setattr(bounds, "DENSE_FROM_BYTES", LIMIT // 4)
    for module in (bounds, read_json):
        monkeypatch.setattr(module, "ROW_MEMORY_BYTES", 12 * LIMIT)
    monkeypatch.setattr(read_json, "DOCUMENT_MEMORY_BYTES", 24 * LIMIT)
    monkeypatch.setattr(json_window, "CHUNK_CHARACTERS", 2**10)
    monkeypatch.setattr(json_window, "LARGEST_CHUNK_CHARACTERS", 2**14)
    monkeypatch.setattr(json_window.JsonWindow.value, "__defaults__", (LIMIT, 12 * LIMIT))
    monkeypatch.setattr(bounds.bounded_lines, "__defaults__", (LIMIT,))
    monkeypatch.setattr(bounds.TableLines.__init__, "__defaults__", (LIMIT,))
    monkeypatch.setattr(read_table, "BATCH_BYTES", LIMIT // 4)
    csv.field_size_limit(LIMIT)
    yield
    csv.field_size_limit(2**25)


def rows_with(large: str) -> list[dict]:
    rows = [{"prompt": f"question {number}?", "completion": f"answer {number}."} for number in range(6)]
    rows[3] = {"prompt": "large", "completion": large}
    return rows


def write(path: Path, rows: list[dict]) -> Path:
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        case ".json":
            path.write_text(json.dumps(rows))
        case ".csv":
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        case ".txt":
            path.write_text("".join(row["completion"] + "\n" for row in rows))
        case ".parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        case _:
            with pyarrow.OSFile(str(path), "wb") as sink:
                table = pyarrow.Table.from_pylist(rows)
                with pyarrow.ipc.new_stream(sink, table.schema) as writer:
                    writer.write_table(table)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.txt", "a.parquet", "a.arrow"])
@pytest.mark.parametrize("large", ["word " * LIMIT, 'a "quoted\\ line"\n[{' * LIMIT], ids=["words", "signs"])
def test_a_row_beyond_the_limit_is_named_and_the_others_are_read(tmp_path: Path, name: str, large: str) -> None:
    if name == "a.txt":
        large = large.replace("\n", " ")
    found = list(read_rows(find_dataset(str(write(tmp_path / name, rows_with(large))))))
    assert [row.index for row in found] == list(range(6))
    assert [row.value is None for row in found] == [False, False, False, True, False, False]
    problem = found[3].problem
    assert problem is not None and problem.kind == "too-large" and problem.blocking
    assert "MiB are read" in problem.message
    assert found[4].value in (rows_with("")[4], {"text": "answer 4."})


def test_a_row_just_below_the_limit_is_read(tmp_path: Path) -> None:
    large = "word " * (LIMIT // 5 - 20)
    for name in ("a.jsonl", "a.json", "a.csv", "a.txt", "a.parquet"):
        assert all(
            row.problem is None for row in read_rows(find_dataset(str(write(tmp_path / name, rows_with(large)))))
        )


def test_one_object_that_must_be_held_whole_is_refused(tmp_path: Path) -> None:
    from loratui.core.errors import DatasetError

    path = tmp_path / "a.json"
    path.write_text(json.dumps({"data": rows_with("word " * LIMIT)}))
    with pytest.raises(DatasetError, match="one JSON object of more than"):
        list(read_rows(find_dataset(str(path))))


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_a_row_of_many_small_values_is_named_before_memory_is_taken_for_it(tmp_path: Path, name: str) -> None:
    rows: list[dict] = rows_with("short")
    rows[3] = {"prompt": "dense", "completion": [{"a": 1}] * (LIMIT // 11)}
    found = list(read_rows(find_dataset(str(write(tmp_path / name, rows)))))
    assert [row.index for row in found if row.problem is not None] == [3] and len(found) == 6
    problem = found[3].problem
    assert problem is not None and problem.kind == "too-large" and "so many small values" in problem.message


@pytest.mark.parametrize("name", ["a.jsonl", "a.json"])
def test_signs_within_texts_are_no_values(tmp_path: Path, name: str) -> None:
    large = '{\n{"a": [1, 2], "b": ' * (LIMIT // 40)
    found = list(read_rows(find_dataset(str(write(tmp_path / name, rows_with(large))))))
    assert [row.problem for row in found] == [None] * 6 and found[3].value["completion"] == large


def test_a_document_of_many_small_rows_is_refused_before_memory_is_taken_for_it(tmp_path: Path) -> None:
    from loratui.core.errors import DatasetError

    path = tmp_path / "a.json"
    path.write_text(json.dumps({"data": [{"a": 1}] * (2 * LIMIT // 11)}))
    with pytest.raises(DatasetError, match="so many small values"):
        list(read_rows(find_dataset(str(path))))


@pytest.mark.parametrize("value", [[{"a": 1}], [[[]]], [{"a": "b", "c": ["d", 1.5, 12345]}], ["ab", "cd", "ef"]])
def test_what_a_text_may_take_is_told(value: list) -> None:
    import tracemalloc

    text = json.dumps([value] * 20_000)
    tracemalloc.start()
    held = json.loads(text)
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(held) == 20_000 and taken <= bounds.parsed_bytes(text) < 3 * taken
    assert bounds.parsed_bytes(text.encode()) == bounds.parsed_bytes(text)


def test_a_sample_of_large_rows_is_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from loratui.data import read

    monkeypatch.setattr(read, "SAMPLE_LIMIT_BYTES", 1000)
    rows = [{"prompt": "a", "completion": "b" * 300}] * 50
    assert len(sample_rows(find_dataset(str(write(tmp_path / "a.jsonl", rows))), 50)) == 4


def test_the_limit_of_lines_is_kept_without_holding_one(tmp_path: Path) -> None:
    """A line of 40 MiB under a limit of 1 MiB: no more than 4 MiB are held on the way."""
    import tracemalloc

    path = tmp_path / "a.bin"
    path.write_bytes(b"x" * (40 * 2**20) + b"\nshort\n")
    with path.open("rb") as file:
        tracemalloc.start()
        lines = list(bounds.bounded_lines(file, 2**20))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert lines == [40 * 2**20 + 1, b"short\n"] and peak < 4 * 2**20


def test_splits_of_a_document_beyond_the_limit_are_refused_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loratui.core.errors import DatasetError
    from loratui.data import contents

    path = tmp_path / "splits.json"
    path.write_text(json.dumps({"train": rows_with("word " * LIMIT), "test": rows_with("b")}))
    kept = find_dataset(str(path))
    assert [file.part for file in (*kept.files, *kept.eval_files)] == ["train", "test"]
    with pytest.raises(DatasetError, match="one JSON object of more than"):
        list(read_rows(kept))
    contents._keys.cache_clear()
    monkeypatch.setattr(contents, "DOCUMENT_LIMIT_BYTES", LIMIT)
    assert [file.part for file in find_dataset(str(path)).files] == [""], "it is not held to look for its parts"


def test_a_small_sample_of_large_rows_is_not_taken_for_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from loratui.data import read
    from loratui.data.facts import quick_facts

    monkeypatch.setattr(read, "SAMPLE_LIMIT_BYTES", 1000)
    facts = quick_facts(find_dataset(str(write(tmp_path / "a.jsonl", [{"prompt": "a", "completion": "b" * 300}] * 50))))
    assert facts.examples + facts.eval_examples == 50
