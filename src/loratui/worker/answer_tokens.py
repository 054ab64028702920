"""From stretches of rendered text to the tokens that they are, and which messages are answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loratui.core.errors import ModelError
from loratui.data.conversation import Conversation, Message


def tokens_between(encoding: Any, start: int, end: int, count: int, characters: int) -> tuple[int, int]:
    """The tokens that share a character with a stretch of text, end excluded. Characters without a token (trimmed spaces) are passed over."""
    first = token_at(encoding, start, characters)
    last = token_at(encoding, end, characters)
    if first is None:
        return count, count
    if last is None:
        return first, count
    return first, last + (encoding.token_to_chars(last)[0] < end)


def token_at(encoding: Any, position: int, characters: int) -> int | None:
    """The first token at or after a character; None where there is none."""
    for at in range(position, characters):
        token: int | None = encoding.char_to_token(at)
        if token is not None:
            return token
    return None


def require_calls(row: Conversation, whole: str, spans: Sequence[tuple[int, int]]) -> None:
    """ModelError where a template silently drops the tool calls of an answer: the model would learn to say nothing."""
    for number, (start, end) in zip(answers(row.messages), spans, strict=False):
        for call in row.messages[number].extra.get("tool_calls") or ():
            function = call.get("function", call) if isinstance(call, Mapping) else {}
            if str(function.get("name", "")) not in whole[start:end]:
                raise ModelError(f"the chat template leaves out the tool call of message {number + 1}.", hint="Choose a chat template that knows tools.")


def answers(messages: Sequence[Message]) -> list[int]:
    """Numbers of the messages that are learnt from."""
    return [number for number, message in enumerate(messages) if message.trained]


def added_special_ids(tokenizer: Any) -> set[int]:
    """Ids of the special tokens that the tokenizer added."""
    return {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
