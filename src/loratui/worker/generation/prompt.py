"""A question as token ids, exactly as training showed questions to the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from loratui.core.errors import InputError
from loratui.data.conversation import Conversation, Message
from loratui.worker.tokenise import Tokeniser
from loratui.workers.questions import Question


def conversation(messages: Sequence[Mapping[str, Any]], prompt: str = "") -> Conversation:
    """Messages as role and content, the way data rows arrive at the template (fields beside these are kept); else plain
    text.
    """
    if not messages:
        return Conversation(text=prompt)
    return Conversation(
        tuple(
            Message(
                one["role"],
                str(one.get("content") or ""),
                extra={key: value for key, value in one.items() if key not in ("role", "content")},
            )
            for one in messages
        )
    )


def render(tokenizer: Any, question: Conversation, tokeniser: Tokeniser | None = None) -> tuple[str, list[int]]:
    """Text and ids of a question. InputError where it is empty, ModelError where the template refuses it. tokeniser: of
    this tokenizer; who asks many questions makes one, which learns the template's ways once.

    Messages go through the chat template, opened for the assistant's answer; the template writes the special tokens.
    Without a template, and for a plain prompt, the tokenizer puts before the text what it puts before every text.
    """
    templated = bool(question.messages) and bool(tokenizer.chat_template)
    tokeniser = tokeniser or Tokeniser(tokenizer)
    text = tokeniser.prompt_text(question) if question.messages else question.text
    ids = list(tokenizer(text, add_special_tokens=not templated)["input_ids"])
    if not templated and ids and ids[-1] == tokenizer.eos_token_id:
        ids = ids[:-1]  # some tokenizers close every text; an open question must not be closed
    if not ids:
        raise InputError("the prompt is empty.", hint="Write something to answer.")
    return text, ids


def asked(tokenizer: Any, one: Question, *, raw: bool = False, system: str = "") -> Conversation:
    """A row's question as it is put: a line of plain text as what a person says, unless it is to stay as it is (`raw`)
    or there is no chat template; `system` before rows without a system message. InputError where it is no question.
    """
    if one.conversation is None:
        raise InputError(one.problem or "it is no question.", where=one.place)
    question = one.conversation
    if one.plain and tokenizer.chat_template and not raw:
        question = question._replace(messages=(Message("user", question.text),), text="")
    if system and question.messages and question.messages[0].role != "system":
        question = question._replace(messages=(Message("system", system), *question.messages))
    return question


def prompt_ids(tokenizer: Any, question: Conversation, tokeniser: Tokeniser | None = None) -> list[int]:
    """The ids of a question."""
    return render(tokenizer, question, tokeniser)[1]
