"""A tokenizer beside its weights keeps what llama.cpp's converter needs of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("transformers")

from tokenizers import Tokenizer, models, processors
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from loratui.paths import demo_model_path
from loratui.worker.saved_tokenizer import added_around, save_tokenizer

pytestmark = pytest.mark.worker
TEXT = "Grüße,  Anna Meier ordered 3 lamps.\n<|im_start|>user"


def test_the_scores_of_its_pieces_go_with_it_and_it_answers_as_before(tmp_path: Path) -> None:
    before = AutoTokenizer.from_pretrained(demo_model_path())
    save_tokenizer(before, tmp_path, str(demo_model_path()))
    assert (tmp_path / "tokenizer.model").read_bytes() == (demo_model_path() / "tokenizer.model").read_bytes()
    settings = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert settings["add_bos_token"] is False and settings["add_eos_token"] is False
    assert settings["add_prefix_space"] is False
    names = {"tokenizer_class": "PreTrainedTokenizerFast", "additional_special_tokens": ["<|im_start|>"]}
    assert names.items() <= settings.items() and "extra_special_tokens" not in settings, "as transformers 4 reads it"
    after = AutoTokenizer.from_pretrained(tmp_path)
    assert after(TEXT)["input_ids"] == before(TEXT)["input_ids"] and after.chat_template == before.chat_template
    assert set(after.all_special_tokens) == set(before.all_special_tokens)


@pytest.mark.parametrize("source", ["nobody/nothing-of-this-name", "folder"])
def test_of_a_model_without_them_nothing_is_added(tmp_path: Path, source: str) -> None:
    place = str(tmp_path) if source == "folder" else source
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"a": 0, "<u>": 1}, "<u>")))
    save_tokenizer(tokenizer, tmp_path / "out", place)
    assert not (tmp_path / "out" / "tokenizer.model").exists()
    assert "add_bos_token" not in json.loads((tmp_path / "out" / "tokenizer_config.json").read_text())


@pytest.mark.parametrize(
    ("template", "wanted"),
    [
        ("<s> $A", {"add_bos_token": True, "add_eos_token": False}),
        ("<s> $A </s>", {"add_bos_token": True, "add_eos_token": True}),
        ("$A", {"add_bos_token": False, "add_eos_token": False}),
        ("<x> $A", {}),
    ],
)
def test_what_stands_around_a_text_is_said_as_it_is(template: str, wanted: dict[str, bool]) -> None:
    vocabulary = {"a": 0, "<s>": 1, "</s>": 2, "<x>": 3}
    backend = Tokenizer(models.WordLevel(vocabulary, "a"))
    special = [(name, number) for name, number in vocabulary.items() if name != "a"]
    backend.post_processor = processors.TemplateProcessing(single=template, special_tokens=special)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")
    assert added_around(tokenizer) == wanted
