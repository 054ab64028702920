"""Thinking in rows: where it stands, and how it can be arranged before the chat template sees it.

Rows carry thinking in a field of the answer (`reasoning_content`, `thinking`, `reasoning`), in a content part of that
type, or between tags at the head of the answer's text. The fields are read as one, `reasoning_content`; what stands in
the text stays there until a plan asks for it to be moved.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from loratui.data.conversation import Conversation, Message

Source = Literal["field", "text"]
FIELD = "reasoning_content"
FIELDS = (FIELD, "thinking", "reasoning", "reasoning_text")
"""Names that the field goes by in published data and in chat templates."""
_PAIRS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
)
TAGS = tuple(tag for pair in _PAIRS for tag in pair)
_INLINE = re.compile(
    r"\s*(?:" + "|".join(f"{re.escape(a)}(?:(?!{re.escape(b)}).)*{re.escape(b)}" for a, b in _PAIRS) + r")",
    re.DOTALL,
)
_UNOPENED = re.compile(r"(?:(?!<think>).)*</think>", re.DOTALL)
"""An answer of a model whose prompt opened the thinking: only its end is in the text."""


def field_text(turn: Mapping[str, Any]) -> Any:
    """The thinking of a turn's own field, whatever its name; None where it has none."""
    return next((turn[name] for name in FIELDS if turn.get(name)), None)


def inline_range(text: str) -> tuple[int, int, int] | None:
    """Where thinking lies at the head of an answer: start and end of its words, and where the answer goes on."""
    if not any(close in text for _, close in _PAIRS):
        return None
    found = _INLINE.match(text) or _UNOPENED.match(text)
    if found is None:
        return None
    block = found.group()
    begin = len(block) - len(block.lstrip())
    pair = next(((a, b) for a, b in _PAIRS if block.startswith(a, begin)), ("", "</think>"))
    start, end = begin + len(pair[0]), len(block) - len(pair[1])
    words = text[start:end]
    lead = len(words) - len(words.lstrip())
    return start + lead, start + max(lead, len(words.rstrip())), found.end()


def thinking_of(message: Message) -> tuple[Source, str] | None:
    """The thinking of an answer, and whether a field or the text holds it; None where there is none."""
    if message.role != "assistant":
        return None
    given = message.extra.get(FIELD)
    if isinstance(given, str) and given.strip():
        return "field", given.strip()
    place = inline_range(message.content)
    return ("text", message.content[place[0] : place[1]]) if place and place[1] > place[0] else None


def arranged(row: Conversation, mode: str) -> Conversation:
    """The row with its thinking arranged as `dataset.reasoning` says; the row itself where nothing changes."""
    if mode == "as-given" or not any(message.role == "assistant" for message in row.messages):
        return row
    asked = max((number for number, message in enumerate(row.messages) if message.role == "user"), default=-1)
    messages = tuple(
        _arranged(message, mode, number > asked) if message.role == "assistant" else message
        for number, message in enumerate(row.messages)
    )
    return row if messages == row.messages else row._replace(messages=messages)


def _arranged(message: Message, mode: str, last: bool) -> Message:
    place = inline_range(message.content)
    given = message.extra.get(FIELD)
    if mode == "drop" or (mode == "last-turn" and not last):
        extra = {key: value for key, value in message.extra.items() if key != FIELD}
        content = message.content[place[2] :].lstrip() if place else message.content
        return message._replace(content=content, extra=extra)
    if mode == "separate" and place and not given:
        extra = {**message.extra, FIELD: message.content[place[0] : place[1]]}
        return message._replace(content=message.content[place[2] :].lstrip(), extra=extra)
    if mode == "inline" and given and not place:
        extra = {key: value for key, value in message.extra.items() if key != FIELD}
        return message._replace(content=f"<think>\n{str(given).strip()}\n</think>\n\n{message.content}", extra=extra)
    return message
