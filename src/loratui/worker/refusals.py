"""What in a row a chat template refuses it for, found by trying, and what to do about it.

A template's own words say what its author thought of ("roles must alternate"), not what stands in the row. The row is
rendered again without what may be the cause, and what then passes is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from loratui.core.errors import ModelError
from loratui.data.conversation import Conversation, Message
from loratui.worker.chat_template import ANSWER, ASK, CALLING, TOOL, ChatTemplate

ANOTHER = "or choose another chat template."
MOST_SHAPES = 1000
"""Shapes of refused conversations that are remembered."""


class Refusals:
    """Explains one template's refusals; conversations of the same shape that are refused alike are tried once."""

    def __init__(self, template: ChatTemplate) -> None:
        self._template = template
        self._hints: dict[tuple[Any, ...], str] = {}

    def explained(self, row: Conversation, error: ModelError) -> ModelError:
        """The refusal of a row with a hint that names what it is refused for."""
        shape = tuple((message.role, len(message.extra.get("tool_calls") or ())) for message in row.messages)
        key = error.message, shape, bool(row.tools)
        if key not in self._hints:
            if len(self._hints) >= MOST_SHAPES:
                self._hints.clear()
            self._hints[key] = _hint(self._template, row)
        return ModelError(error.message, hint=self._hints[key])


def _hint(template: ChatTemplate, row: Conversation) -> str:
    plain = Conversation((ASK, ANSWER))
    if not _passes(template, plain):
        if _passes(template, plain._replace(tools=(TOOL,))):
            return "It is made for rows that list tools, and this one lists none: choose another chat template."
        return "It refuses even one question and its answer: choose another chat template."
    calls = any(message.role == "tool" or message.extra.get("tool_calls") for message in row.messages)
    if (row.tools or calls) and not _passes(template, Conversation(CALLING, tools=(TOOL,))):
        return "It cannot be used with tools: choose a chat template that can."
    apart = _apart(row.messages)
    if apart != row.messages and _passes(template, row._replace(messages=apart)):
        return f"Put each call into a message of its own, its result after it, {ANOTHER}"
    asked = tuple(message for message in row.messages if message.role != "system")
    if asked != row.messages and _passes(template, row._replace(messages=asked)):
        return f"It takes no system message here: put its words into the first question, {ANOTHER}"
    if asked[:1] and asked[0].role != "user":
        return f"The conversation does not begin with a question: take the first answer out, {ANOTHER}"
    for number, (one, other) in enumerate(pairwise(row.messages), 1):
        if one.role == other.role and one.role in ("user", "assistant"):
            return f"Messages {number} and {number + 1} are both by the {one.role}: join them, {ANOTHER}"
    return f"Change the row, {ANOTHER}"


def _passes(template: ChatTemplate, row: Conversation) -> bool:
    try:
        template.apply(row, row.messages)
    except ModelError:
        return False
    return True


def _apart(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages with each call in one of its own, and its result, where it follows, after it."""
    found: list[Message] = []
    rest = list(messages)
    while rest:
        message = rest.pop(0)
        calls = message.extra.get("tool_calls") or ()
        if len(calls) < 2:
            found.append(message)
            continue
        for number, call in enumerate(calls):
            content = message.content if number == 0 else ""
            found.append(message._replace(content=content, extra={**message.extra, "tool_calls": [call]}))
            if rest and rest[0].role == "tool":
                found.append(rest.pop(0))
    return tuple(found)
