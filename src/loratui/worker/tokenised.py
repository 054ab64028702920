"""What a conversation is once it is tokens and labels, and which of its tokens are the answers'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loratui.core.errors import ModelError
from loratui.data.conversation import Conversation, Message

IGNORED = -100
"""Label of a token that bears no loss."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """Text as the model reads it, and where in it the answers lie (character positions, end excluded)."""

    text: str
    answers: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Tokenised:
    """One row, ready for the trainer.

    full_tokens: its length before it was cut. answer_tokens: tokens that bore loss before it was cut.
    answers_ended: answers whose last trained token is a stop token; answers: how many there are.
    """

    input_ids: list[int]
    labels: list[int]
    full_tokens: int
    answer_tokens: int
    answers: int
    answers_ended: int
    spans: tuple[tuple[int, int], ...] = ()
    """Where the answers lie in the uncut row: token positions, end excluded. Empty for rows that came as tokens."""
    text: str | None = None
    """The rendered text, where it was asked for; None for rows that came as tokens."""
    learnt: tuple[tuple[int, int], ...] = ()
    """Where in `text` the tokens lie that bear loss, uncut: characters, end excluded."""
    kept_characters: int = 0
    """Characters of `text` within the maximum length."""

    @property
    def cut(self) -> bool:
        """Whether the maximum length shortened the row."""
        return self.full_tokens > len(self.input_ids)

    @property
    def trained_tokens(self) -> int:
        """Tokens that bear loss. The first token of a row is never predicted."""
        return sum(label != IGNORED for label in self.labels[1:])


def with_text(row: Tokenised, text: str, encoding: Any, within: int) -> Tokenised:
    """The row with its rendered text, where in it the trained tokens lie, and how much lies within so many tokens."""
    learnt = tuple(
        (encoding.token_to_chars(first)[0], encoding.token_to_chars(last - 1)[1])
        for first, last in row.spans
        if last > first
    )
    kept = len(text) if row.full_tokens <= within else encoding.token_to_chars(within - 1)[1]
    return replace(row, text=text, learnt=learnt, kept_characters=kept)


def tokens_between(encoding: Any, start: int, end: int, count: int, characters: int) -> tuple[int, int]:
    """The tokens that share a character with a stretch of text, end excluded. Characters without a token (trimmed
    spaces) are passed over.
    """
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
                raise ModelError(
                    f"the chat template leaves out the tool call of message {number + 1}.",
                    hint="Choose a chat template that knows tools.",
                )


def answers(messages: Sequence[Message]) -> list[int]:
    """Numbers of the messages that are learnt from."""
    return [number for number, message in enumerate(messages) if message.trained]


def added_special_ids(tokenizer: Any) -> set[int]:
    """Ids of the special tokens that the tokenizer added."""
    return {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
