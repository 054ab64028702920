"""A name is offered only where it may have been meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from loratui.core.near import near
from loratui.core.plan_text import fields
from loratui.data.find import find_dataset
from loratui.models.find import find_model


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("training.learning_rat", "training.learning_rate"),
        ("learning_rate", "training.learning_rate"),
        ("lora.rank", "lora.r"),
        ("trainig.epochs", "training.epochs"),
        ("dataset.pth", "dataset.path"),
        ("training.lr", ""),
        ("dataset.rows", ""),
    ],
)
def test_a_key_is_offered_where_it_is_alike(typed: str, meant: str) -> None:
    assert near(typed, fields()) == ([meant] if meant else [])


@pytest.mark.parametrize(
    ("typed", "there", "meant"),
    [
        ("llama", ["data", "llama-1b", "models"], ["llama-1b"]),
        ("Llama-1B", ["llama-1b"], ["llama-1b"]),
        ("data.jsonl", ["date.jsonl", "eval.jsonl", "train.jsonl"], ["date.jsonl"]),
        ("my-model", ["home", "mode", "notes"], []),
        ("nothing", ["hints", "thin-ice", "notes", "dev"], []),
        ("a", ["ab", "abc"], []),
    ],
)
def test_names_that_share_letters_only_are_no_suggestion(typed: str, there: list[str], meant: list[str]) -> None:
    assert near(typed, there, 3) == meant


def test_a_wrong_path_is_told_without_names_that_are_nothing_alike(tmp_path: Path) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "evaluation.jsonl").write_text('{"text": "a"}\n')
    with pytest.raises(Exception, match="no such folder") as model:
        find_model(str(tmp_path / "my-lama"), online=False)
    with pytest.raises(Exception, match="no such file") as data:
        find_dataset(str(tmp_path / "questions.jsonl"))
    assert "Did you mean" not in str(model.value) + str(data.value)
    assert "evaluation.jsonl" in str(data.value), "what is there is named as what is there"
