"""Tools and calls in every form that data have them in are one thing, and they count where lengths are guessed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from loratui.data.conversation import Conversation
from loratui.data.convert import to_conversation
from loratui.data.facts import quick_facts
from loratui.data.find import find_dataset
from loratui.data.recognise import Recognition
from loratui.data.row import RowError
from loratui.data.tools import calls_of, tools_of

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL = {"type": "function", "function": {"name": "get_weather", "description": "d", "parameters": SCHEMA}}
CALL = {"name": "get_weather", "arguments": {"city": "Bonn"}}


def read(row: dict[str, Any], column: str = "messages") -> Conversation:
    return to_conversation(row, Recognition("messages", {"messages": column, "tools": "tools"}, ""))


def turns(*answers: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Rain?"}, *answers]}


@pytest.mark.parametrize(
    "cell",
    [
        [TOOL],
        json.dumps([TOOL]),
        TOOL,
        [{"function": TOOL["function"]}],
        [TOOL["function"]],
        [json.dumps(TOOL)],
        [{"name": "get_weather", "description": "d", "input_schema": SCHEMA}],
        {"get_weather": {"description": "d", "parameters": SCHEMA}},
    ],
    ids=["openai", "text", "one", "without-type", "bare", "texts", "anthropic", "by-name"],
)
def test_tools_in_every_form(cell: Any) -> None:
    assert list(tools_of(cell, "tools")) == [TOOL]


@pytest.mark.parametrize(
    "answer",
    [
        {"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": CALL}]},
        {"role": "assistant", "content": "", "tool_calls": [CALL]},
        {"role": "assistant", "tool_calls": json.dumps([CALL])},
        {"role": "assistant", "tool_calls": [json.dumps({"function": CALL})]},
        {"role": "assistant", "content": None, "function_call": CALL},
        {"role": "assistant", "content": [{"type": "tool_use", "name": "get_weather", "input": {"city": "Bonn"}}]},
        {"role": "assistant", "content": [{"type": "tool_call", "value": json.dumps(CALL)}]},
        {"role": "assistant", "content": "", "tool_calls": [{"name": "get_weather", "parameters": {"city": "Bonn"}}]},
        {"from": "function_call", "value": json.dumps(CALL)},
        {"from": "function_call", "value": json.dumps([CALL])},
        {"from": "function_call", "value": CALL},
    ],
    ids=[
        "openai",
        "bare",
        "text",
        "texts",
        "first-openai",
        "anthropic",
        "llama-factory-1",
        "parameters",
        "sharegpt",
        "sharegpt-list",
        "sharegpt-object",
    ],
)
def test_calls_in_every_form(answer: dict[str, Any]) -> None:
    message = read(turns(answer)).messages[1]
    assert message.role == "assistant" and message.trained and message.content == ""
    assert message.extra["tool_calls"] == [{"type": "function", "function": CALL}]


def test_arguments_stay_as_they_came() -> None:
    text = '{"city":  "Bonn"}'
    [call] = calls_of([{"id": "a", "function": {"name": "f", "arguments": text}}], "message 2")
    assert call == {"id": "a", "type": "function", "function": {"name": "f", "arguments": text}}


def test_what_is_no_call_or_tool_is_said() -> None:
    with pytest.raises(RowError, match="message 2 of messages has a function call without a name"):
        read(turns({"role": "assistant", "content": "", "tool_calls": [{"arguments": {}}]}))
    with pytest.raises(RowError, match="tools is no list of tools"):
        read({**turns({"role": "assistant", "content": "x"}), "tools": 3})
    with pytest.raises(RowError, match="tools was expected to be JSON"):
        read({**turns({"role": "assistant", "content": "x"}), "tools": "[{]"})


def test_parts_of_text_and_thinking_are_told_apart() -> None:
    parts = [{"type": "reasoning", "value": "Hm"}, {"type": "text", "value": "Yes"}]
    message = read(turns({"role": "assistant", "content": parts})).messages[1]
    assert (message.content, message.extra) == ("Yes", {"reasoning_content": "Hm"})


def test_tools_and_calls_count_where_lengths_are_guessed(tmp_path: Path) -> None:
    long = {**TOOL, "function": {**TOOL["function"], "description": "d" * 8_000}}
    called = {"role": "assistant", "content": "", "tool_calls": [{**CALL, "arguments": {"city": "x" * 4_000}}]}
    plain = turns({"role": "assistant", "content": "It rains"})
    path = tmp_path / "rows.jsonl"
    rows = [plain, {**plain, "tools": [long]}, {**turns(called), "tools": [long]}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    facts = quick_facts(find_dataset(str(path)))
    assert facts.lengths[0] < 40 and 2_000 <= facts.lengths[1] < 2_200 and 3_000 <= facts.lengths[2] < 3_300
    assert 0.15 < facts.trained_share < 0.3, "the call is learnt, the tools are only read"
