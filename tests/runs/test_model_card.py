"""The model card says what the run's own files say, harmlessly, and where nobody keeps what."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from loratui.commands.card import command
from loratui.core.errors import LoratuiError
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_from_toml, plan_to_toml, with_values
from loratui.runs.directory import Run
from loratui.runs.events import encode, make
from loratui.runs.model_card import MARK, hub_name, model_card, write_model_card


def finished_run(folder: Path, *, result_step: int = 0, **values: Any) -> Run:
    folder.mkdir(parents=True)
    run = Run(folder)
    plan = with_values(
        Plan(),
        {
            "model.id": "acme/small-1b",
            "dataset.path": "acme/orders",
            **{key.replace("__", "."): value for key, value in values.items()},
        },
    )
    run.plan_path.write_text(plan_to_toml(plan))
    run.fingerprint_path.write_text(json.dumps({"data": {"train": "abc123", "held_out": "def456"}}))
    run.machine_path.write_text(json.dumps({"device": "NVIDIA T4", "versions": {"torch": "2.13.0", "peft": "0.21.2"}}))
    events = [
        make("data", 1.0, examples=90, eval_examples=10, left_out=3, tokens=12_000, trained_tokens=5_000, cut=2),
        make("started", 2.0, parameters_total=1_000_000, parameters_trainable=4_096),
        *(make("step", 3.0 + step, step=step, loss=3.0 / step) for step in range(1, 21)),
        make("eval", 30.0, step=10, loss=0.75, perplexity=2.117, rows=10),
        make("eval", 31.0, step=20, loss=0.5, perplexity=1.6487, exact_match=0.25, rouge_l=0.5, generated=8, rows=10),
        make("sample", 32.0, step=20, prompt="a secret prompt", answer="a secret answer"),
        make("finding", 33.0, finding="overfitting", severity="warning", message="/home/somebody/rows.jsonl rises"),
        make(
            "finished",
            1_795_235_660.0,
            step=20,
            seconds=9.0,
            loss=0.15,
            result="adapter",
            result_step=result_step or 20,
        ),
    ]
    run.events_path.write_text("".join(encode(event) + "\n" for event in events))
    return run


def front_matter(card: str) -> dict[str, Any]:
    head = re.match(r"---\n(.*?)\n---\n", card, re.S)
    assert head is not None
    document = yaml.safe_load(head[1])
    assert isinstance(document, dict)
    return document


def test_it_says_what_the_events_say(tmp_path: Path) -> None:
    card = model_card(finished_run(tmp_path / "orders-1"))
    assert front_matter(card) == {
        "base_model": "acme/small-1b",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "datasets": ["acme/orders"],
        "tags": ["base_model:adapter:acme/small-1b", "lora", "sft", "transformers", "loratui"],
    }
    for words in (
        "step 1: 3.0000",
        "step 20: 0.1500",
        "| 10 | 0.7500 | 2.12 | – | – |",
        "| 20 | 0.5000 | 1.65 | 0.250 | 0.500 |",
        "`abc123`",
        "`def456`",
        "4,096 of 1,000,000",
        "90 trained on, 10 held out, 3 left out",
        "`NVIDIA T4`",
        "`torch 2.13.0`",
        "`overfitting`",
        "2026-11-21 after 20 steps",
        MARK,
    ):
        assert words in card, words
    assert "secret" not in card and "somebody" not in card, "neither rows nor places of a disk"
    plan = re.search(r"```toml\n(.*?)```", card, re.S)
    assert plan is not None and plan_from_toml(plan[1]).lora == Plan().lora


def test_the_best_steps_weights_are_named(tmp_path: Path) -> None:
    assert "those of step 10" in model_card(finished_run(tmp_path / "one", result_step=10))
    assert "those of step" not in model_card(finished_run(tmp_path / "two"))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"method__kind": "qlora", "method__quantization": "nf4"}, "BitsAndBytesConfig(load_in_4bit=True"),
        ({"method__kind": "qlora", "method__quantization": "int8"}, "load_in_8bit=True"),
        ({"method__kind": "full"}, 'AutoModelForCausalLM.from_pretrained("PATH_OR_ID"'),
        ({"model__revision": "v2"}, 'revision="v2"'),
        ({"model__id": "demo"}, "from_pretrained(str(demo_model_path())"),
        ({"model__id": "/home/somebody/tiny"}, 'from_pretrained("PATH_OF_THE_BASE"'),
    ],
)
def test_the_code_to_load_it_is_python(tmp_path: Path, values: dict[str, Any], words: str) -> None:
    card = model_card(finished_run(tmp_path / "run", **values))
    code = re.search(r"```python\n(.*?)```", card, re.S)
    assert code is not None and words in code[1]
    ast.parse(code[1])
    assert ("peft" in front_matter(card)["library_name"]) == (values.get("method__kind") != "full")


def test_local_places_and_hostile_names_do_no_harm(tmp_path: Path) -> None:
    base = tmp_path / "somebody" / "evil`\n---\nlicense: mit <script>"
    base.mkdir(parents=True)
    card = model_card(
        finished_run(
            tmp_path / "`run` | <b>", model__id=str(base), dataset__path=str(tmp_path / "private" / "rows.jsonl")
        )
    )
    assert str(tmp_path) not in card and "somebody" not in card and "private" not in card
    assert front_matter(card) == {
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["lora", "sft", "transformers", "loratui"],
    }, "a local folder is no base model of the hub"
    assert "local folder" in card and "`rows.jsonl`" in card
    outside = re.sub(r"(?s)(`{3,})\w+\n.*?\n\1|`[^`\n]*`", "", card)
    assert "<script>" not in outside and "<b>" not in outside


def test_names_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert hub_name("acme/x-1.5B") == "acme/x-1.5B" and hub_name("gpt2") == "gpt2"
    assert not any(map(hub_name, ("demo", "mine", "/a/b", "a/b/c", "~/x", "../x", "a b")))


def test_an_empty_run_has_an_honest_card(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    for path in (run.events_path, run.machine_path, run.fingerprint_path):
        path.unlink()
    card = model_card(run)
    assert "Nothing was evaluated" in card and "ended on" not in card


def test_command_prints_writes_and_respects_what_was_written_by_hand(tmp_path: Path) -> None:
    run = finished_run(tmp_path / "run")
    printed = CliRunner().invoke(command, [str(run.path)], catch_exceptions=False)
    assert printed.output == model_card(run)
    with pytest.raises(LoratuiError, match="no result yet"):
        CliRunner().invoke(command, [str(run.path), "--write"], catch_exceptions=False)
    run.adapter_path.mkdir()
    path = write_model_card(run)
    assert CliRunner().invoke(command, [str(run.path), "--write"], catch_exceptions=False).exit_code == 0
    path.write_text("my own words")
    with pytest.raises(LoratuiError, match="by hand"):
        CliRunner().invoke(command, [str(run.path), "--write"], catch_exceptions=False)
    assert CliRunner().invoke(command, [str(run.path), "--write", "--force"], catch_exceptions=False).exit_code == 0
    assert MARK in path.read_text()
