"""A mix by the commands, from what is inspected to what another trainer makes of it: everywhere the same rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_export_runs import VALUES, loratui, losses, run

from loratui.core.dataset import inspected_facts
from loratui.core.plan import Plan
from loratui.core.plan_text import plan_from_toml, plan_to_toml, with_values
from loratui.paths import demo_model_path
from loratui.workers.questions import held_out_questions, training_questions

pytestmark = [
    pytest.mark.usefixtures("ready_workers"),
    pytest.mark.worker,
    pytest.mark.skipif(not (demo_model_path() / "model.safetensors").is_file(), reason="the demo model is not built"),
]
MIX = ("-d", "orders.jsonl=0.5", "-d", "chats.jsonl=2#30")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, ready_workers: None) -> Path:
    made = tmp_path_factory.mktemp("mix")
    orders = [{"prompt": f"order {n}: {n * 3} apples", "completion": f"apples={n * 3}"} for n in range(60)]
    chats = [
        {"messages": [{"role": "user", "content": f"name {n}"}, {"role": "assistant", "content": f"it is {n * 77}"}]}
        for n in range(50)
    ]
    for name, rows in (("orders", orders), ("chats", chats)):
        (made / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    values = VALUES | {"evaluation.every_steps": 2, "dataset.eval_fraction": 0.1}
    (made / "plan.toml").write_text(plan_to_toml(with_values(Plan(), values)))
    run(loratui("train", "plan.toml", *MIX, "--output", "run"), made)
    return made


@pytest.fixture(scope="module")
def events(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "run" / "events.jsonl").read_text().splitlines()]


def asked(questions: Any) -> list[str]:
    return sorted(one.conversation.messages[-1].content for one in questions)


def test_what_is_inspected_is_what_is_trained_on(folder: Path, events: list[dict[str, Any]]) -> None:
    told = json.loads(run(loratui("inspect", "-m", "demo", *MIX, "-s", "dataset.eval_fraction=0.1", "--json"), folder))
    data = next(event for event in events if event["type"] == "data")
    names = ("name", "examples", "eval_examples", "capped", "tokens", "trained_tokens")
    inspected, trained = ([[part[name] for name in names] for part in one["parts"]] for one in (told, data))
    assert inspected == trained
    assert [part[:4] for part in inspected] == [["orders", 27, 6, 0], ["chats", 54, 3, 20]]
    assert (told["split"]["train"], told["split"]["evaluation"]) == (data["examples"], data["eval_examples"]) == (81, 9)
    assert told["tokens"]["total"] == data["tokens"] and told["trained_tokens"] == data["trained_tokens"]
    assert sum(part["share"] for part in told["parts"]) == pytest.approx(1)
    facts = inspected_facts(told["parts"])
    assert facts.holding_out(0.1).examples == facts.examples == 81 and facts.eval_examples == 9
    assert facts.holding_out(0.2).examples == round(48 * 0.5) + 2 * 24


@pytest.fixture(scope="module")
def exported(folder: Path, events: list[dict[str, Any]]) -> Path:
    run(loratui("export", "run", "--to", "transformers", "-o", "script.py"), folder)
    return folder


def test_exports_write_the_rows_and_train_to_the_same_losses(exported: Path, events: list[dict[str, Any]]) -> None:
    folder = exported
    ours = [event["loss"] for event in events if event["type"] == "step"]
    assert losses(run(["script.py"], folder)) == pytest.approx(ours, rel=2e-3)
    lines = (folder / "script-data" / "train.jsonl").read_text().splitlines()
    assert len(lines) == 81 and len(set(lines)) == 27 + 27
    for tool in ("trl", "llama-factory", "axolotl"):
        output = run(loratui("export", "run", "--to", tool, "-o", f"{tool}.yaml", "--no-rows"), folder)
        assert "the mix of 2 parts: its rows lie in one file" in output, tool


def test_runs_and_the_card_name_the_parts(folder: Path, events: list[dict[str, Any]]) -> None:
    """Where the rows lay on somebody's disk stands in no card."""
    card = (folder / "run" / "adapter" / "README.md").read_text()
    assert (
        "a mix of 2 parts" in card and "| part `chats` | `chats.jsonl`, weight 2, at most 30 rows: 54 an epoch" in card
    )
    assert "loss on `orders` | loss on `chats` |" in card and str(folder) not in card
    evaluated = [event for event in events if event["type"] == "eval"]
    assert evaluated and all(one["loss_by_part"].keys() == {"orders", "chats"} for one in evaluated)


def test_questions_are_of_the_rows_that_were_held_out(exported: Path) -> None:
    folder = exported
    plan = plan_from_toml((folder / "run" / "plan.toml").read_text())
    held, learnt = asked(held_out_questions(plan)), asked(training_questions(plan))
    assert len(held) == 9 and len(learnt) == 27 + 27 and not set(held) & set(learnt)
    written = [json.loads(line) for line in (folder / "script-data" / "test.jsonl").read_text().splitlines()]
    assert held == sorted(row["messages"][-2]["content"] for row in written)
    few = held_out_questions(plan, 3)
    assert len({one.index for one in few}) == 3 and len([one for one in few if one.index >= 60]) == 1
