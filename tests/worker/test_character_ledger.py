"""The ledger of characters: what of the rows' text is learnt, shown, cut, not read, or dropped by the chat template."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_model import write_tiny_model

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.tui.wizard.check import found_words

pytestmark = pytest.mark.worker
THOUGHT = "Two fingers on one hand and two fingers on the other hand make up four of them altogether."


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("ledger") / "model")


def inspected(model: Path, rows: list[dict], tmp_path: Path, template: str = "", **values) -> dict:
    from loratui.worker.inspecting.inspection import Inspection
    from loratui.worker.inspecting.model import load_text_model

    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    given = {"model.id": str(model), "dataset.path": str(path), "training.max_length": 2048, **values}
    plan = with_values(Plan(), given | ({"model.chat_template": template} if template else {}))
    result = Inspection(plan, lambda message: None).run(load_text_model(plan))
    sums = result["characters"]
    assert sums["source"] == sum(sums[key] for key in ("learnt", "shown", "cut", "reading", "template", "unused"))
    return result


def chat(answer: str, **extra) -> dict:
    return {"messages": [{"role": "user", "content": "What is two and two?"}, answered(answer, **extra)]}


def answered(answer: str, **extra) -> dict:
    return {"role": "assistant", "content": answer, **extra}


def test_every_character_of_plain_rows_is_learnt_or_shown(model: Path, tmp_path: Path) -> None:
    rows = [{"id": f"row-{n}", "prompt": f"question {n}?", "completion": f"It is {n} {n}."} for n in range(10)]
    result = inspected(model, rows, tmp_path)
    sums = result["characters"]
    assert sums["learnt"] == sum(len(row["completion"]) for row in rows)
    assert sums["shown"] == sum(len(row["prompt"]) for row in rows)
    assert (sums["reading"], sums["unexplained"]) == (sum(len(row["id"]) for row in rows), 0)
    assert "no problem found" in found_words(result, 2048)[0]


@pytest.mark.parametrize(
    ("template", "row"),
    [
        ("deepseek_r1_distill", chat(f"<think>\n{THOUGHT}\n</think>\n\nFour.")),
        ("llama3_1", chat("Four.", reasoning_content=THOUGHT)),
        ("gemma3", chat("Four.", reasoning_content=THOUGHT)),
        ("deepseek_r1_distill", chat("Four.", reasoning_content=THOUGHT)),
    ],
)
def test_reasoning_that_the_template_drops_is_told(model: Path, tmp_path: Path, template: str, row: dict) -> None:
    result = inspected(model, [row] * 3, tmp_path, template)
    sums = result["characters"]
    assert sums["template"] >= 3 * 0.9 * len(THOUGHT) and sums["unexplained"] >= sums["template"]
    assert sums["learnt"] <= 3 * 30
    told = [problem for problem in result["problems"] if problem["kind"] == "template-drops"]
    assert len(told) == 3 and "of the answers' text" in told[0]["message"]
    assert " of them thinking" in told[0]["message"]
    assert result["problem_counts"] == {"template-drops": 3} | {
        kind: count for kind, count in result["problem_counts"].items() if "drop" not in kind
    }, "the same loss is told once"
    words, color = found_words(result, 2048)
    assert words.startswith("▲ the chat template drops 9") and "no problem found" not in words
    assert color == "$warning"


@pytest.mark.parametrize("template", ["qwen3", "gptoss", "glm4moe"])
def test_reasoning_that_the_template_knows_is_learnt(model: Path, tmp_path: Path, template: str) -> None:
    sums = inspected(model, [chat("Four.", reasoning_content=THOUGHT)], tmp_path, template)["characters"]
    assert (sums["template"], sums["unexplained"]) == (0, 0)
    assert sums["learnt"] == len("Four.") + len(THOUGHT)


def test_the_row_that_loses_most_stands_first(model: Path, tmp_path: Path) -> None:
    rows = [chat("word " * n, reasoning_content=THOUGHT) for n in (100, 1, 10)]
    result = inspected(model, rows, tmp_path, "llama3_1")
    told = [problem["index"] for problem in result["problems"] if problem["kind"] == "template-drops"]
    assert told == [1, 2, 0] == [row["index"] for row in result["characters"]["worst"]]


def test_a_tool_call_that_is_written_is_learnt(model: Path, tmp_path: Path) -> None:
    call = {"type": "function", "id": "c1", "function": {"name": "weather", "arguments": {"city": 'Zürich "West"'}}}
    turns = [
        {"role": "user", "content": "What is the weather like?"},
        answered("", tool_calls=[call]),
        {"role": "tool", "name": "weather", "content": "sunny and warm"},
        answered("It is sunny."),
    ]
    sums = inspected(model, [{"messages": turns}], tmp_path, "qwen3")["characters"]
    assert sums["unexplained"] == 0
    assert sums["learnt"] == len("weather") + len('Zürich "West"') + len("It is sunny.")


@pytest.mark.parametrize("name", ["context", "code", "choices", "solution_text"])
def test_a_column_of_text_that_is_not_read_is_told(model: Path, tmp_path: Path, name: str) -> None:
    rows = [{"question": f"why {n}?", "answer": f"since {n}", name: [f"the long text {n}", "b"]} for n in range(4)]
    result = inspected(model, rows, tmp_path)
    used = result["columns"].values()
    sums = result["characters"]
    if name in used:  # a reading that takes it has nothing to tell
        assert sums["unexplained"] == 0
        return
    assert sums["unexplained"] == sum(len(text) for row in rows for text in row[name])
    assert result["problem_counts"] == {"not-read": 4}
    assert f"not read ({name})" in found_words(result, 2048)[0]
    by_hand = inspected(model, rows, tmp_path, **{"dataset.columns": {"prompt": "question", "completion": "answer"}})
    assert by_hand["characters"]["unexplained"] == 0 and by_hand["characters"]["reading"] == sums["unexplained"]


def test_flags_that_judge_rows_are_told_where_they_differ(model: Path, tmp_path: Path) -> None:
    rows = [{"prompt": f"why {n}?", "completion": f"since {n}", "is_correct": n % 2 == 0} for n in range(4)]
    told = inspected(model, rows, tmp_path)["problems"]
    assert [problem["kind"] for problem in told] == ["not-read"] and "is_correct" in told[0]["message"]
    assert not inspected(model, [row | {"is_correct": True} for row in rows], tmp_path)["problems"]


def test_what_is_repeated_and_what_describes_rows_is_explained(model: Path, tmp_path: Path) -> None:
    rows = [
        {
            "instruction": f"Name the number {n}",
            "input": "in words",
            "output": f"number {n} it is",
            "text": f"Below is an instruction.\n\nName the number {n}\n\nin words\n\n### Response: number {n} it is",
            "source_url": "https://example.org",
        }
        for n in range(3)
    ]
    sums = inspected(model, rows, tmp_path)["characters"]
    assert sums["unexplained"] == 0
    assert {(one["column"], one["explained"]) for one in sums["columns"]} >= {("source_url", True)}


def test_text_beyond_the_maximum_length_is_cut(model: Path, tmp_path: Path) -> None:
    long = "number " * 200
    result = inspected(model, [{"prompt": "count", "completion": long}], tmp_path, **{"training.max_length": 100})
    sums = result["characters"]
    assert sums["cut"] > len(long) / 2 and sums["learnt"] > 20 and sums["unexplained"] == 0


def test_rows_that_are_refused_are_counted_as_unused(model: Path, tmp_path: Path) -> None:
    rows = [{"prompt": "a?", "completion": "b"}, {"prompt": "lost question", "completion": ""}]
    sums = inspected(model, rows, tmp_path)["characters"]
    assert (sums["source"], sums["unused"]) == (16, 13)


def test_a_template_that_writes_no_answer_is_told(model: Path, tmp_path: Path) -> None:
    template = tmp_path / "silent.jinja"
    template.write_text(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ 'said' if m.role == 'assistant' else m.content }}"
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    result = inspected(model, [chat("It is four, as anybody knows.")] * 2, tmp_path, str(template))
    assert result["usable"] == 2 and result["characters"]["learnt"] == 0
    assert found_words(result, 2048)[0].startswith("▲ the chat template drops 100% of the answers' text (2 rows)")


def test_a_template_for_messages_in_parts_loses_nothing(model: Path, tmp_path: Path) -> None:
    result = inspected(model, [chat("It is four, as anybody knows.")] * 2, tmp_path, "idefics3")
    assert result["characters"]["learnt"] == 2 * len("It is four, as anybody knows.")
    assert result["characters"]["unexplained"] == 0


@pytest.mark.parametrize(
    "row", [chat("Four.", reasoning_content=THOUGHT), chat(f"<think>\n{THOUGHT}\n</think>\n\nFour.")]
)
def test_thinking_that_the_plan_leaves_out_is_explained(model: Path, tmp_path: Path, row: dict) -> None:
    result = inspected(model, [row] * 3, tmp_path, "llama3_1", **{"dataset.reasoning": "drop"})
    sums = result["characters"]
    assert (sums["template"], sums["unexplained"]) == (0, 0) and sums["reading"] == 3 * len(THOUGHT)
    assert "template-drops" not in result["problem_counts"]


def test_templates_and_lists_of_examples_are_followed_to_their_columns(model: Path, tmp_path: Path) -> None:
    rows = [{"context": f"a text {n}", "q": f"and what {n}?", "a": f"this {n}", "split": "train"} for n in range(4)]
    columns = {"prompt": "{context}\\n\\n{q}", "completion": "a", "split": "split"}
    sums = inspected(model, rows, tmp_path, **{"dataset.columns": columns})["characters"]
    assert [(one["column"], one["explained"]) for one in sums["columns"]] == [("split", True)]
    instances = [{"input": f"house {n}", "output": f"Haus {n}"} for n in range(3)]
    result = inspected(model, [{"instruction": "Translate", "instances": instances}] * 2, tmp_path)
    assert (result["examples"], result["characters"]["unexplained"]) == (6, 0)
