"""Datasets that the hub has and this machine has not: what is fetched, and why something is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub_standin import set_hub
from loratui.core.errors import DatasetError
from loratui.data.find import find_dataset
from loratui.data.read import read_rows

CARD = b"""---
configs:
- config_name: easy
  default: true
  data_files:
  - split: train
    path: easy/*.jsonl
  - split: test
    path: easy-test.jsonl
- config_name: hard
  data_files: hard.jsonl
---
Sums.
"""
ROW = b'{"instruction": "1 + 1", "output": "2"}\n'
FILES = {
    "README.md": CARD,
    "easy/a.jsonl": ROW * 3,
    "easy/b.jsonl": ROW * 4,
    "easy-test.jsonl": ROW * 2,
    "hard.jsonl": ROW * 5,
    "picture.png": b"x",
    "../../evil.jsonl": ROW,
}


def test_one_configuration_is_fetched_with_what_is_held_out_and_once(hub) -> None:
    hub.datasets = {"me/sums": FILES}
    found = find_dataset("me/sums")
    assert (
        found.kind == "hub" and len(list(read_rows(found))) == 7 and len(list(read_rows(found, evaluation=True))) == 2
    )
    assert sorted(hub.fetched) == ["README.md", "easy-test.jsonl", "easy/a.jsonl", "easy/b.jsonl"]
    assert find_dataset("me/sums").files == found.files and len(hub.fetched) == 4
    assert len(list(read_rows(find_dataset("me/sums", configuration="hard")))) == 5 and hub.fetched[-1] == "hard.jsonl"


def test_without_a_card_the_names_tell_the_splits(hub) -> None:
    hub.datasets = {"me/plain": {"data/train-00000-of-00001.jsonl": ROW * 3, "data/test-00000-of-00001.jsonl": ROW}}
    found = find_dataset("me/plain")
    assert len(list(read_rows(found))) == 3 and len(list(read_rows(found, evaluation=True))) == 1


@pytest.mark.parametrize(
    ("id", "options", "says"),
    [
        ("me/none", {}, "knows no dataset of this name"),
        ("me/gated", {}, "gated, and no token was found"),
        ("me/script", {}, "no data files that loratui reads"),
        ("me/sums", {"split": "dev"}, "no split 'dev': it has train, test"),
        ("me/sums", {"configuration": "odd"}, "no configuration 'odd': it has easy, hard"),
    ],
)
def test_a_refusal_is_told_with_its_reason(hub, id: str, options: dict[str, str], says: str) -> None:
    hub.datasets = {"me/sums": FILES, "me/script": {"sums.py": b"print()", "README.md": b"Sums."}}
    with pytest.raises(DatasetError, match=says) as raised:
        find_dataset(id, **options)
    assert "\n" not in raised.value.sentence


def test_a_gated_dataset_without_a_grant_says_so(hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    with pytest.raises(DatasetError, match="your account has no access"):
        find_dataset("me/gated")


def test_where_the_hub_cannot_be_reached_the_sentence_says_so(
    hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_hub(monkeypatch, HF_ENDPOINT="http://127.0.0.1:1", HF_HOME=str(tmp_path))
    with pytest.raises(DatasetError, match="the hub cannot be reached"):
        find_dataset("me/sums")
