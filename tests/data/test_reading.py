"""Every form that rows come in gives the same rows, with their lines."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import shutil
import zipfile
from pathlib import Path

import pytest
from reading import read_whole

from hub_standin import set_hub
from loratui.core.errors import DatasetError
from loratui.data.find import find_dataset
from loratui.data.read import read_rows
from loratui.paths import demo_model_path

ROWS = [{"prompt": f"question {n} é世🙂", "completion": f'line one\nline "{n}", two'} for n in range(50)]
JSONL = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS).encode()


def values(path: Path) -> list:
    return [dict(row.value) for row in read_rows(find_dataset(str(path)))]


def write_parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as parquet

    parquet.write_table(pa.Table.from_pylist(ROWS), path, row_group_size=7)


def write_arrow(path: Path) -> None:
    import pyarrow as pa

    table = pa.Table.from_pylist(ROWS)
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def write_csv(path: Path, delimiter: str = ",") -> None:
    import csv

    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.DictWriter(file, ["prompt", "completion"], delimiter=delimiter)
        writer.writeheader()
        writer.writerows(ROWS)


def write_zst(path: Path) -> None:
    import pyarrow as pa

    with pa.output_stream(str(path), compression="zstd") as sink:
        sink.write(JSONL)


def write_zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inside.jsonl", JSONL)


FORMS = {
    "a.jsonl": lambda p: p.write_bytes(JSONL),
    "b.json": lambda p: p.write_text(json.dumps(ROWS, indent=2)),
    "compact.json": lambda p: p.write_text(json.dumps(ROWS)),
    "lines-called-document.json": lambda p: p.write_bytes(JSONL),
    "document-called-lines.jsonl": lambda p: p.write_text(json.dumps(ROWS, indent=1)),
    "one-line-document.jsonl": lambda p: p.write_text(json.dumps(ROWS)),
    "pretty-one-after-another.json": lambda p: p.write_text("\n".join(json.dumps(row, indent=2) for row in ROWS)),
    "pretty.jsonl": lambda p: p.write_text("\n".join(json.dumps(row, indent=2) for row in ROWS)),
    "below-a-key.json": lambda p: p.write_text(json.dumps({"version": "1", "data": ROWS})),
    "columns.json": lambda p: p.write_text(json.dumps({key: [row[key] for row in ROWS] for key in ROWS[0]})),
    "pandas.json": lambda p: p.write_text(
        json.dumps({key: {str(n): row[key] for n, row in enumerate(ROWS)} for key in ROWS[0]})
    ),
    "marked.jsonl": lambda p: p.write_bytes(b"\xef\xbb\xbf" + JSONL),
    "utf16.jsonl": lambda p: p.write_bytes(JSONL.decode().encode("utf-16")),
    "utf16.json": lambda p: p.write_bytes(json.dumps(ROWS, ensure_ascii=False).encode("utf-16")),
    "windows.jsonl": lambda p: p.write_bytes(JSONL.replace(b"}\n", b"}\r\n")),
    "blank-lines.jsonl": lambda p: p.write_bytes(b"\n\n" + JSONL.replace(b"}\n", b"}\n\n")),
    "no-last-newline.jsonl": lambda p: p.write_bytes(JSONL.rstrip()),
    "no-suffix": lambda p: p.write_bytes(JSONL),
    "c.csv": write_csv,
    "semicolons.csv": lambda p: write_csv(p, ";"),
    "d.tsv": lambda p: write_csv(p, "\t"),
    "e.parquet": write_parquet,
    "f.arrow": write_arrow,
    "g.jsonl.gz": lambda p: p.write_bytes(gzip.compress(JSONL)),
    "h.json.bz2": lambda p: p.write_bytes(bz2.compress(json.dumps(ROWS).encode())),
    "i.jsonl.xz": lambda p: p.write_bytes(lzma.compress(JSONL)),
    "j.jsonl.zst": write_zst,
    "k.jsonl.zip": write_zip,
    "l.zip": write_zip,
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_gives_the_same_rows(tmp_path: Path, name: str):
    path = tmp_path / name
    FORMS[name](path)
    assert values(path) == ROWS


def test_rows_carry_the_line_on_which_they_begin(tmp_path: Path):
    path = tmp_path / "a.json"
    path.write_text('[\n\n  {"prompt": "a",\n   "completion": "b"},\n  {"prompt": "c", "completion": "d"}\n]')
    assert [(row.index, row.line) for row in read_rows(find_dataset(str(path)))] == [(0, 3), (1, 5)]
    path = tmp_path / "b.csv"
    path.write_text('prompt,completion\n"a\nb",c\nd,e\n')
    assert [row.line for row in read_rows(find_dataset(str(path)))] == [2, 4]


def test_a_document_is_read_across_windows(tmp_path: Path):
    """Rows larger than a window, and a window's edge inside a row, a string and a number."""
    rows = [{"text": "x" * length, "n": 123456789} for length in (10, 3_000_000, 1_048_570, 5, 1_048_576)]
    path = tmp_path / "big.json"
    path.write_text(json.dumps(rows, indent=1))
    found = list(read_rows(find_dataset(str(path))))
    assert [dict(row.value) for row in found] == rows
    assert [row.line for row in found] == [2, 6, 10, 14, 18]


def test_a_bad_row_keeps_its_number(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a"}\nbroken\n{"text": "b"}\n')
    assert [(row.index, row.line, row.value is None) for row in read_rows(find_dataset(str(path)))] == [
        (0, 1, False),
        (1, 2, True),
        (2, 3, False),
    ]


def test_a_folder_is_read_by_its_commonest_kind_and_its_split_names(tmp_path: Path):
    for name in ("train-00000.jsonl", "train-00001.jsonl", "test.jsonl"):
        (tmp_path / name).write_bytes(JSONL)
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "dataset_info.json").write_text("{}")
    found = find_dataset(str(tmp_path))
    assert [file.path.name for file in found.files] == ["train-00000.jsonl", "train-00001.jsonl"]
    assert [file.path.name for file in found.eval_files] == ["test.jsonl"]
    assert "notes.txt" in found.note
    rows = list(read_rows(found))
    assert [row.index for row in rows] == list(range(100))
    assert rows[50].file.endswith("train-00001.jsonl") and rows[50].line == 1


@pytest.mark.parametrize(
    ("path", "fragment"),
    [
        ("trian.jsonl", "Did you mean train.jsonl"),
        ("nowhere/x.jsonl", "There is no folder"),
        ("", "no dataset was named"),
        ("empty", "no data file in this folder"),
        ("model", "this folder is a model"),
        ("a\0b", "no such file"),
    ],
)
def test_what_cannot_be_found_is_said_in_one_sentence(tmp_path: Path, monkeypatch, path: str, fragment: str):
    monkeypatch.chdir(tmp_path)
    Path("train.jsonl").write_bytes(JSONL)
    Path("empty").mkdir()
    Path("model").mkdir()
    Path("model/config.json").write_text("{}")
    with pytest.raises(DatasetError) as raised:
        find_dataset(path)
    assert fragment in raised.value.sentence and "\n" not in raised.value.sentence


@pytest.mark.parametrize("file", ["", "config.json", "tokenizer.json", "model.safetensors"])
def test_a_model_is_no_dataset_and_where_it_belongs_is_said(file: str):
    with pytest.raises(DatasetError) as raised:
        find_dataset(str(demo_model_path() / file))
    assert "model, not a dataset: choose it as the model (step 2, or --model)" in raised.value.sentence


def test_an_adapter_is_no_dataset(tmp_path: Path):
    (tmp_path / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (tmp_path / "tokenizer_config.json").write_text("{}")
    with pytest.raises(DatasetError, match="this folder is an adapter, not a dataset: name it as lora"):
        find_dataset(str(tmp_path))


def test_rows_beside_a_model_or_a_config_of_their_own_are_read(tmp_path: Path):
    for name in ("config.json", "tokenizer.json", "generation_config.json"):
        shutil.copy(demo_model_path() / name, tmp_path)
    (tmp_path / "train.jsonl").write_bytes(JSONL)
    assert [file.path.name for file in find_dataset(str(tmp_path)).files] == ["train.jsonl"]
    other = tmp_path / "other"
    (other / "data").mkdir(parents=True)
    (other / "config.json").write_text('{"builder": "json"}')
    for name in ("vocab.json", "data/rows.jsonl"):
        (other / name).write_bytes(JSONL)
    assert [file.path.name for file in find_dataset(str(other)).files] == ["vocab.json"]


def test_a_dataset_of_the_hub_is_read_from_the_cache(tmp_path: Path, monkeypatch):
    set_hub(monkeypatch, HF_HUB_CACHE=str(tmp_path))
    folder = tmp_path / "datasets--someone--sums" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: easy\n  data_files:\n  - split: train\n    path: easy/*.jsonl\n"
        "- config_name: hard\n  default: true\n  data_files:\n  - split: train\n    path: hard.jsonl\n  - split: "
        "test\n    path: hard-test.jsonl\n---\nSums.\n"
    )
    (folder / "easy").mkdir()
    for name, count in (("easy/a.jsonl", 3), ("hard.jsonl", 5), ("hard-test.jsonl", 2)):
        (folder / name).write_bytes(b"".join(JSONL.splitlines(keepends=True)[:count]))
    found = find_dataset("someone/sums")
    assert (
        found.kind == "hub" and len(list(read_rows(found))) == 5 and len(list(read_rows(found, evaluation=True))) == 2
    )
    assert len(list(read_rows(find_dataset("someone/sums", configuration="easy")))) == 3
    assert len(list(read_rows(find_dataset("someone/sums", split="test")))) == 2
    with pytest.raises(DatasetError, match="no split 'dev': it has train, test"):
        find_dataset("someone/sums", split="dev")
    with pytest.raises(DatasetError, match="no configuration 'medium': it has easy, hard"):
        find_dataset("someone/sums", configuration="medium")
    set_hub(monkeypatch, HF_HUB_CACHE=str(tmp_path), HF_HUB_OFFLINE="1")
    with pytest.raises(DatasetError, match="HF_HUB_OFFLINE forbids asking the hub"):
        find_dataset("no/such")


SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not here")
@pytest.mark.parametrize(
    ("name", "format", "count"),
    [
        ("gsm8k_train.jsonl", "prompt-completion", 7473),
        ("gsm8k_test.jsonl", "prompt-completion", 1319),
        ("alpaca_en_demo.json", "instruction", 999),
    ],
)
def test_real_files_are_understood_to_the_last_row(name: str, format: str, count: int):
    reading = read_whole(SHARED / name)
    assert reading.recognition.format == format
    assert len(reading.conversations) == count
    assert not [problem for problem in reading.problems if problem[1] not in ("placeholder", "encoding")]
