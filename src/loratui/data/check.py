"""What looks wrong in a conversation though it can be trained on: one sentence each, with a kind."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from itertools import pairwise

from loratui.data.conversation import Conversation, Message

CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
PICTURES = re.compile(r"<(image|video|audio)>|<img>[^<]{3,500}</img>|<audio>[^<]{3,500}</audio>")
"""Where pictures and sounds stand in the rows of models that see and hear."""
PLACEHOLDERS = re.compile(
    r"\{\{\s*[A-Za-z_][\w .-]{0,40}\}\}|\[(?:INSERT|YOUR|TODO|PLACEHOLDER)\b[^\]\n]{0,60}\]|<(?:INSERT|YOUR)_[A-Z_]+>"
)
MOJIBAKE = re.compile("Ã[\u0080-\u00bf]|â€[\u0098-\u009f™œ\u009d“”]|Â[\u00a0-\u00bf]|ï»¿")


def check(conversation: Conversation) -> Iterator[tuple[str, str]]:
    """Kind and sentence of each doubt about a row, in the order of its parts."""
    if conversation.text:
        yield from check_text(conversation.text, "the text")
    if conversation.messages:
        yield from _check_order(conversation.messages)
    for number, message in enumerate(conversation.messages, 1):
        if message.content:
            yield from check_text(message.content, _name(message, number, len(conversation.messages)))
    for message in conversation.rejected[len(conversation.prompt) :]:
        yield from check_text(message.content, "the rejected answer")
    if conversation.scores is not None:
        yield from _check_scores(*conversation.scores)


def _check_scores(chosen: float, rejected: float) -> Iterator[tuple[str, str]]:
    if chosen < rejected:
        yield "swapped", f"the rejected answer has the higher score ({rejected:g}, the chosen {chosen:g})."
    elif chosen == rejected:
        yield "tied", f"both answers have the same score ({chosen:g}): nothing says that the chosen one is better."


def check_text(text: str, name: str) -> Iterator[tuple[str, str]]:
    """Characters that a terminal would obey, names left to be filled in, and text broken by a wrong encoding."""
    if found := CONTROLS.search(text):
        code = ord(found.group())
        label = unicodedata.name(found.group(), "control character").lower()
        yield (
            "control-character",
            f"{name} holds a control character, U+{code:04X} ({label}), at character {found.start() + 1}.",
        )
    if "{{" in text or "[" in text or "<" in text:
        found = PLACEHOLDERS.search(text)
        if found:
            yield "placeholder", f"{name} still holds the placeholder {found.group()} at character {found.start() + 1}."
        if "<" in text and (found := PICTURES.search(text)):
            yield (
                "placeholder",
                f"{name} refers to a picture or sound, {found.group()[:40]}, which the model will not be shown.",
            )
    if not text.isascii():
        if "\ufffd" in text:
            yield (
                "lost-character",
                (
                    f"{name} holds U+FFFD at character {text.index(chr(0xFFFD)) + 1}: a character was lost in an "
                    "earlier conversion."
                ),
            )
        if found := MOJIBAKE.search(text):
            yield (
                "encoding",
                f"{name} looks read in a wrong encoding: {found.group()!r} at character {found.start() + 1}.",
            )


def _name(message: Message, number: int, count: int) -> str:
    if count <= 3:
        return {
            "user": "the prompt",
            "assistant": "the answer",
            "system": "the system message",
            "tool": "the tool's message",
        }[message.role]
    return f"message {number} ({message.role})"


def _check_order(messages: tuple[Message, ...]) -> Iterator[tuple[str, str]]:
    if messages[0].role == "assistant":
        yield "role-order", "the conversation begins with an answer, and nothing was asked."
    if messages[-1].role != "assistant":
        yield "role-order", f"the last message is from {messages[-1].role} and has no answer."
    for number, (before, message) in enumerate(pairwise(messages), 2):
        if message.role == "system":
            yield "role-order", f"message {number} is a system message in the middle of the conversation."
        elif message.role == before.role and message.role != "tool":
            yield "role-order", f"messages {number - 1} and {number} are both from {message.role}."
    for number, message in enumerate(messages, 1):
        if message.trained and not message.content.strip() and not message.extra.get("tool_calls"):
            yield "empty-answer", f"message {number} is an empty answer that bears loss."
