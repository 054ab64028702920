"""What stands in a file's place is named at once; files that change while they are read; encodings other than UTF-8."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from loratui.core.errors import DatasetError
from loratui.core.plan import DatasetSection
from loratui.data.encodings import likely_encoding
from loratui.data.facts import quick_facts
from loratui.data.find import find_dataset, find_planned
from loratui.data.read import read_rows

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1288490188\n"
ROWS = [{"prompt": f"Qu'est-ce que c'est, n° {n} à côté ?", "completion": "déjà vu, où ça"} for n in range(5)]
CHINESE = [{"prompt": "今天天气怎么样？", "completion": "今天天气很好，适合出门。"}] * 3


def test_a_named_pipe_and_a_device_are_named_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "rows.jsonl")
    for path, words in ((tmp_path / "rows.jsonl", "a named pipe"), (Path("/dev/null"), "a device")):
        with pytest.raises(DatasetError, match=f"this is {words}, not a file"):
            find_dataset(str(path))
    with pytest.raises(DatasetError, match="no data file"):
        find_dataset(str(tmp_path))


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet", "rows.csv"])
def test_a_pointer_is_named_with_the_size_of_its_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(LFS)
    for path in (tmp_path / name, tmp_path):
        with pytest.raises(DatasetError, match=r"a Git LFS pointer to a file of 1\.20 GiB.*git lfs pull"):
            find_dataset(str(path))


def test_an_annex_pointer_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("/annex/objects/SHA256E-s2048--abc.jsonl\n")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "c.jsonl").symlink_to("../.git/annex/objects/xx/SHA256E-s2048--abc.jsonl")
    for path in (tmp_path / "a.jsonl", tmp_path / "b" / "c.jsonl", tmp_path / "b"):
        with pytest.raises(DatasetError, match=r"a git-annex pointer.*git annex get"):
            find_dataset(str(path))


def test_a_file_that_changes_while_it_is_read_is_told(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROWS[0]) + "\n")
    found = find_dataset(str(path))
    assert len(list(read_rows(found))) == 1
    with path.open("a") as file:
        file.write(json.dumps(ROWS[1]) + "\n")
    with pytest.raises(DatasetError, match=r"changed while it was read \(it had [\d,]+ bytes and has [\d,]+\)"):
        list(read_rows(found))
    rows = read_rows(find_dataset(str(path)))
    next(rows)
    with path.open("a") as file:
        file.write(json.dumps(ROWS[1]) + "\n")
    with pytest.raises(DatasetError, match="changed while it was read"):
        list(rows)
    found = find_dataset(str(path))
    path.unlink()
    with pytest.raises(DatasetError, match="gone"):
        list(read_rows(found))


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv", "a.txt"])
@pytest.mark.parametrize(("encoding", "rows"), [("cp1252", ROWS), ("latin-1", ROWS), ("gb18030", CHINESE)])
def test_a_named_encoding_is_read_and_proposed_where_it_is_not_named(
    tmp_path: Path, name: str, encoding: str, rows: list[dict]
) -> None:
    from loratui.data.preview import preview

    path = tmp_path / name
    texts = {
        ".jsonl": "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows),
        ".json": json.dumps(rows, ensure_ascii=False),
        ".csv": "prompt;completion\n" + "".join(f"{row['prompt']};{row['completion']}\n" for row in rows),
        ".txt": "".join(row["completion"] + "\n" for row in rows),
    }
    path.write_bytes(texts[path.suffix].encode(encoding))
    found = find_planned(DatasetSection(path=str(path), encoding=encoding))
    expected = [{"text": row["completion"]} for row in rows] if name == "a.txt" else rows
    assert [row.value for row in read_rows(found)] == expected
    if name == "a.jsonl":
        problems = [row.problem.message for row in read_rows(find_dataset(str(path))) if row.problem]
    else:
        problems = [row.problem.message for row in preview(find_dataset(str(path))).rows if row.problem]
    proposed = "cp1252" if encoding == "latin-1" else encoding
    assert len(problems) == len(rows) and f"dataset.encoding={proposed}" in problems[0]


def test_an_encoding_that_there_is_not_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("a\n")
    with pytest.raises(DatasetError, match="no encoding 'klingon'"):
        find_planned(DatasetSection(path=str(tmp_path / "a.txt"), encoding="klingon"))


def test_splits_of_a_document_are_read_in_its_encoding(tmp_path: Path) -> None:
    rows = [{"prompt": f"Wie heißt {number}?", "completion": "Größe"} for number in range(3)]
    path = tmp_path / "splits.json"
    text = json.dumps({"train": rows, "test": [{"prompt": "Wär es?", "completion": "Ja"}]}, ensure_ascii=False)
    path.write_text(text, encoding="cp1252")
    found = find_dataset(str(path), encoding="cp1252")
    assert [row.value for row in read_rows(found)] == rows
    assert [row.value for row in read_rows(found, evaluation=True)] == [{"prompt": "Wär es?", "completion": "Ja"}]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Größe"),
        ("cp1252", "Füße, Straße, Süßes"),
        ("cp1252", "préférée à la crème brûlée"),
        ("cp1252", "Ääkkösiä ja öljyä yössä"),
        ("cp1252", "“Ça va?” — naïve"),
        ("cp1251", "Привет, мир"),
        ("cp1251", "Capital of France? Столица Франции - Париж, as everybody knows"),
        ("gb18030", "你好"),
        ("gb18030", "The capital of France is 巴黎, 法国的首都"),
        ("shift_jis", "こんにちは"),
    ],
)
def test_short_texts_are_taken_for_another_alphabet_on_clear_evidence_alone(encoding: str, text: str) -> None:
    assert likely_encoding(text.encode(encoding)) == encoding


def test_another_kind_of_file_is_taken_for_no_encoding(tmp_path: Path) -> None:
    """Bytes of a picture or an archive were said to look like latin-1."""
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)) * 4)
    with pytest.raises(DatasetError) as refused:
        quick_facts(find_dataset(str(path)))
    assert "another kind of file" in refused.value.sentence and "encoding" not in refused.value.sentence
