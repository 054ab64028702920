"""Shapes that people train on every day are read without configuration; what a reading leaves out is said."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from loratui.core.columns import read_columns, write_columns
from loratui.core.errors import DatasetError
from loratui.core.plan import DatasetSection
from loratui.data.cells import cell_at, unfold
from loratui.data.conversation import Conversation
from loratui.data.convert import to_conversation
from loratui.data.facts import quick_facts
from loratui.data.find import find_dataset
from loratui.data.preview import preview
from loratui.data.recognise import Recognition, recognise
from loratui.data.row import Row, RowError

LONG = "a sentence that is long enough to be noticed, "


def rows(*values: Mapping[str, Any]) -> list[Row]:
    return [Row(number, number + 1, value) for number, value in enumerate(values)]


def read(*values: Mapping[str, Any], **given: Any) -> tuple[Recognition, list[Conversation]]:
    reading = recognise(rows(*values), **given)
    return reading, [to_conversation(one, reading) for value in values for one in unfold(value, reading.unfold)]


def said(conversation: Conversation) -> list[tuple[str, str, bool]]:
    return [(message.role, message.content, message.trained) for message in conversation.messages]


QA = [("user", "Q", False), ("assistant", "A", True)]
VERL = {
    "data_source": "d",
    "prompt": [{"role": "user", "content": "Q"}],
    "reward_model": {"ground_truth": "A", "style": "rule"},
    "extra_info": {"index": 0, "split": "train"},
}
SQUAD = {"id": "5", "context": "C", "question": "Q", "answers": {"text": ["A", "B"], "answer_start": [0, 3]}}
GLAIVE = {
    "system": "SYSTEM: S",
    "chat": "USER: Q\n\n\nASSISTANT: A <|endoftext|>\n\n\nUSER: Q\n\n\nASSISTANT: A <|endoftext|>\n\n\n",
}
PAIRED = {"from": "gpt", "value": "A"}


@pytest.mark.parametrize(
    ("value", "format", "columns", "expected"),
    [
        (VERL, "prompt-completion", {"prompt": "prompt", "completion": "reward_model.ground_truth"}, QA),
        (
            SQUAD,
            "prompt-completion",
            {"prompt": "{context}\n\n{question}", "completion": "answers.text.0"},
            [("user", "C\n\nQ", False), QA[1]],
        ),
        (
            {"question": "Q", "context": "C", "answer": "A"},
            "prompt-completion",
            {"prompt": "{context}\n\n{question}", "completion": "answer"},
            [("user", "C\n\nQ", False), QA[1]],
        ),
        (GLAIVE, "messages", {"messages": "chat", "system": "system"}, [("system", "S", False), *QA, *QA]),
        (
            {"translation": {"en": "Q", "hau": "A"}},
            "prompt-completion",
            {"prompt": "translation.en", "completion": "translation.hau"},
            QA,
        ),
        ({"fr": "Q", "wol": "A"}, "prompt-completion", {"prompt": "fr", "completion": "wol"}, QA),
        (
            {"question": "Q", "response_j": "A", "response_k": "B"},
            "preference",
            {"prompt": "question", "chosen": "response_j", "rejected": "response_k"},
            QA,
        ),
        (
            {"conversations": [{"from": "human", "value": "Q"}], "chosen": PAIRED, "rejected": PAIRED},
            "preference",
            {"prompt": "conversations", "chosen": "chosen", "rejected": "rejected"},
            QA,
        ),
        (
            {"conversation": [{"human": "Q", "assistant": "A"}, {"human": "Q", "assistant": "A"}]},
            "messages",
            {"messages": "conversation"},
            [*QA, *QA],
        ),
        (
            {"problem": "Q", "solution": "A", "answer": ""},
            "prompt-completion",
            {"prompt": "problem", "completion": "solution"},
            QA,
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "value": "Q"}], "loss_weight": 0.0},
                    {"role": "assistant", "content": [{"type": "text", "value": "A"}], "loss_weight": 1.0},
                ]
            },
            "messages",
            {"messages": "messages"},
            QA,
        ),
        ({"问题": "Q", "回答": "A"}, "prompt-completion", {"prompt": "问题", "completion": "回答"}, QA),
        (
            {"messages": [{"role": "user", "content": "Q"}], "ground_truth": "A"},
            "prompt-completion",
            {"prompt": "messages", "completion": "ground_truth"},
            QA,
        ),
        ({"body": {"messages": [*VERL["prompt"], {"role": "assistant", "content": "A"}]}}, "messages", None, QA),
    ],
)
def test_shapes_of_public_data_are_read(
    value: dict[str, Any], format: str, columns: dict[str, str] | None, expected: list[Any]
) -> None:
    reading, (conversation,) = read(value)
    assert reading.format == format
    assert columns is None or dict(reading.columns) == columns
    assert said(conversation) == expected


def test_the_worked_solution_wins_over_the_bare_answer_and_the_other_is_said() -> None:
    values = [{"problem": f"Q{n}", "answer": str(n), "solution": LONG + str(n)} for n in range(20)]
    reading, taught = read(*values)
    assert reading.columns["completion"] == "solution" and not reading.guess, "the answer stands in the solution"
    assert said(taught[3])[1][1] == LONG + "3"
    apart = [{**value, "answer": f"{n} is what comes out of it all in the end"} for n, value in enumerate(values)]
    reading = recognise(rows(*apart))
    assert reading.columns["completion"] == "solution" and reading.guess
    assert "left out of the first 20 rows: answer" in reading.doubts[0]
    assert [dict(other.columns)["completion"] for other in reading.others] == ["answer"]


def test_readings_are_tried_and_that_of_most_rows_wins() -> None:
    values = [{"messages": [], "prompt": f"Q{n}", "completion": "A"} for n in range(30)]
    values[0] = {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}
    reading = recognise(rows(*values))
    assert (reading.format, reading.used, reading.tried) == ("prompt-completion", 29, 30)


@pytest.mark.parametrize("column", ["choices", "code", "label", "rationale"])
def test_a_column_that_matters_and_has_no_part_makes_a_guess(column: str) -> None:
    values = [{"prompt": f"Q{n}", "completion": "A", column: [f"x{n}"]} for n in range(5)]
    reading = recognise(rows(*values))
    assert reading.guess and column in reading.doubts[0] and reading.left[column] == 10


def test_a_column_that_repeats_what_is_learnt_is_no_doubt() -> None:
    values = [
        {"instruction": f"Q{n}", "output": LONG + str(n), "text": f"### Instruction: Q{n}\n### Response: {LONG}{n}"}
        for n in range(5)
    ]
    reading = recognise(rows(*values))
    assert reading.format == "instruction" and not reading.guess and reading.unused == ("text",)


def test_answers_that_are_lists_are_said() -> None:
    reading = recognise(rows({"instruction": "Q", "response": ["A", "B"]}))
    assert reading.guess and "response.0" in reading.doubts[0]
    ranked = recognise(rows({"instruction": "Q", "output": ["A", "B"]}))
    assert ranked.format == "preference", "LLaMA-Factory's ranking, of which is asked what is learnt"
    assert "output.0" in ranked.others[0].doubts[0]


def test_examples_within_a_row_are_rows_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "seed.jsonl"
    value = {"id": "t", "instruction": "Do", "instances": [{"input": "", "output": "A"}, {"input": "x", "output": "B"}]}
    path.write_text(json.dumps(value) + "\n" + json.dumps({**value, "instances": value["instances"][:1]}) + "\n")
    shown = preview(find_dataset(str(path)))
    assert shown.recognition.setting == "instruction:instruction,input:instances.*.input,output:instances.*.output"
    assert [(row.index, row.line, row.conversation and row.conversation.answer) for row in shown.rows] == [
        (0, 1, "A"),
        (1, 1, "B"),
        (2, 2, "A"),
    ]
    assert shown.rows[1].conversation is not None and shown.rows[1].conversation.messages[0].content == "Do\n\nx"
    facts = quick_facts(shown.found, DatasetSection(path=str(path), eval_fraction=0.0))
    assert facts.examples == 3


def test_squad_as_it_is_published(tmp_path: Path) -> None:
    asked = [
        {"question": "Q1", "id": "1", "answers": [{"text": "A1", "answer_start": 0}]},
        {"question": "Q2", "id": "2", "answers": [{"text": "A2", "answer_start": 4}]},
    ]
    document = {"version": "1.1", "data": [{"title": "t", "paragraphs": [{"context": "C", "qas": asked}] * 2}]}
    path = tmp_path / "squad.json"
    path.write_text(json.dumps(document))
    shown = preview(find_dataset(str(path)))
    assert [row.conversation and said(row.conversation) for row in shown.rows] == [
        [("user", "C\n\nQ1", False), ("assistant", "A1", True)],
        [("user", "C\n\nQ2", False), ("assistant", "A2", True)],
    ] * 2


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("a", "x"),
        ("a.b", "by its whole name"),
        ("o.list.1.k", 5),
        ("{a}: {o.n}\\n{o.none}", 'x: {"z": 1}'),
        ("=You are\\nkind, and: brief", "You are\nkind, and: brief"),
    ],
)
def test_where_a_part_comes_from(setting: str, expected: object) -> None:
    value = {"a": "x", "a.b": "by its whole name", "o": {"n": {"z": 1}, "list": [{}, {"k": 5}]}}
    assert cell_at(value, setting) == expected


def test_several_examples_are_never_one_in_silence() -> None:
    with pytest.raises(RowError, match="holds 2 examples"):
        cell_at({"a": [{"b": 1}, {"b": 2}]}, "a.*.b")


@pytest.mark.parametrize(
    "columns",
    [
        {"prompt": "{instruction}\n{input}", "completion": "output"},
        {"prompt": "q", "completion": "a", "system": "=Be brief, and kind"},
        {"prompt": "q", "completion": "a", "system": "=Say a,b:c"},
        {"prompt": "q", "completion": "instances.*.output", "label": ""},
    ],
)
def test_a_mapping_reads_back_as_it_was_written(columns: dict[str, str]) -> None:
    from loratui.core.plan_text import parse_setting

    line = write_columns(columns)
    _, read_back = parse_setting(f"dataset.columns={line}")
    value = {"instruction": "I", "input": "x", "output": "A", "q": "Q", "a": "A", "instances": [{"output": "A"}]}
    assert {part: cell_at(value, one) for part, one in read_back.items()} == {
        part: cell_at(value, one) for part, one in columns.items()
    }
    assert read_columns("prompt:q, completion:a") == {"prompt": "q", "completion": "a"}


def test_templates_constants_and_paths_are_mapped_by_hand() -> None:
    value = {"theme": "T", "ask": {"q": "Q"}, "out": [{"a": "A"}, {"a": "B"}]}
    reading, taught = read(
        value, columns={"prompt": "{theme}: {ask.q}", "completion": "out.*.a", "system": "=Be brief."}
    )
    assert [said(one) for one in taught] == [
        [("system", "Be brief.", False), ("user", "T: Q", False), ("assistant", answer, True)] for answer in "AB"
    ]
    assert reading.unused == ()
    with pytest.raises(DatasetError, match=r"no column 'ask\.nothing'"):
        recognise(rows(value), columns={"prompt": "{theme}{ask.nothing}", "completion": "out.*.a"})


def test_an_answer_mapped_by_hand_that_is_a_message_is_read_as_one() -> None:
    value = {"q": "Q", "chosen": PAIRED, "rejected": PAIRED}
    _, (conversation,) = read(value, columns={"prompt": "q", "completion": "chosen"})
    assert said(conversation) == QA


def test_addresses_and_sources_are_no_doubt() -> None:
    values = [
        {
            "question": f"What is {n}?",
            "answer": str(n),
            "url": f"https://example.org/a/long/path/to/the/question/{n}",
            "license": "Creative Commons Attribution Share Alike 4.0",
        }
        for n in range(40)
    ]
    reading = recognise(rows(*values))
    assert not reading.guess and not reading.doubts and reading.left["license"] > 1000


def test_code_is_a_guessed_answer_to_the_text_that_asks_for_it() -> None:
    reading, (conversation,) = read({"text": "Write a function.", "code": "def f(): ...", "test_list": ["assert f()"]})
    assert reading.guess and said(conversation) == [
        ("user", "Write a function.", False),
        ("assistant", "def f(): ...", True),
    ]


def test_two_columns_that_could_be_the_answer_are_a_guess() -> None:
    values = [{"instruction": f"Q{n}", "response": LONG * 9 + str(n), "target": f"{LONG}{n}!"} for n in range(20)]
    reading = recognise(rows(*values))
    assert reading.columns["output"] == "response"
    assert reading.guess and "left out of the first 20 rows: target" in reading.doubts[0]


def test_an_instruction_with_two_answers_is_read_by_trial() -> None:
    values = [
        {"instruction": f"Do {n}", "input": "", "response": f"{n}", "target": f"{LONG}{n} is the result"}
        for n in range(9)
    ]
    reading = recognise(rows(*values))
    assert dict(reading.columns) == {"instruction": "instruction", "input": "input", "output": "target"}
    assert [other.columns["output"] for other in reading.others if other.format == "instruction"] == ["response"]


def test_a_mapping_of_one_part_keeps_the_rest_as_it_was_recognised() -> None:
    turns = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]
    values = [{"messages": turns, "label": number > 0} for number in range(4)]
    for columns, expected in (
        ({"label": ""}, {"messages": "messages"}),
        ({"system": "=Be brief"}, {"messages": "messages", "system": "=Be brief", "label": "label"}),
    ):
        reading = recognise(rows(*values), columns=columns)
        assert (reading.format, dict(reading.columns)) == ("messages", expected)
    value = {"instruction": "Q", "input": "x", "output": "A"}
    reading, (conversation,) = read(value, columns={"system": "=S"})
    assert said(conversation) == [("system", "S", False), ("user", "Q\n\nx", False), ("assistant", "A", True)]
