"""Where the characters of a row go, without a model: what a reading says and drops, what a rendering shows of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from loratui.data.characters import (
    characters_words,
    is_metadata,
    pieces_of,
    read_characters,
    rendered_characters,
    size_of,
    texts,
    thinking_characters,
)
from loratui.data.conversation import Conversation, Message

WORD = st.text("abcdefghij", min_size=1, max_size=8)
SENTENCE = st.lists(WORD, min_size=1, max_size=8).map(" ".join)


def asked(question: str, answer: str, **extra: Any) -> Conversation:
    return Conversation(
        messages=(
            Message("user", question, trained=False),
            Message("assistant", answer, trained=True, extra=extra),
        )
    )


def read(row: dict[str, Any], conversation: Conversation, **columns: str) -> Any:
    return read_characters(row, conversation, pieces_of(conversation), columns)


def test_texts_stand_with_their_places() -> None:
    row = {"a": "one", "b": {"c": ["two", {"d": "three"}], "n": [1, 2]}, "e": "  ", "f": None}
    assert texts(row) == [("a", "one"), ("b.c", "two"), ("b.c.d", "three")]
    assert size_of(row) == len("onetwothree") and size_of(None) == 0


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=6) | st.just("  "),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=12,
    )
)
def test_a_rows_size_is_that_of_its_texts(value: Any) -> None:
    row = {"column": value}
    assert size_of(row) == sum(len(text) for _, text in texts(row))


def test_what_is_read_is_carried_and_what_is_not_is_named_by_its_column() -> None:
    row = {"q": "How many?", "a": "Three.", "hint": "count the apples on the table", "id": "row-17", "score_url": "h"}
    account = read(row, asked("How many?", "Three."), prompt="q", completion="a")
    assert account.source == size_of(row)
    assert account.dropped == {"hint": len(row["hint"])}
    assert account.named == {"id": 6, "score_url": 1}
    assert account.carried == len("How many?") + len("Three.")


def test_a_rejected_answer_and_what_repeats_the_conversation_are_accounted_for() -> None:
    question, answer = "What is the capital of France?", "It is Paris, on the Seine."
    row = {"q": question, "a": answer, "no": "It is Lyon.", "text": f"### Q: {question}\n### A: {answer}"}
    account = read(row, asked(question, answer), prompt="q", completion="a", rejected="no")
    assert account.dropped == {} and account.named == {"no": len(row["no"]), "text": len(row["text"])}


def test_a_read_text_that_was_taken_apart_is_compared_by_its_words() -> None:
    row = {"chat": "USER: how are you today ASSISTANT: fine thanks and unheard"}
    account = read(row, asked("you are today how", "thanks fine"), messages="chat")
    assert 0 < account.dropped["chat"] < len(row["chat"]) / 2


@pytest.mark.parametrize(("kept", "shown", "cut"), [(99, 4, 0), (12, 4, 5)])
def test_a_rendering_is_learnt_shown_or_cut(kept: int, shown: int, cut: int) -> None:
    text = "<u>ask?</u>  answer-er</s>"
    start = text.index("answer")
    kept = min(kept + start - 9, len(text)) if cut else kept
    account = rendered_characters(
        pieces_of(asked("ask?", "answer-er")), text, [(start, start + 9)], start + 4 if cut else len(text)
    )
    assert (account.learnt, account.shown, account.cut) == (9 - cut, shown, cut)
    assert account.dropped == {} and account.parts == {"user": 4, "answer": 9} and account.answers == (0, 9)


def test_what_a_template_leaves_out_is_told_by_its_part() -> None:
    row = asked("ask?", "the answer", reasoning_content="first think of apples")
    account = rendered_characters(pieces_of(row), "<u>ask?</u>the answer", [(11, 21)], 21)
    assert account.dropped == {"reasoning": len("first think of apples")}
    assert account.answers == (21, 31) and thinking_characters(row) == 21


def test_a_call_that_is_written_as_json_is_not_lost() -> None:
    call = {"type": "function", "function": {"name": "find", "arguments": {"query": 'a "quoted"\nword'}}}
    row = asked("ask?", "", tool_calls=[call])
    text = '<u>ask?</u>{"name": "find", "arguments": {"query": "a \\"quoted\\"\\nword"}}'
    account = rendered_characters(pieces_of(row), text, [(11, len(text))], len(text))
    assert account.dropped == {} and account.learnt >= len("find") + len('a "quoted"\nword')


def test_words_that_stand_elsewhere_count_once() -> None:
    """A text that was changed is looked for by words, in what no other text claims."""
    account = rendered_characters(pieces_of(asked("red blue", "tin oak sky")), "blue red | tin fog sky", [(11, 22)], 22)
    assert account.dropped == {"answer": 3, "user": 0} and account.shown == len("red blue")


@given(SENTENCE, SENTENCE, SENTENCE, st.integers(0, 200))
@settings(max_examples=150, deadline=None)
def test_nothing_is_lost_from_the_account(question: str, answer: str, thought: str, kept: int) -> None:
    row = asked(question, answer, reasoning_content=thought)
    text = f"<u>{question}</u><a>{answer}</a>"
    start = text.index("<a>") + 3
    account = rendered_characters(pieces_of(row), text, [(start, start + len(answer))], min(kept, len(text)))
    told = account.learnt + account.shown + account.cut + sum(account.dropped.values())
    assert told == len(question) + len(answer) + len(thought) == sum(account.parts.values())


@pytest.mark.parametrize(
    ("path", "described"),
    [
        ("id", True),
        ("meta.source", True),
        ("doc_hash", True),
        ("__index__", True),
        ("answer", False),
        ("a.hint", False),
    ],
)
def test_columns_that_describe_rows(path: str, described: bool) -> None:
    assert is_metadata(path) == described


def test_the_sums_in_words() -> None:
    none = {"learnt": 0, "shown": 0, "cut": 0, "reading": 0, "template": 0, "unused": 0}
    assert characters_words({}) == "" == characters_words({**none, "source": 0})
    told = characters_words({**none, "source": 2000, "learnt": 1500, "template": 500})
    assert told == "2,000 characters: 75.0% learnt, 25.0% dropped by the chat template"
