"""Formats are recognised without being told, rows become conversations, and columns can be mapped by hand."""

from __future__ import annotations

import json

import pytest

from loratui.core.errors import DatasetError
from loratui.data.conversation import Conversation
from loratui.data.convert import to_conversation
from loratui.data.recognise import recognise
from loratui.data.row import Row, RowError


def rows(*values: dict) -> list[Row]:
    return [Row(number, number + 1, value) for number, value in enumerate(values)]


def read(value: dict, **given) -> tuple[str, Conversation]:
    recognition = recognise(rows(value), **given)
    return recognition.format, to_conversation(value, recognition)


def turns(conversation: Conversation) -> list[tuple[str, str, bool]]:
    return [(message.role, message.content, message.trained) for message in conversation.messages]


QA = [("user", "Q", False), ("assistant", "A", True)]
SIMPLE = [
    ({"prompt": "Q", "completion": "A"}, "prompt-completion", QA),
    ({"question": "Q", "answer": "A"}, "prompt-completion", QA),
    ({"query": "Q", "response": "A"}, "prompt-completion", QA),
    ({"Question": "Q", "Answer": "A", "id": 3}, "prompt-completion", QA),
    ({"problem": "Q", "solution": "A"}, "prompt-completion", QA),
    ({"user": "Q", "assistant": "A"}, "prompt-completion", QA),
    ({"source": "Q", "target": "A"}, "prompt-completion", QA),
    ({"document": "Q", "summary": "A"}, "prompt-completion", QA),
    ({"input": "Q", "output": "A"}, "prompt-completion", QA),
    (
        {"input": {"page": 1, "títle": "é"}, "output": "A"},
        "prompt-completion",
        [("user", '{"page": 1, "títle": "é"}', False), QA[1]],
    ),
    ({"prompt": "Q", "completion": {"name": "x"}}, "prompt-completion", [QA[0], ("assistant", '{"name": "x"}', True)]),
    ({"question": "Q", "answer": 42}, "prompt-completion", [QA[0], ("assistant", "42", True)]),
    ({"system": "S", "prompt": "Q", "completion": "A"}, "prompt-completion", [("system", "S", False), *QA]),
    (
        {"prompt": [{"role": "user", "content": "Q"}], "completion": [{"role": "assistant", "content": "A"}]},
        "prompt-completion",
        QA,
    ),
    ({"instruction": "Q", "input": "", "output": "A"}, "instruction", QA),
    ({"instruction": "Do", "input": "this", "output": "A"}, "instruction", [("user", "Do\n\nthis", False), QA[1]]),
    ({"instruction": "Q", "response": "A"}, "instruction", QA),
    ({"instruction": "Q", "context": "", "response": "A", "category": "x"}, "instruction", QA),
    (
        {"instruction": "Q", "output": "A", "history": [["q", "a"]]},
        "instruction",
        [("user", "q", False), ("assistant", "a", True), *QA],
    ),
    ({"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}]}, "messages", QA),
    ({"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]}, "messages", QA),
    (
        {
            "conversation": [
                {"from": "system", "value": "S"},
                {"from": "user", "value": "Q"},
                {"from": "chatgpt", "value": "A"},
            ]
        },
        "messages",
        [("system", "S", False), *QA],
    ),
    (
        {"system": "S", "conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
        "messages",
        [("system", "S", False), *QA],
    ),
    ({"dialog_of_two": [{"role": "user", "content": "Q"}, {"role": "model", "content": "A"}]}, "messages", QA),
    (
        {"messages": json.dumps([{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}])},
        "messages",
        QA,
    ),
    (
        {
            "messages": [
                {"role": "developer", "content": "S"},
                {"role": "user", "content": [{"type": "text", "text": "Q"}]},
                {"role": "assistant", "content": "A"},
            ]
        },
        "messages",
        [("system", "S", False), *QA],
    ),
    (
        {
            "messages": [
                {"role": "user", "content": "Q"},
                {"role": "assistant", "content": "x", "weight": 0},
                {"role": "user", "content": "Q"},
                {"role": "assistant", "content": "A"},
            ]
        },
        "messages",
        [QA[0], ("assistant", "x", False), *QA],
    ),
    ({"prompt": "Q", "chosen": "A", "rejected": "B"}, "preference", QA),
    (
        {"chosen": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}], "rejected": []},
        "preference",
        QA,
    ),
    ({"chosen": "\n\nHuman: Q\n\nAssistant: A", "rejected": "\n\nHuman: Q\n\nAssistant: B"}, "preference", QA),
]


@pytest.mark.parametrize(
    ("value", "format", "expected"),
    SIMPLE,
    ids=[",".join(value)[:40] + f"-{n}" for n, (value, _, _) in enumerate(SIMPLE)],
)
def test_usual_shapes_are_recognised(value, format, expected):
    found, conversation = read(value)
    assert (found, turns(conversation)) == (format, expected)


def test_text_and_tokens():
    assert read({"text": "abc"})[1].text == "abc"
    found, conversation = read({"input_ids": [1, 2, 3], "labels": [-100, 2, 3], "attention_mask": [1, 1, 1]})
    assert (found, conversation.tokens, conversation.labels) == ("tokens", (1, 2, 3), (-100, 2, 3))


def test_tool_calls_keep_what_the_template_needs():
    call = {"type": "function", "function": {"name": "add", "arguments": {"a": 1}}}
    value = {
        "messages": [
            {"role": "user", "content": "1+1"},
            {"role": "assistant", "content": "", "tool_calls": [call]},
            {"role": "tool", "name": "add", "content": "2"},
            {"role": "assistant", "content": "2"},
        ],
        "tools": json.dumps([{"name": "add", "parameters": {}}]),
    }
    conversation = read(value)[1]
    assert conversation.messages[1].as_dict()["tool_calls"] == [call] and conversation.messages[1].trained
    assert conversation.messages[2].as_dict() == {"role": "tool", "content": "2", "name": "add"}
    assert conversation.tools == ({"type": "function", "function": {"name": "add", "parameters": {}}},)
    share = {
        "conversations": [
            {"from": "human", "value": "1+1"},
            {"from": "function_call", "value": '{"name": "add", "arguments": {"a": 1}}'},
            {"from": "observation", "value": "2"},
            {"from": "gpt", "value": "2"},
        ]
    }
    assert read(share)[1].messages[1].as_dict()["tool_calls"] == [call]


def test_a_reading_says_why_and_offers_others():
    recognition = recognise(rows({"instruction": "Q", "input": "", "output": "A", "text": "all", "id": 1}))
    assert "instruction and output" in recognition.why
    assert [other.format for other in recognition.others] == ["text"], "a reading that uses no row is not offered"
    assert recognition.unused == ("text", "id")
    assert not recognition.guess
    assert recognise(rows({"source": "Q", "target": "A"})).guess


@pytest.mark.parametrize(
    ("value", "given", "expected"),
    [
        ({"foo": "Q", "bar": "A"}, {"columns": {"prompt": "foo", "completion": "bar"}}, ("prompt-completion", QA)),
        (
            {"data": {"q": "Q", "a": "A"}},
            {"columns": {"prompt": "data.q", "completion": "data.a"}},
            ("prompt-completion", QA),
        ),
        (
            {"question": "Q", "reasoning": "A", "answer": "x"},
            {"columns": {"completion": "reasoning"}},
            ("prompt-completion", QA),
        ),
        (
            {"instruction": "Q", "input": "x", "output": "A"},
            {"columns": {"prompt": "instruction", "completion": "output"}},
            ("prompt-completion", QA),
        ),
        ({"prompt": "Q", "chosen": "A", "rejected": "B"}, {"format": "preference"}, ("preference", QA)),
    ],
)
def test_columns_are_mapped_by_hand(value, given, expected):
    found, conversation = read(value, **given)
    assert (found, turns(conversation)) == expected


@pytest.mark.parametrize(
    ("value", "given", "fragment"),
    [
        ({"foo": "Q", "bar": 1}, {}, "their columns are foo (text), bar (number)"),
        ({"foo": "Q", "bar": 1}, {}, "--set dataset.columns=prompt:NAME,completion:NAME"),
        ({"foo": "Q"}, {"columns": {"prompt": "nope"}}, "no column 'nope': the columns are foo"),
        ({"foo": "Q"}, {"columns": {"promt": "foo"}}, "promt is no part of a row"),
        ({"foo": "Q"}, {"columns": {"prompt": "foo"}}, "the rows lack completion"),
        ({"prompt": "Q", "completion": "A"}, {"format": "messages"}, "read as messages, the rows lack messages"),
    ],
)
def test_what_is_not_understood_names_the_columns_and_the_way_out(value, given, fragment):
    with pytest.raises(DatasetError) as raised:
        recognise(rows(value), where="x.jsonl", **given)
    assert fragment in raised.value.sentence


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ({"input_ids": [1, -2]}, "type"),
        ({"input_ids": []}, "empty"),
        ({"input_ids": [1], "labels": [1, 2]}, "type"),
        ({"input_ids": [1, 2], "labels": [-100, -100]}, "no-answer"),
    ],
)
def test_broken_token_rows(value, kind):
    recognition = recognise(rows({"input_ids": [1, 2], "labels": [1, 2]}))
    with pytest.raises(RowError) as raised:
        to_conversation(value, recognition)
    assert raised.value.kind == kind


def test_rows_that_are_a_message_each_are_not_learnt_as_text() -> None:
    turn = [{"role": "user", "content": "Q"}, {"role": "assistant", "content": "A"}, {"role": "user", "content": ""}]
    with pytest.raises(DatasetError, match="each row is one message") as caught:
        recognise(rows(*turn))
    assert '{"messages":' in caught.value.sentence
    assert recognise(rows(*turn), "text", {"text": "content"}).format == "text"  # who says so by hand is heard
    odd = [{"role": "user", "content": "Q"}, {"role": "oracle", "content": "A"}]
    with pytest.raises(DatasetError, match="each row is one message"):
        recognise(rows(*odd))
    mail = [{"author": "Ada Lovelace", "text": "A letter"}, {"author": "Charles", "text": "Another"}]
    assert recognise(rows(*mail)).format == "text"


def test_token_ids_beside_texts_of_their_own_are_a_guess() -> None:
    row = {"input_ids": [1, 2, 3], "prompt": "Write a function that adds", "generation": "def add(a, b): return a + b"}
    reading = recognise(rows(row))
    assert reading.format == "tokens" and reading.guess and "beside them stand texts" in reading.doubts[0]
    assert not recognise(rows({"input_ids": [1, 2, 3], "text": "the text that the ids were made of, kept"})).doubts
    assert not recognise(rows({**row, "labels": [-100, 2, 3]})).doubts
