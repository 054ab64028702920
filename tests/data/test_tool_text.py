"""Calls written as text, each in the form of its own data, become the calls that chat templates take."""

from __future__ import annotations

import json
from typing import Any

import pytest

from loratui.data.conversation import Conversation, Message
from loratui.data.tool_text import calls_in, system_tools, text_form, with_calls

CALL = {"type": "function", "function": {"name": "get_weather", "arguments": {"city": "Bonn", "days": 2}}}
TOOL = {"name": "get_weather", "description": "d", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    ("form", "text", "words"),
    [
        (
            "Hermes",
            'Look.\n<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bonn", "days": 2}}\n</tool_call>',
            "Look.",
        ),
        ("Hermes", '<tool_call>{"arguments": {"city": "Bonn", "days": 2}, "name": "get_weather"}</tool_call>', ""),
        ("ToolACE", '[get_weather(city="Bonn", days=2)]', ""),
        ("Llama", '{"name": "get_weather", "parameters": {"city": "Bonn", "days": 2}}', ""),
        ("Mistral", '[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Bonn", "days": 2}}]', ""),
    ],
)
def test_calls_as_text(form: str, text: str, words: str) -> None:
    assert calls_in(text) == (form, [CALL], words)


def test_glaives_arguments_in_single_quotes() -> None:
    text = '<functioncall> {"name": "say", "arguments": \'{"words": "it is \\"so\\""}\'} <|endoftext|>'
    found = calls_in(text)
    assert found is not None and found[0] == "Glaive"
    assert json.loads(found[1][0]["function"]["arguments"]) == {"words": 'it is "so"'}


def test_several_calls_and_names_with_spaces() -> None:
    found = calls_in('[Market Trends API(trend_type="MARKET_INDEXES", n=[1, 2]), Other(text="a (b), \\"c\\"")]')
    assert found is not None
    assert [call["function"] for call in found[1]] == [
        {"name": "Market Trends API", "arguments": {"trend_type": "MARKET_INDEXES", "n": [1, 2]}},
        {"name": "Other", "arguments": {"text": 'a (b), "c"'}},
    ]


@pytest.mark.parametrize(
    "text",
    [
        "It rains.",
        "[1, 2, 3]",
        "[see (1)]",
        '{"a": 1}',
        "[f(x)]",
        "<tool_call>{broken</tool_call>",
        "[a](http://b(c))",
        "",
    ],
)
def test_what_is_no_call_stays_text(text: str) -> None:
    assert calls_in(text) is None


def hermes() -> Conversation:
    call = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bonn", "days": 2}}\n</tool_call>'
    return Conversation(
        (
            Message("system", f"You call functions. <tools>[{json.dumps(TOOL)}]</tools> Return JSON."),
            Message("user", "Rain?"),
            Message("assistant", call, True),
            Message("tool", "<tool_response>\nrainy\n</tool_response>"),
            Message("assistant", "It rains", True),
        )
    )


def test_a_row_of_hermes_is_handed_to_the_template() -> None:
    row = with_calls(hermes())
    assert [message.role for message in row.messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert row.messages[0].content == "" and row.messages[3].content == "rainy"
    assert row.messages[2].extra["tool_calls"] == [CALL] and row.tools[0]["function"]["name"] == "get_weather"
    plain = Conversation((Message("user", "a"), Message("assistant", "b", True)))
    assert with_calls(plain) is plain and text_form(plain) is None and text_form(hermes()) == "Hermes"


def test_tools_of_a_system_message() -> None:
    listed = f"{json.dumps(TOOL, indent=4)}\n{json.dumps(TOOL)}"
    glaive = f"SYSTEM: You have access to these functions. Use them if required -\n{listed}"
    assert [tool["function"]["name"] for tool in system_tools(glaive)] == ["get_weather", "get_weather"]
    assert system_tools("Be brief {really}.") == ()


def test_the_templates_own_form_is_learnt() -> None:
    pytest.importorskip("torch")
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).parents[1] / "worker"))
    from template_tokenizer import TEMPLATES, with_template

    from loratui.worker.tokenise import Tokeniser

    def learnt(calls: str) -> str:
        tokenizer: Any = with_template(TEMPLATES["llama3_1"])
        row = Tokeniser(tokenizer, calls=calls).one(hermes())
        pairs = zip(row.input_ids, row.labels, strict=True)
        return str(tokenizer.decode([number for number, label in pairs if label != -100]))

    assert learnt("as-given").startswith("<tool_call>")
    assert learnt("template") == (
        '{"name": "get_weather", "parameters": {"city": "Bonn", "days": 2}}<|eot_id|>It rains<|eot_id|>'
    )
