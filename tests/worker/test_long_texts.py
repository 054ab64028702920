"""Plain text beyond the maximum length is divided into pieces: every token is learnt once, and steps follow."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from test_token_store import losses, plan_for, prepared, row_by_row, tokeniser_of, train, write
from tiny_model import write_tiny_model

from loratui.core.plan import Plan

pytestmark = pytest.mark.worker
TEXTS = [{"text": "one and two is " * times} for times in (1, 40, 3, 200, 2)]
LENGTH = 32


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("texts") / "model")


@pytest.fixture
def plan(model: Path, tmp_path: Path) -> Plan:
    path = write(tmp_path / "rows.jsonl", TEXTS)
    return plan_for(model, path, **{"dataset.eval_fraction": 0.0, "training.max_length": LENGTH})


def whole_rows(plan: Plan) -> list[list[int]]:
    from loratui.core.plan_text import with_values

    return [ids for ids, _ in row_by_row(with_values(plan, {"training.max_length": 4096}))]


def test_every_token_is_learnt_once_and_texts_stay_apart(plan: Plan) -> None:
    rows = prepared(plan)[0].train
    documents = whole_rows(plan)
    learnt: list[list[int]] = [[] for _ in documents]
    for number in range(len(rows)):
        ids, labels = rows.ids(number), rows.labels(number)
        assert 1 < len(ids) <= LENGTH
        assert all(label in (-100, token) for token, label in zip(ids, labels, strict=True))
        learnt[int(rows.row[number])] += [label for label in labels[1:] if label != -100]
    assert learnt == [document[1:] for document in documents]
    assert rows.trained_tokens == sum(map(len, learnt)) and rows.cut == 0 and rows.without_answer == 0


def test_cut_is_as_it_was(plan: Plan) -> None:
    from loratui.core.plan_text import with_values

    rows = prepared(with_values(plan, {"dataset.long_text": "cut"}))[0].train
    assert [rows.ids(at) for at in range(len(rows))] == [document[:LENGTH] for document in whole_rows(plan)]
    assert rows.cut == 2


def test_conversations_are_cut_whatever_the_setting(model: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "rows.jsonl", [{"prompt": f"{n}?", "completion": "two " * 90} for n in range(5)])
    plan = plan_for(model, path, **{"dataset.eval_fraction": 0.0, "training.max_length": LENGTH})
    rows = prepared(plan)[0].train
    assert len(rows) == rows.cut == 5 and rows.longest == LENGTH


def test_an_older_run_goes_on_as_it_began(plan: Plan, tmp_path: Path) -> None:
    from loratui.runs.directory import Run
    from loratui.runs.start import create_run

    run = create_run(plan, output=tmp_path / "run")
    assert run.plan().dataset.long_text == "divide"
    kept = [line for line in run.plan_path.read_text().splitlines() if not line.startswith("long_text")]
    run.plan_path.write_text("\n".join(kept))
    assert Run(run.path).plan().dataset.long_text == "cut"


def test_the_inspection_counts_pieces_and_says_so(plan: Plan) -> None:
    from loratui.commands.inspect import describe
    from loratui.worker.inspecting.inspection import Inspection
    from loratui.worker.inspecting.model import load_text_model
    from loratui.worker.inspecting.rendering import render_rows

    inspection, text_model = Inspection(plan, lambda message: None), load_text_model(plan)
    result: dict[str, Any] = inspection.run(text_model)
    found = prepared(plan)[0].train
    assert result["divided"] and result["sequences"] == len(found)
    assert result["trained_tokens"] == found.trained_tokens
    assert (result["truncation"]["cut"], result["truncation"]["longer"]) == (0, 2)
    characters = result["characters"]
    assert characters["cut"] == 0 and characters["learnt"] == characters["source"] - len(TEXTS), "but each last space"
    assert result["stop_token"]["missing"] == 0
    assert "divided     2 texts are longer than 32 tokens" in describe(result)
    (row,) = render_rows(plan, inspection.found, inspection.recognition, text_model, [3])
    assert len(row["tokens"]) > LENGTH and not any(token[4] for token in row["tokens"])
    assert json.loads(json.dumps(result))["ledger"][0]["cut"] == 0


def test_steps_are_planned_as_they_are_made(plan: Plan, tmp_path: Path) -> None:
    from loratui.core.plan_text import with_values
    from loratui.core.schedule import make_schedule
    from loratui.data.facts import quick_facts
    from loratui.data.find import find_planned
    from loratui.tui.wizard.loading import exact_facts
    from loratui.worker.inspecting.inspection import Inspection
    from loratui.worker.inspecting.model import load_text_model

    plan = with_values(plan, {"training.max_steps": 0, "training.epochs": 1.0})
    result = Inspection(plan, lambda message: None).run(load_text_model(plan))
    facts = exact_facts(result, taken=False)
    assert facts is not None
    planned = make_schedule(plan, facts)
    made = losses(train(plan, tmp_path / "run"))
    assert len(made) == planned.total_steps > len(TEXTS) / 4
    assert planned.sequences == len(prepared(plan)[0].train)
    guessed = quick_facts(find_planned(plan.dataset), plan.dataset)
    assert make_schedule(plan, guessed).sequences > 2 * len(TEXTS)


def test_packed_pieces_are_learnt_once(plan: Plan, tmp_path: Path) -> None:
    from loratui.core.plan_text import with_values

    values = {"training.packing": True, "training.batch_size": 1, "training.max_steps": 0, "training.epochs": 1.0}
    events = train(with_values(plan, values), tmp_path / "run")
    data = next(event for event in events if event["type"] == "data")
    steps = [event for event in events if event["type"] == "step"]
    assert steps[-1]["tokens"] == data["tokens"] and len(steps) <= data["examples"]


def test_no_piece_of_a_text_is_asked_as_a_question(plan: Plan) -> None:
    from loratui.worker.training.evaluate import questions_of

    assert questions_of(prepared(plan)[0].train, tokeniser_of(plan), 8) == []
