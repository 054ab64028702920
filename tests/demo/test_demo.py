"""The built-in demo: what is shipped, and that a short fine-tuning visibly changes what the model does."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import tomllib
from pathlib import Path
from random import Random
from types import ModuleType

import pytest

from loratui.core.plan_text import fields
from loratui.core.presets import preset_from_toml
from loratui.paths import (
    demo_dataset_path,
    demo_heldout_path,
    demo_model_path,
    demo_preferences_path,
    presets_path,
)

ROOT = Path(__file__).resolve().parents[2]
DEMO = demo_dataset_path().parent
SHORT_STEPS = 60
"""Of the recipe's 100."""
RECORD = {"name": str, "item": str, "colour": str, "count": int, "price": int, "day": str}


def _module(name: str, path: Path) -> ModuleType:
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    return _module("make_demo", ROOT / "scripts" / "make_demo.py")


@pytest.fixture(scope="module")
def benchmark_script() -> ModuleType:
    return _module("benchmarks_demo", ROOT / "benchmarks" / "demo.py")


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_whole_demo_is_at_most_five_megabytes() -> None:
    assert sum(file.stat().st_size for file in DEMO.rglob("*") if file.is_file()) <= 5_000_000


def test_every_row_is_a_prompt_and_its_record() -> None:
    for path in (demo_dataset_path(), demo_heldout_path()):
        for row in _rows(path):
            assert list(row) == ["prompt", "completion"]
            record = json.loads(row["completion"])
            assert {key: type(value) for key, value in record.items()} == RECORD
            assert row["completion"] == json.dumps(record)
            assert all(str(record[key]) in row["prompt"] for key in ("name", "colour", "price", "day"))


def test_the_preferred_record_says_the_same_and_begins_with_the_price() -> None:
    learnt, held_out = _rows(demo_preferences_path()), _rows(demo_preferences_path(held_out=True))
    assert len(learnt) >= 400 and len(held_out) >= 100
    for row in (*learnt, *held_out):
        assert list(row) == ["prompt", "chosen", "rejected"]
        chosen, rejected = json.loads(row["chosen"]), json.loads(row["rejected"])
        assert chosen == rejected and next(iter(chosen)) == "price" and next(iter(rejected)) == "name"
    assert not {row["prompt"] for row in learnt} & {row["prompt"] for row in held_out}


def test_the_pairs_are_those_that_the_script_makes(maker: ModuleType) -> None:
    train, held_out = maker.make_rows()
    assert _rows(demo_preferences_path()) == maker.make_pairs(train, maker.TRAIN_PAIRS)
    assert _rows(demo_preferences_path(held_out=True)) == maker.make_pairs(held_out, maker.HELD_OUT_PAIRS)


def test_there_is_enough_to_train_on_and_to_measure_with() -> None:
    assert len(_rows(demo_dataset_path())) >= 1_000
    assert len(_rows(demo_heldout_path())) >= 100


def test_held_out_customers_are_never_trained_on() -> None:
    train, held_out = _rows(demo_dataset_path()), _rows(demo_heldout_path())
    assert not {row["prompt"] for row in train} & {row["prompt"] for row in held_out}

    def customers(rows: list[dict[str, str]]) -> set[str]:
        return {json.loads(row["completion"])["name"] for row in rows}

    assert not customers(train) & customers(held_out)


def test_half_of_the_held_out_rows_have_words_that_no_training_row_has() -> None:
    words = {word for row in _rows(demo_dataset_path()) for word in row["prompt"].replace(",", "").split()}
    strange = 0
    for row in _rows(demo_heldout_path()):
        record = json.loads(row["completion"])
        strange += not {*record["name"].split(), record["item"]} & words
    assert strange >= len(_rows(demo_heldout_path())) // 2


def test_generator_makes_the_shipped_rows(maker: ModuleType) -> None:
    train, held_out = maker.make_rows()
    assert maker.rows_text(train) == demo_dataset_path().read_text(encoding="utf-8")
    assert maker.rows_text(held_out) == demo_heldout_path().read_text(encoding="utf-8")


def test_base_is_never_schooled_to_answer_an_order_with_json(maker: ModuleType) -> None:
    conversations = importlib.import_module("demo.conversations")  # `maker` has put scripts/ on the path
    rng = Random(0)
    drawn = [conversations.draw_conversation(rng) for _ in range(3_000)]
    answers = [turns[1][1] for turns in drawn]
    records = [json.loads(answer) for answer in answers if answer.startswith("{")]
    assert len(records) > 300
    assert not any(set(record) == set(RECORD) for record in records)


def test_model_folder_is_complete() -> None:
    folder = demo_model_path()
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert config["dtype"] == "float32"
    tokens = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    assert len(tokens["model"]["vocab"]) == config["vocab_size"]
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    settings = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    assert settings["eos_token"] in template
    ids = {token["content"]: token["id"] for token in tokens["added_tokens"]}
    generation = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
    assert ids[settings["eos_token"]] == config["eos_token_id"] == generation["eos_token_id"]
    assert ids[settings["pad_token"]] == config["pad_token_id"] != config["eos_token_id"]


def test_the_tokenizer_is_kept_in_sentencepieces_form_too(maker: ModuleType) -> None:
    pieces = importlib.import_module("demo.sentencepiece")
    tokens = json.loads((demo_model_path() / "tokenizer.json").read_text(encoding="utf-8"))
    names = sorted(tokens["model"]["vocab"], key=tokens["model"]["vocab"].__getitem__)
    special = [token["content"] for token in tokens["added_tokens"]]
    made = pieces.model_file(names, special)
    assert (demo_model_path() / "tokenizer.model").read_bytes() == made
    assert all(name in names for name in map(pieces.byte_piece, (0, *range(128, 256)))), "any text can be written"
    parts = [part for piece in tokens["model"]["merges"] for part in piece]
    assert set(parts) <= set(names)


def test_no_token_joins_words_so_that_the_merges_need_no_words() -> None:
    """llama.cpp merges over the whole text, tokenizers within words: they agree while no token crosses a border."""
    tokens = json.loads((demo_model_path() / "tokenizer.json").read_text(encoding="utf-8"))
    special = {token["content"] for token in tokens["added_tokens"]}
    for piece in set(tokens["model"]["vocab"]) - special:
        if len(piece) > 1 and not piece.startswith("<0x"):
            assert piece.isalpha() or not any(one.isalnum() or one == "\n" for one in piece), piece


def test_weights_have_the_names_that_lora_looks_for() -> None:
    with (demo_model_path() / "model.safetensors").open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    names = {name.split(".")[-2] for name in header if name.endswith("proj.weight")}
    assert names == {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
    assert {entry["dtype"] for name, entry in header.items() if name != "__metadata__"} == {"F32"}


def test_recipe_is_a_preset_of_plan_keys() -> None:
    text = (presets_path() / "demo.toml").read_text(encoding="utf-8")
    preset = preset_from_toml(text, "demo.toml")
    assert preset.name == "demo"
    assert set(tomllib.loads(text)["values"]) <= set(fields())


@pytest.mark.worker
def test_chat_template_keeps_a_prefix_and_marks_the_answers() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(demo_model_path())
    row = _rows(demo_heldout_path())[0]
    question = [{"role": "user", "content": row["prompt"]}]
    whole = [*question, {"role": "assistant", "content": row["completion"]}]
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True)["input_ids"]
    made = tokenizer.apply_chat_template(whole, return_dict=True, return_assistant_tokens_mask=True)
    assert made["input_ids"][: len(prompt)] == prompt
    answer = [token for token, said in zip(made["input_ids"], made["assistant_masks"], strict=True) if said]
    assert tokenizer.decode(answer) == row["completion"] + tokenizer.eos_token
    assert tokenizer.decode(tokenizer("Grüße, 你好!\n\t<b>")["input_ids"]) == "Grüße, 你好!\n\t<b>"


@pytest.mark.worker
@pytest.mark.usefixtures("ready_workers")
def test_short_fine_tuning_turns_prose_into_records(benchmark_script: ModuleType, tmp_path: Path) -> None:
    rows = _rows(demo_heldout_path())[:60]
    prompts = [row["prompt"] for row in rows]
    before = benchmark_script.answers(prompts)
    assert benchmark_script.exact_match(before, rows) <= 0.05
    assert not any(answer.startswith("{") for answer in before)
    plan = benchmark_script.demo_plan({"training.max_steps": SHORT_STEPS})
    adapter, _ = benchmark_script.train_with_worker(plan, tmp_path / "run")
    assert benchmark_script.exact_match(benchmark_script.answers(prompts, adapter), rows) >= 0.9
