"""Calls that answers write as text, each family of data in its own way, and the same calls as chat templates take them.

Known are Hermes (`<tool_call>{…}</tool_call>`, tools between `<tools>` in the system message), Glaive
(`<functioncall> {…}`), ToolACE (`[Name(key="value"), …]`), Llama (`{"name": …, "parameters": …}` as the whole answer)
and Mistral (`[TOOL_CALLS] […]`).
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping
from typing import Any, Literal

from loratui.data.conversation import Conversation, Message
from loratui.data.row import RowError
from loratui.data.tools import calls_of, tools_of

TextForm = Literal["Hermes", "Glaive", "ToolACE", "Llama", "Mistral"]
LIFTED = "lifted"
"""Of a system message whose tools the template writes itself: it is not handed over."""
_HERMES = re.compile(r"<tool_call>\s*(\{.*?\})\s*(?:</tool_call>|\Z)", re.DOTALL)
_RESPONSE = re.compile(r"<tool_response>\s*(.*?)\s*</tool_response>", re.DOTALL)
_TOOLS = re.compile(r"<tools>\s*(.*?)\s*</tools>", re.DOTALL)
_GLAIVE = re.compile(r"<functioncall>\s*(\{.*\})\s*(?:<\|endoftext\|>)?", re.DOTALL)
_QUOTED = re.compile(r"(\"arguments\"\s*:\s*)'(.*)'(\s*\})\s*\Z", re.DOTALL)
_TOOLACE = re.compile(r"\s*\[\s*[A-Za-z_][^()\[\]{}\n]*\(.*\)\s*\]\s*\Z", re.DOTALL)
_NAME = re.compile(r"\s*,?\s*([A-Za-z_][^()\[\]{}\n,]*?)\s*\(")
_JSON = re.compile(r"[{\[]")
_LLAMA = re.compile(r"\s*(?:<\|python_tag\|>)?\s*(\{\s*\"(?:name|type)\".*\})\s*\Z", re.DOTALL)
_MISTRAL = re.compile(r"\s*\[TOOL_CALLS\]\s*(\[.*\])\s*\Z", re.DOTALL)


def calls_in(text: str) -> tuple[TextForm, list[dict[str, Any]], str] | None:
    """The calls that an answer writes as text: whose form it is, the calls, and the words around them; None without."""
    if "<tool_call>" in text and (blocks := _HERMES.findall(text)):
        return _read("Hermes", blocks, _HERMES.sub("", text))
    if "<functioncall>" in text and (found := _GLAIVE.search(text)):
        block = _QUOTED.sub(lambda held: held[1] + json.dumps(held[2]) + held[3], found[1])
        return _read("Glaive", [block], _GLAIVE.sub("", text))
    if found := _MISTRAL.match(text):
        return _read("Mistral", [found[1]], "")
    if found := _LLAMA.match(text):
        return _read("Llama", [found[1]], "") if '"parameters"' in text or '"arguments"' in text else None
    if _TOOLACE.match(text) and (calls := _bracketed(text.strip()[1:-1])):
        return "ToolACE", calls, ""
    return None


def _read(form: TextForm, blocks: list[str], rest: str) -> tuple[TextForm, list[dict[str, Any]], str] | None:
    try:
        calls = [call for block in blocks for call in calls_of(block, "the answer")]
    except RowError:
        return None
    return form, calls, rest.strip()


def _bracketed(text: str) -> list[dict[str, Any]]:
    """Calls like `Name(key="value"), Other(n=1)`; empty where it is anything else."""
    calls: list[dict[str, Any]] = []
    position = 0
    while position < len(text.rstrip()):
        name = _NAME.match(text, position)
        end = _closing(text, name.end()) if name else None
        if name is None or end is None:
            return []
        try:
            called = ast.parse(f"f({text[name.end() : end]})", mode="eval").body
            assert isinstance(called, ast.Call)
            arguments = {str(one.arg): ast.literal_eval(one.value) for one in called.keywords}
        except (SyntaxError, ValueError, AssertionError, RecursionError, MemoryError):
            return []
        if called.args or "None" in arguments:
            return []
        calls.append({"type": "function", "function": {"name": name[1], "arguments": arguments}})
        position = end + 1
    return calls


def _closing(text: str, start: int) -> int | None:
    """Where the bracket closes that was opened before `start`, strings passed over."""
    depth, quote, at = 1, "", start
    while at < len(text):
        letter = text[at]
        if quote:
            at += letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
            if not depth:
                return at
        at += 1
    return None


def text_form(row: Conversation) -> TextForm | None:
    """The form in which a row's answers write calls as text; None where they write none."""
    found = (calls_in(message.content) for message in row.messages if message.role == "assistant")
    return next((one[0] for one in found if one is not None), None)


def with_calls(row: Conversation) -> Conversation:
    """The row with the calls that its answers write as text handed to the chat template, and the tools of its system
    message, whose words then give way to the template's own. As many messages as before.
    """
    if text_form(row) is None:
        return row
    tools = row.tools
    messages: list[Message] = []
    for message in row.messages:
        if message.role == "system" and (found := system_tools(message.content)):
            tools = tools or found
            message = message._replace(content="", extra={**message.extra, LIFTED: True})
        elif message.role == "assistant" and (called := calls_in(message.content)):
            message = message._replace(content=called[2], extra={**message.extra, "tool_calls": called[1]})
        elif message.role in ("tool", "user") and (results := _results(message.content)):
            message = message._replace(role="tool", content=results)
        messages.append(message)
    return row._replace(messages=tuple(messages), tools=tools)


def _results(text: str) -> str:
    """What tools answered, where a message holds nothing else; else empty."""
    blocks = _RESPONSE.findall(text)
    return "" if _RESPONSE.sub("", text).strip() else "\n</tool_response>\n<tool_response>\n".join(blocks)


def system_tools(text: str) -> tuple[Mapping[str, Any], ...]:
    """The tools that a system message lists: between `<tools>`, or as JSON objects one after the other."""
    block = _TOOLS.search(text)
    source = block[1] if block else text
    found: list[Any] = []
    decoder = json.JSONDecoder()
    position = 0
    while begun := _JSON.search(source, position):
        try:
            value, position = decoder.raw_decode(source, begun.start())
        except (ValueError, RecursionError):
            position = begun.end()
            continue
        found += value if isinstance(value, list) else [value]
    tools = [one for one in found if isinstance(one, Mapping) and ("name" in one or "function" in one)]
    return tools_of(tools, "the system message") if tools else ()
