"""What a file holds decides, where its name does not say it: JSON in a text file, splits in a document, archives."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from loratui.core.errors import DatasetError
from loratui.core.plan import DatasetSection
from loratui.data.facts import quick_facts
from loratui.data.find import find_dataset
from loratui.data.preview import preview
from loratui.data.read import read_rows

ROWS = [{"prompt": f"Q{number}", "completion": f"A{number}"} for number in range(8)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))


def values(path: Path, *, evaluation: bool = False) -> list[dict]:
    return [dict(row.value or {}) for row in read_rows(find_dataset(str(path)), evaluation=evaluation)]


@pytest.mark.parametrize("text", [LINES, "\n\ufeff" + LINES, json.dumps(ROWS), json.dumps(ROWS, indent=1)])
def test_json_in_a_text_file_is_read_as_rows_and_said(tmp_path: Path, text: str) -> None:
    path = tmp_path / "rows.txt"
    path.write_text(text.replace("\n\ufeff", "\ufeff\n"), encoding="utf-8")
    assert values(path) == ROWS
    found = find_dataset(str(path))
    assert "JSON" in found.note and preview(found).recognition.format == "prompt-completion"
    folder = find_dataset(str(tmp_path))
    assert "JSON" in folder.note


@pytest.mark.parametrize("text", ["[Chapter 1]\nIt was {dark}.\n", "{not json}\nsecond\n", '"quoted": yes\n'])
def test_text_that_only_begins_like_json_stays_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "book.txt"
    path.write_text(text)
    assert values(path) == [{"text": line} for line in text.splitlines()]
    assert find_dataset(str(path)).note == ""


@pytest.mark.parametrize("order", [("test", "train"), ("train", "test"), ("validation", "training", "test")])
def test_splits_of_a_document_are_trained_on_and_held_out_by_name(tmp_path: Path, order: tuple[str, ...]) -> None:
    path = tmp_path / "all.json"
    long = [{"prompt": f"T{number}", "completion": "held out"} for number in range(20)]
    path.write_text(json.dumps({name: ROWS if name.startswith("train") else long for name in order}, indent=1))
    found = find_dataset(str(path))
    assert values(path) == ROWS, "the longer list is the test rows"
    assert values(path, evaluation=True) == long * (len(order) - 1)
    assert "held out by name" in found.note and "test" in found.note
    facts = quick_facts(found, DatasetSection(path=str(path)))
    assert (facts.examples, facts.eval_examples) == (8, 20 * (len(order) - 1))


def test_a_document_without_training_rows_is_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "one.json"
    path.write_text(json.dumps({"train": ROWS}))
    assert values(path) == ROWS and values(path, evaluation=True) == []


def archive(path: Path, **files: str) -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, text in files.items():
            file.writestr(name.replace("__", "/").replace("_", "."), text)
        file.writestr("__MACOSX/x", "")
    return path


def test_an_archive_of_several_files_is_read_as_a_folder(tmp_path: Path) -> None:
    path = archive(tmp_path / "data.zip", d__train_jsonl=LINES, d__test_jsonl=LINES[: len(LINES) // 2], README_md="x")
    assert values(path) == ROWS and len(values(path, evaluation=True)) == 4
    found = find_dataset(str(path))
    assert found.kind == "file" and found.name == "data.zip" and "train.jsonl" in found.note
    assert not (tmp_path / "d").exists(), "nothing is unpacked beside the archive"
    before = found.files[0].path.stat().st_ino
    assert find_dataset(str(path)).files[0].path.stat().st_ino == before, "it is unpacked once"


def test_an_archive_without_data_and_one_that_leaves_its_folder(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no data file"):
        find_dataset(str(archive(tmp_path / "none.zip", a_md="x", b_md="y")))
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("../../outside.jsonl", LINES)
        file.writestr("inside.jsonl", LINES)
    found = find_dataset(str(path))
    assert not (tmp_path / "outside.jsonl").exists() and len(list(read_rows(found))) == 16
    assert all((tmp_path / "home") in file.path.parents for file in found.files)
