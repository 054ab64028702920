"""What a conversation is once it is tokens and labels, and which of its tokens are the answers'."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from loratui.core.errors import ModelError
from loratui.data.conversation import Conversation, Message

Spans = tuple[tuple[int, int], ...]
IGNORED = -100
"""Label of a token that bears no loss."""


class BeyondVocabulary(ModelError):
    """A token id that the model's embedding has no row for: training would fail at it, or read another's memory."""

    code = "vocabulary"

    def __init__(self, token: int, vocabulary: int) -> None:
        super().__init__(
            f"token id {token:,} is beyond the model's vocabulary of {vocabulary:,}.",
            hint="The ids, or the added tokens, belong to another model.",
        )


@dataclass(frozen=True, slots=True)
class Thinking:
    """What becomes of one row's thinking, in characters; learnt, shown and dropped add up to what was given.

    answers: with thinking; in_text: those whose text holds it; dropped_answers: whose thinking the template leaves out.
    filler: answers that bear loss on what the template writes where nobody thought. unprompted: answers that do not
    follow what the template writes to ask for one, so that they are trained otherwise than they will be asked.
    """

    learnt: int = 0
    shown: int = 0
    dropped: int = 0
    answers: int = 0
    in_text: int = 0
    dropped_answers: int = 0
    filler: int = 0
    unprompted: int = 0

    @property
    def given(self) -> int:
        """Characters of thinking in the row."""
        return self.learnt + self.shown + self.dropped


@dataclass(frozen=True, slots=True)
class Rendered:
    """Text as the model reads it, and where in it the answers lie (character positions, end excluded)."""

    text: str
    answers: Spans
    thinking: Thinking | None = None
    plain: bool = False
    """It is a row of plain text."""


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
    spans: Spans = ()
    """Where the answers lie in the uncut row: token positions, end excluded. Empty for rows that came as tokens."""
    thinking: Thinking | None = None
    """What becomes of its thinking; None where there is none."""
    text: str | None = None
    """The rendered text, where it was asked for; None for rows that came as tokens."""
    learnt: tuple[tuple[int, int], ...] = ()
    """Where in `text` the tokens lie that bear loss, uncut: characters, end excluded."""
    kept_characters: int = 0
    """Characters of `text` within the maximum length."""
    ids: Sequence[int] = ()
    """Every id of the uncut row, where the rows are to be stored; `input_ids` and `labels` then are empty, unless the
    row came as tokens."""

    @property
    def cut(self) -> bool:
        """Whether the maximum length shortened the row."""
        return self.full_tokens > len(self.input_ids)

    @property
    def trained_tokens(self) -> int:
        """Tokens that bear loss. The first token of a row is never predicted."""
        return sum(label != IGNORED for label in self.labels[1:])


def all_ids(encoding: Any) -> Sequence[int]:
    """The ids of a whole row; of a long text 32 bits each, since nothing else of it is held at once."""
    ids = encoding.ids
    return ids if isinstance(ids, list) else array("i", ids)


def with_text(row: Tokenised, text: str, encoding: Any, within: int) -> Tokenised:
    """The row with its rendered text, where in it the trained tokens lie, and how much lies within so many tokens; 0:
    all of it.
    """
    learnt = tuple(
        (encoding.token_to_chars(first)[0], encoding.token_to_chars(last - 1)[1])
        for first, last in row.spans
        if last > first
    )
    kept = len(text) if not within or row.full_tokens <= within else encoding.token_to_chars(within - 1)[1]
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


def label_spans(labels: list[int]) -> Sequence[tuple[int, int]]:
    """Half-open stretches of tokens that bear loss."""
    import numpy as np

    mask = np.asarray(labels, dtype=np.int64) != IGNORED
    if not mask.any():
        return []
    edges = np.flatnonzero(np.diff(mask, prepend=False, append=False))
    return [(int(start), int(end)) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def require_calls(row: Conversation, whole: str, spans: Sequence[tuple[int, int]]) -> None:
    """ModelError where a template silently drops a tool call of an answer: the model would learn to say nothing."""
    for number, (start, end) in zip(answers(row.messages), spans, strict=True):
        position = start
        calls = row.messages[number].extra.get("tool_calls") or ()
        for which, call in enumerate(calls, 1):
            function = call.get("function", call) if isinstance(call, Mapping) else {}
            name = str(function.get("name", ""))
            at = whole.find(name, position, end)
            if at < 0:
                one = f"call {which} of {len(calls)}" if len(calls) > 1 else "the tool call"
                raise ModelError(
                    f"the chat template leaves out {one} of message {number + 1}, {name}.",
                    hint="It cannot be used with tools: choose a chat template that can."
                    if which == 1
                    else "Put each call into a message of its own, or choose another chat template.",
                )
            position = at + len(name)


def answers(messages: Sequence[Message]) -> list[int]:
    """Numbers of the messages that are learnt from."""
    return [number for number, message in enumerate(messages) if message.trained]


def added_special_ids(tokenizer: Any) -> set[int]:
    """Ids of the special tokens that the tokenizer added."""
    return {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
