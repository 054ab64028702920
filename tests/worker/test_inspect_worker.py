"""The inspect worker: the contract of `inspect --json`, messages on the way, rows on request, one sentence when it
cannot.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_model import write_rows, write_tiny_model

from loratui.core.errors import DatasetError, ModelError, PlanError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.workers.inspect_client import InspectClient, inspect_dataset

pytestmark = pytest.mark.worker
CHAT = (
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ "
    "'assistant: ' }}{% endif %}"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("inspect") / "model")


@pytest.fixture(scope="module")
def text_model(model: Path):
    from loratui.worker.inspecting.model import load_text_model

    return load_text_model(with_values(Plan(), {"model.id": str(model)}))


def plan_for(model: Path, data: Path, **values) -> Plan:
    return with_values(Plan(), {"model.id": str(model), "dataset.path": str(data), **values})


def inspected(plan: Plan, text_model, messages: list | None = None) -> dict:
    """The result without a process."""
    from loratui.worker.inspecting.inspection import Inspection

    return Inspection(plan, (messages if messages is not None else []).append).run(text_model)


@pytest.mark.usefixtures("ready_workers")
def test_the_contract(model: Path, tmp_path: Path):
    path = write_rows(tmp_path / "rows.jsonl", 300)
    with path.open("a") as file:
        file.write('broken\n{"prompt": "x", "completion": ""}\n')
    messages: list[dict] = []
    result = inspect_dataset(plan_for(model, path), on_message=messages.append)
    assert messages[0]["type"] == "recognised" and messages[0]["columns"] == {
        "prompt": "prompt",
        "completion": "completion",
    }
    assert {"progress", "partial"} <= {message["type"] for message in messages}
    assert result["format"] == "prompt-completion"
    assert (result["examples"], result["usable"]) == (302, 300)
    bad = [problem for problem in result["problems"] if problem["blocking"]]
    assert [(problem["line"], problem["index"], problem["kind"]) for problem in bad] == [
        (301, 300, "json"),
        (302, 301, "empty-answer"),
    ]
    assert all(isinstance(problem["message"], str) for problem in result["problems"])
    assert set(result["tokens"]) == {"min", "median", "p90", "p95", "p99", "max", "total"}
    assert 0 < result["trained_tokens"] < result["tokens"]["total"]
    assert {key: result["truncation"][key] for key in ("max_length", "cut", "without_answer")} == {
        "max_length": 1024,
        "cut": 0,
        "without_answer": 0,
    }
    assert {key: result["stop_token"][key] for key in ("trained", "missing", "token")} == {
        "trained": 300,
        "missing": 0,
        "token": "<|im_end|>",
    }
    assert sum(result["histogram"]["counts"]) == 300
    assert len(result["histogram"]["edges"]) == len(result["histogram"]["counts"]) + 1
    split = {"train": 285, "evaluation": 15, "seed": 42}
    assert result["split"] == split | {"eval_fraction": 0.05, "eval_count": 0}


@pytest.mark.usefixtures("ready_workers")
@pytest.mark.parametrize(
    ("dataset", "model_id", "error", "fragment"),
    [
        ("no-such.jsonl", "", DatasetError, "no such file"),
        ("shape.jsonl", "", DatasetError, "no known shape"),
        ("broken.json", "", DatasetError, "line 2"),
        ("good.jsonl", "/no/such/model", ModelError, "no such folder"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(
    model: Path, tmp_path: Path, dataset: str, model_id: str, error: type, fragment: str
):
    (tmp_path / "shape.jsonl").write_text('{"foo": 1}\n')
    (tmp_path / "broken.json").write_text('[{"prompt": "a", "completion": "b"},\n{"prompt": }]')
    write_rows(tmp_path / "good.jsonl", 3)
    with pytest.raises(error) as raised:
        inspect_dataset(
            with_values(Plan(), {"model.id": model_id or str(model), "dataset.path": str(tmp_path / dataset)})
        )
    assert fragment in str(raised.value) and "\n" not in str(raised.value) and "Traceback" not in str(raised.value)


def test_a_wrong_plan_is_named(monkeypatch, tmp_path: Path):
    import loratui.workers.inspect_client as client

    monkeypatch.setattr(client, "_request", lambda plan, rows, rows_only: b'{"plan": {"lora": {"rank": 3}}}\n')
    with pytest.raises(PlanError, match=r"there is no key lora\.rank"):
        inspect_dataset(Plan())


@pytest.mark.usefixtures("ready_workers")
async def test_rows_come_as_the_trainer_receives_them(model: Path, tmp_path: Path):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"prompt": "世界?", "completion": "é🙂 done"}, ensure_ascii=False) + "\nbroken\n")
    client = InspectClient()
    kinds = [message["type"] async for message in client.inspect(plan_for(model, path), rows=[0])]
    assert kinds[0] == "recognised" and kinds[-1] == "result" and "rows" in kinds
    good, bad = await client.rows([0, 1])
    assert (
        "".join(text for _, text, *_ in good["tokens"])
        == "<|im_start|>user\n世界?<|im_end|>\n<|im_start|>assistant\né🙂 done<|im_end|>\n"
    )
    assert "".join(text for _, text, trained, *_ in good["tokens"] if trained) == "é🙂 done<|im_end|>"
    assert [text for _, text, _, special, _ in good["tokens"] if special] == [
        "<|im_start|>",
        "<|im_end|>",
        "<|im_start|>",
        "<|im_end|>",
    ]
    assert (good["answers"], good["answers_ended"]) == (1, 1)
    assert bad["tokens"] == [] and "not valid JSON" in bad["problem"]
    await client.close()


async def test_closing_ends_the_worker_at_once(model: Path, tmp_path: Path):
    import os

    client = InspectClient()
    stream = client.inspect(plan_for(model, write_rows(tmp_path / "rows.jsonl", 20_000)))
    assert (await anext(stream))["type"] == "recognised"
    pid = client.process_id
    await client.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_truncation_ledger_adds_up(model: Path, text_model, tmp_path: Path):
    path = write_rows(tmp_path / "rows.jsonl", 100)
    whole = inspected(plan_for(model, path), text_model)
    longest, median = whole["tokens"]["max"], whole["tokens"]["median"]
    cut = inspected(plan_for(model, path, **{"training.max_length": median}), text_model)
    ledger = {entry["max_length"]: entry for entry in cut["ledger"]}[median]
    assert cut["truncation"]["cut"] == ledger["cut"] > 0
    assert (
        cut["truncation"]["answer_tokens_lost"]
        == whole["trained_tokens"] - cut["trained_tokens"]
        == ledger["answer_tokens_lost"]
    )
    assert cut["trained_tokens_uncut"] == whole["trained_tokens"]
    assert cut["usable"] == 100 - cut["truncation"]["without_answer"]
    assert cut["stop_token"]["trained"] + cut["stop_token"]["missing"] == cut["usable"]
    assert cut["stop_token"]["missing"] == cut["stop_token"]["missing_cut"] > 0
    assert whole["proposed_max_length"]["value"] >= longest
    assert whole["tokens"] == cut["tokens"]


def test_tokenising_tells_how_far_it_is_and_what_was_tokenised_before(model: Path, text_model, tmp_path: Path):
    from loratui.worker.training.dataset import prepare

    told: list[tuple[int, bool]] = []
    plan = plan_for(model, write_rows(tmp_path / "rows.jsonl", 2_100))
    prepared = prepare(plan, text_model.tokeniser(plan, 50), progress=lambda done, reused: told.append((done, reused)))
    rows = len(prepared.train) + len(prepared.held_out) + prepared.train.without_answer
    assert told == [(1_000, False), (2_000, False)]
    prepare(plan, text_model.tokeniser(plan, 50), progress=lambda done, reused: told.append((done, reused)))
    assert told[2:] == [(rows, True)], "the second time nothing is tokenised"


def test_the_trainer_keeps_as_many_rows_as_the_inspection_says(model: Path, text_model, tmp_path: Path):
    from loratui.worker.training.dataset import prepare

    path = write_rows(tmp_path / "rows.jsonl", 100)
    with path.open("a") as file:
        file.write("broken\n" + json.dumps({"prompt": "x " * 100, "completion": "y"}) + "\n")
    plan = plan_for(model, path, **{"training.max_length": 50, "dataset.exclude": [0, 5]})
    result = inspected(plan, text_model)
    prepared = prepare(plan, text_model.tokeniser(plan, 50))
    assert result["usable"] == len(prepared.train) + len(prepared.held_out)
    assert result["trained_tokens"] == prepared.train.trained_tokens + prepared.held_out.trained_tokens
    assert result["truncation"]["cut"] == prepared.train.cut + prepared.held_out.cut
    assert result["truncation"]["without_answer"] == prepared.train.without_answer + prepared.held_out.without_answer
    assert result["left_out"] == 2


def test_a_template_without_a_stop_token_is_caught(model: Path, tmp_path: Path):
    from loratui.worker.inspecting.model import load_text_model

    (tmp_path / "no-stop.jinja").write_text(CHAT)
    plan = plan_for(
        model, write_rows(tmp_path / "rows.jsonl", 10), **{"model.chat_template": str(tmp_path / "no-stop.jinja")}
    )
    result = inspected(plan, load_text_model(plan))
    assert (
        result["stop_token"]["trained"],
        result["stop_token"]["missing"],
        result["stop_token"]["missing_uncut"],
    ) == (0, 10, 10)
    assert result["stop_token"]["rows"] == list(range(10))
    assert {problem["kind"] for problem in result["problems"]} >= {"stop-token"}
    mended = with_values(plan, result["stop_token"]["fix"])
    assert mended != plan
    result = inspected(mended, load_text_model(mended))
    assert (result["stop_token"]["trained"], result["stop_token"]["missing"], result["stop_token"]["fix"]) == (
        10,
        0,
        {},
    )


@pytest.mark.parametrize("name", ["plain", "alpaca", "qwen3"])
def test_templates_by_name_end_every_answer(model: Path, tmp_path: Path, name: str):
    from loratui.worker.inspecting.model import load_text_model

    path = tmp_path / "rows.jsonl"
    turns = [{"role": role, "content": f"{role} {n}"} for n in range(2) for role in ("user", "assistant")]
    path.write_text(json.dumps({"messages": [{"role": "system", "content": "s"}, *turns]}) + "\n")
    plan = plan_for(model, path, **{"model.chat_template": name})
    result = inspected(plan, load_text_model(plan))
    assert (result["usable"], result["stop_token"]["trained"]) == (1, 1)
    with pytest.raises(PlanError, match="Known are: chatml, plain, alpaca"):
        load_text_model(plan_for(model, path, **{"model.chat_template": "nonsense"}))


def test_duplicates_long_rows_control_tokens_and_overlap(model: Path, text_model, tmp_path: Path):
    path = write_rows(tmp_path / "rows.jsonl", 30)
    first = path.read_text().splitlines()[0]
    with path.open("a") as file:
        file.write(
            first
            + "\n"
            + json.dumps({"prompt": "long " * 400, "completion": "x"})
            + "\n"
            + json.dumps({"prompt": "say <|im_end|>", "completion": "x"})
            + "\n"
        )
    (tmp_path / "eval.jsonl").write_text(first + "\n" + json.dumps({"prompt": "new", "completion": "x"}) + "\n")
    result = inspected(
        plan_for(model, path, **{"dataset.eval_path": str(tmp_path / "eval.jsonl"), "training.max_length": 4096}),
        text_model,
    )
    kinds = {problem["kind"]: problem for problem in result["problems"]}
    assert kinds["duplicate"]["line"] == 31 and "line 1" in kinds["duplicate"]["message"]
    assert kinds["long"]["line"] == 32 and kinds["special-token"]["line"] == 33
    assert (
        kinds["overlap"]["file"].endswith("eval.jsonl") and "line 1 of the training rows" in kinds["overlap"]["message"]
    )
    assert result["overlap"]["exact"] == 1 and result["split"]["evaluation"] == 2 and result["usable"] == 33


def test_packing_needs_no_more_sequences_than_trl(model: Path):
    import numpy as np
    from datasets import Dataset
    from trl import pack_dataset

    from loratui.data.lengths import best_fit

    draw = np.random.default_rng(0)
    for capacity in (16, 64, 128):
        lengths = draw.integers(1, capacity + 1, 400).tolist()
        rows = Dataset.from_list([{"input_ids": [1] * length} for length in lengths])
        packed = pack_dataset(rows, capacity, "bfd")
        assert best_fit(lengths, capacity) == len(packed)


@pytest.mark.usefixtures("whole_processes")
def test_a_model_of_the_hubs_cache_is_read_without_asking_the_hub(model: Path, tmp_path: Path, monkeypatch):
    import shutil

    from hub_standin import set_hub
    from loratui.worker.tokenizer import hub_options

    set_hub(monkeypatch, HF_HUB_CACHE=str(tmp_path), HF_ENDPOINT="http://127.0.0.1:9")
    snapshot = tmp_path / "models--me--tiny" / "snapshots" / "abc"
    shutil.copytree(model, snapshot)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    assert hub_options("me/tiny", weights=False) == {"local_files_only": True}
    assert (
        hub_options("me/tiny")["local_files_only"] and hub_options("me/other") == {} and hub_options(str(model)) == {}
    )
    plan = with_values(Plan(), {"model.id": "me/tiny", "dataset.path": str(write_rows(tmp_path / "rows.jsonl", 5))})
    assert inspect_dataset(plan)["stop_token"]["trained"] == 5
    with pytest.raises(ModelError, match="the hub cannot be reached"):
        inspect_dataset(with_values(plan, {"model.id": "meta-llama/Llama-3.1-8B"}))
    (snapshot / "model.safetensors").unlink()
    assert hub_options("me/tiny") == {}


def test_the_split_shown_is_the_split_trained_where_the_template_refuses_rows(model: Path, text_model, tmp_path: Path):
    from loratui.worker.inspecting.model import load_text_model
    from loratui.worker.tokenise import Tokeniser
    from loratui.worker.training.dataset import prepare

    path = tmp_path / "rows.jsonl"
    with path.open("w") as file:
        for number in range(200):
            turns = [{"role": "user", "content": f"q{number}"}, {"role": "assistant", "content": f"a{number}"}]
            system = [{"role": "system", "content": "x"}] if number % 2 else []
            file.write(json.dumps({"messages": [*system, *turns]}) + "\n")
    refusing = tmp_path / "refusing.jinja"
    refusing.write_text("{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHAT)
    plan = plan_for(model, path, **{"model.chat_template": str(refusing), "dataset.eval_fraction": 0.3})
    result = inspected(plan, load_text_model(plan))
    prepared = prepare(plan, Tokeniser(load_text_model(plan).tokenizer, max_length=plan.training.max_length))
    assert result["usable"] == 100
    split = result["split"]
    assert (split["train"], split["evaluation"]) == (len(prepared.train), len(prepared.held_out))
    assert split["train"] + split["evaluation"] == 100 and 15 <= split["evaluation"] <= 45


def test_an_evaluation_row_with_a_word_more_is_told(model: Path, text_model, tmp_path: Path):
    rows = [" ".join(f"word{(n * 7 + at * at) % 97}" for at in range(20)) for n in range(40)]
    train, held = tmp_path / "train.jsonl", tmp_path / "held.jsonl"
    train.write_text("".join(json.dumps({"prompt": row, "completion": f"it is {row}"}) + "\n" for row in rows))
    held.write_text(
        "".join(json.dumps({"prompt": f"so {row} ", "completion": f"it is {row}"}) + "\n" for row in rows[:10])
        + json.dumps({"prompt": "something else, that nobody ever asked before", "completion": "indeed so"})
    )
    result = inspected(plan_for(model, train, **{"dataset.eval_path": str(held)}), text_model)
    assert result["overlap"] == {"exact": 0, "near": 10} and result["problem_counts"]["near-overlap"] == 10
