"""A right template is never replaced, and a token that the model does not have is found before it is trained on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from template_tokenizer import ROWS, TEMPLATES, with_template
from tiny_model import write_rows, write_tiny_model

from loratui.core.errors import DatasetError, PlanError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values

pytestmark = pytest.mark.worker


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("stop") / "model")


def text_model(model: Path, template: str, stops: tuple[str, ...] = ()) -> Any:
    from loratui.worker.inspecting.model import load_text_model

    found = load_text_model(with_values(Plan(), {"model.id": str(model)}))
    tokenizer = with_template(template)
    spec = replace(found.found.spec, vocab_size=len(tokenizer))
    ids = frozenset(tokenizer.convert_tokens_to_ids(list(stops)))
    return replace(found, tokenizer=tokenizer, stop_ids=ids, found=found.found._replace(spec=spec))


@pytest.mark.parametrize("name", ["llama3", "llama3_1", "qwen3", "gemma3", "phi3"])
def test_a_right_template_is_kept_and_its_own_token_ends_answers(model: Path, tmp_path: Path, name: str) -> None:
    from loratui.worker.inspecting.inspection import Inspection

    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps(ROWS["multi"]) + "\n")
    plan = with_values(Plan(), {"model.id": str(model), "dataset.path": str(path)})
    fix = text_model(model, TEMPLATES[name]).stop_fix(plan)
    if name == "phi3":
        assert fix.get("model.chat_template", "phi3_training") == "phi3_training"
        return
    end = {"llama3": "<|eot_id|>", "llama3_1": "<|eot_id|>", "qwen3": "<|im_end|>", "gemma3": "<end_of_turn>"}[name]
    assert fix == {"model.end_token": end}
    mended = with_values(plan, fix)
    tried = text_model(model, TEMPLATES[name])
    tried.tokenizer.eos_token = end
    result = Inspection(mended, [].append).run(tried)
    assert (result["stop_token"]["trained"], result["stop_token"]["missing"]) == (1, 0)


def test_glm_is_mended_by_trls_own_template(model: Path) -> None:
    plan = with_values(Plan(), {"model.id": str(model)})
    fix = text_model(model, TEMPLATES["glm4moe"], ("<|user|>", "<|observation|>")).stop_fix(plan)
    assert fix == {"model.chat_template": "glm4moe_training"}


def test_the_end_token_reaches_what_is_saved(model: Path) -> None:
    from loratui.worker.tokenizer import load_tokenizer

    plan = with_values(Plan(), {"model.id": str(model), "model.end_token": "<|endoftext|>"})
    assert load_tokenizer(plan).eos_token == "<|endoftext|>"
    with pytest.raises(PlanError, match="no token of this tokenizer"):
        load_tokenizer(with_values(plan, {"model.end_token": "<|never|>"}))


def test_ids_beyond_the_vocabulary_are_found_and_not_trained_on(model: Path, tmp_path: Path) -> None:
    from loratui.worker.inspecting.inspection import Inspection
    from loratui.worker.inspecting.model import load_text_model
    from loratui.worker.training.dataset import prepare

    path = tmp_path / "rows.jsonl"
    rows = [{"input_ids": [5, 6, 7]}, {"input_ids": [5, 90_000, 7]}, {"input_ids": [5, 6], "labels": [-100, 6]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    plan = with_values(Plan(), {"model.id": str(model), "dataset.path": str(path), "dataset.eval_fraction": 0.0})
    found = load_text_model(plan)
    result = Inspection(plan, [].append).run(found)
    assert result["usable"] == 2 and result["problem_counts"]["vocabulary"] == 1
    [problem] = [one for one in result["problems"] if one["kind"] == "vocabulary"]
    assert problem["line"] == 2 and problem["blocking"] and "token id 90,000 is beyond" in problem["message"]
    with pytest.raises(DatasetError, match=r"line 2: token id 90,000 is beyond the model's vocabulary"):
        prepare(plan, found.tokeniser(plan, 512))


def test_a_tokenizer_that_knows_more_than_the_model_is_found(model: Path, tmp_path: Path) -> None:
    from loratui.worker.tokenise import Tokeniser
    from loratui.worker.tokenizer import load_tokenizer

    path = write_rows(tmp_path / "rows.jsonl", 2)
    plan = with_values(Plan(), {"model.id": str(model), "dataset.path": str(path)})
    tokenizer = load_tokenizer(plan)
    size = len(tokenizer)
    tokenizer.add_tokens(["<extra>"])
    from loratui.data.conversation import Conversation, Message

    rows = [Conversation((Message("user", "a"), Message("assistant", text, True))) for text in ("b", "b <extra>", "c")]
    kinds = [type(row).__name__ for row in Tokeniser(tokenizer, vocabulary=size).many(rows)]
    assert kinds == ["Tokenised", "BeyondVocabulary", "Tokenised"]
