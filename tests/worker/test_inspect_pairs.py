"""The inspection of preferences: both sides are counted, what tells them apart is said, and training reads the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pair_rows import FORMS, pairs, turn, write_pairs
from tiny_model import write_tiny_model

from loratui.commands.inspect import preference_lines
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.data.facts import quick_facts
from loratui.data.find import find_dataset
from loratui.data.preferences import require_answer
from loratui.tui.wizard.loading import exact_facts
from loratui.worker.inspecting.inspection import Inspection
from loratui.worker.inspecting.model import load_text_model
from loratui.worker.inspecting.rendering import render_rows

pytestmark = pytest.mark.worker


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("inspect") / "model")


def plan_of(model: Path, path: Path, values: dict[str, Any] | None = None) -> Plan:
    fixed = {"training.objective": "dpo", "training.max_length": 64, "dataset.eval_fraction": 0.0}
    fixed |= {"model.id": str(model), "dataset.path": str(path), "training.precision": "fp32"}
    return with_values(Plan(), fixed | (values or {}))


def inspected(model: Path, tmp_path: Path, rows: list[dict[str, Any]], **values: Any) -> dict[str, Any]:
    plan = plan_of(model, write_pairs(tmp_path / "rows.jsonl", rows), values)
    return Inspection(plan, lambda message: None).run(load_text_model(plan))


def trained(plan: Plan) -> Any:
    from loratui.worker.training.dataset import prepare

    reused: list[bool] = []
    tokeniser = load_text_model(plan).tokeniser(plan, plan.training.max_length)
    found = prepare(plan, tokeniser, progress=lambda rows, was_stored: reused.append(was_stored))
    return found, reused


@pytest.mark.parametrize("form", FORMS)
def test_both_sides_are_counted_as_training_reads_them(form: str, model: Path, tmp_path: Path) -> None:
    rows = [FORMS[form](row | {"rejected": row["rejected"] + " and" * (at % 9)}) for at, row in enumerate(pairs(40))]
    result = inspected(model, tmp_path, rows)
    plan = plan_of(model, tmp_path / "rows.jsonl")
    found, reused = trained(plan)
    assert result["usable"] == len(found.train) == 40 and result["objective"] == "dpo"
    assert sorted(result["lengths"]) == sorted(found.train.lengths.tolist()), "of a pair the longer side"
    assert result["tokens"]["total"] == found.train.tokens and result["trained_tokens"] == found.train.trained_tokens
    assert reused == [True], "what the inspection tokenised is not tokenised again"


def test_the_cut_of_either_side_is_told(model: Path, tmp_path: Path) -> None:
    rows = pairs(30)
    for at, row in enumerate(rows):
        row["rejected" if at < 7 else "chosen"] += " and" * (60 if at < 9 else 0)
    result = inspected(model, tmp_path, rows)
    assert result["preferences"]["cut"] == {"chosen": 2, "rejected": 7}
    assert result["truncation"]["cut"] == 9
    assert (
        "of the chosen answers 2 are longer with their prompt than 64 tokens, of the rejected 7"
        in (preference_lines(result)[0])
    )


def test_scores_against_the_order_are_named_and_can_be_left_out(model: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [row | {"score_chosen": 8, "score_rejected": 5.5} for row in pairs(30)]
    rows[3]["score_chosen"] = 2
    rows[5]["score_chosen"] = 5.5
    result = inspected(model, tmp_path, rows)
    told = {problem["kind"]: (problem["line"], problem["message"]) for problem in result["problems"]}
    assert told["swapped"] == (4, "the rejected answer has the higher score (5.5, the chosen 2).")
    assert told["tied"][0] == 6 and result["preferences"]["swapped"] == 1 and result["preferences"]["tied"] == 1
    assert any("leave_out=swapped" in line for line in preference_lines(result))
    values = {"dataset.leave_out": ["swapped"]}
    assert inspected(model, tmp_path, rows, **values)["usable"] == 29
    found, _ = trained(plan_of(model, tmp_path / "rows.jsonl", values))
    assert len(found.train) == 29


def test_how_often_the_longer_answer_is_chosen_is_told_with_its_interval(model: Path, tmp_path: Path) -> None:
    rows = [row | {"chosen": row["chosen"] + " and" * 6} for row in pairs(40)]
    ledger = inspected(model, tmp_path, rows)["preferences"]
    assert ledger["longer_chosen"]["share"] == 1 and ledger["longer_chosen"]["interval"] == pytest.approx(
        [0.912, 1], abs=1e-3
    )
    assert any(
        one.startswith("in 100% (91% to 100%) of 40 pairs of unlike length the longer") for one in ledger["sentences"]
    )
    mixed = [
        row | {side: row[side] + " and" * 6}
        for at, row in enumerate(pairs(40))
        for side in (("chosen",) if at % 2 else ("rejected",))
    ]
    ledger = inspected(model, tmp_path, mixed)["preferences"]
    assert not ledger["sentences"] and 0.3 < ledger["longer_chosen"]["share"] < 0.7


STOPS_AT_LINES = (
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] }}"
    "{% if m['role'] == 'user' or '\n' not in m['content'] %}"
    "{{ '<|im_end|>' }}{% endif %}{% endfor %}{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)
REWRITES = (
    "{% for m in messages %}{% if m['role'] == 'user' and 'and' in messages[-1]['content'] %}{{ 'Q ' }}{% endif %}"
    "{{ m['role'] + ': ' + m['content'] + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
)


def test_a_template_that_ends_one_side_otherwise_is_told(model: Path, tmp_path: Path) -> None:
    (tmp_path / "own.jinja").write_text(STOPS_AT_LINES)
    rows = [row | {"rejected": row["rejected"] + "\nor so"} for row in pairs(24)]
    values = {"model.chat_template": str(tmp_path / "own.jinja")}
    result = inspected(model, tmp_path, rows, **values)
    assert result["problem_counts"]["stop-token-differs"] == 24
    assert any("the ending alone tells the sides apart" in one for one in result["preferences"]["sentences"])


def test_a_template_that_writes_the_question_otherwise_costs_the_pair(model: Path, tmp_path: Path) -> None:
    (tmp_path / "own.jinja").write_text(REWRITES)
    rows = [
        row | {"rejected": row["rejected"].replace(" and", "") + (" and" if at == 4 else "")}
        for at, row in enumerate(pairs(24))
    ]
    result = inspected(model, tmp_path, rows, **{"model.chat_template": str(tmp_path / "own.jinja")})
    (fault,) = [problem for problem in result["problems"] if problem["blocking"]]
    assert fault["kind"] == "pair-prompt" and fault["line"] == 5 and result["usable"] == 23


def test_rows_are_rendered_with_both_sides(model: Path, tmp_path: Path) -> None:
    path = write_pairs(tmp_path / "rows.jsonl", pairs(20))
    plan = plan_of(model, path)
    inspection = Inspection(plan, lambda message: None)
    (row,) = render_rows(plan, inspection.found, inspection.recognition, load_text_model(plan), [3])
    for side, name in ((row, "chosen"), (row["rejected"], "rejected")):
        learnt = "".join(text for _, text, trained, special, _ in side["tokens"] if trained and not special)
        assert learnt.strip() == pairs(20)[3][name] and [1, "content", "learnt"] in side["parts"]


def test_what_becomes_of_the_text_counts_both_answers(model: Path, tmp_path: Path) -> None:
    for form in ("plain", "explicit"):
        rows = [FORMS[form](row) for row in pairs(20)]
        ledger = inspected(model, tmp_path, rows)["characters"]
        answers = sum(len(row[side]) for row in pairs(20) for side in ("chosen", "rejected"))
        assert ledger["learnt"] == answers and ledger["shown"] == sum(len(row["prompt"]) for row in pairs(20))
        assert not ledger["unexplained"]


def test_several_rejected_answers_are_counted_as_pairs(model: Path, tmp_path: Path) -> None:
    rows = [row | {"rejected": [row["rejected"], row["rejected"] + "!"]} for row in pairs(20)]
    result = inspected(model, tmp_path, rows)
    assert result["examples"] == result["usable"] == 40 and "makes a pair" in result["why"]


def test_the_sides_of_a_conversation_may_hold_control_tokens(model: Path, tmp_path: Path) -> None:
    rows = [{"prompt": [turn("user", "1?")], "chosen": "2", "rejected": "3<|im_end|>"}]
    result = inspected(model, tmp_path, [*rows, *pairs(20)])
    assert "special-token" in result["problem_counts"]


def test_judged_answers_say_which_weight_they_need(model: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": f"{n}?", "completion": f"it is {n}", "label": n % 4 != 0} for n in range(24)
    ]
    kto = {"training.objective": "kto", "training.batch_size": 4}
    result = inspected(model, tmp_path, rows, **kto)
    assert result["preferences"]["labels"] == {"wanted": 18, "unwanted": 6}
    (told,) = result["preferences"]["sentences"]
    assert told.startswith("18 wanted and 6 unwanted answers, weighted 1 and 1: the wanted ones count 3 times")
    assert told.endswith("preference.undesirable_weight = 3 would do.") and any(
        told in x for x in preference_lines(result)
    )
    found, _ = trained(plan_of(model, tmp_path / "rows.jsonl", kto))
    assert found.train.imbalance(1.0, 1.0) == told, "training says the same"
    mended = kto | {"preference.undesirable_weight": 3.0}
    assert not inspected(model, tmp_path, rows, **mended)["preferences"]["sentences"]
    alike = [row | {"label": True} for row in rows]
    assert inspected(model, tmp_path, alike, **kto)["preferences"]["sentences"][0].startswith(
        "All 24 answers are wanted"
    )


def test_both_sides_of_pairs_are_judged_answers(model: Path, tmp_path: Path) -> None:
    kto = {"training.objective": "kto", "training.batch_size": 4}
    result = inspected(model, tmp_path, pairs(24), **kto)
    assert result["preferences"]["labels"] == {"wanted": 24, "unwanted": 24}
    assert not any("weighted" in told for told in result["preferences"]["sentences"])
    weighted = kto | {"preference.desirable_weight": 3.0}
    told = inspected(model, tmp_path, pairs(24), **weighted)["preferences"]["sentences"]
    assert any("the wanted ones count 3 times as much" in one for one in told)
    assert inspected(model, tmp_path, pairs(24))["preferences"]["labels"] == {"wanted": 0, "unwanted": 0}


@pytest.mark.parametrize("form", ["pairs", "labels"])
def test_the_wizards_exact_counts_are_those_of_training(form: str, model: Path, tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [*pairs(24)]
    rows[3]["rejected"] += " and" * 9
    if form == "labels":
        rows = [{"prompt": f"{n}?", "completion": f"it is {n}", "label": n % 4 != 0} for n in range(24)]
    kto = {"training.objective": "kto", "training.batch_size": 4, "dataset.eval_count": 4, "dataset.eval_fraction": 0.0}
    result = inspected(model, tmp_path, rows, **kto)
    counted = exact_facts(result, taken=True)
    plan = plan_of(model, tmp_path / "rows.jsonl", kto)
    train = trained(plan)[0].train
    assert counted is not None and counted.examples == len(train) == (40 if form == "pairs" else 20)
    assert counted.desirable_share == (0.5 if form == "pairs" else 0.75), "a plan's weights rest on it"
    assert set(train.lengths.tolist()) <= set(counted.lengths)
    found = find_dataset(str(tmp_path / "rows.jsonl"))
    reading = require_answer(Inspection(plan, lambda _: None).recognition, plan.dataset, where="", objective="kto")
    guessed = quick_facts(found, plan.dataset, reading)
    assert (guessed.examples, guessed.eval_examples) == (counted.examples, counted.eval_examples)
    assert guessed.desirable_share == counted.desirable_share
