"""Thinking in rows: where it stands, and how each arrangement moves it, without a model."""

from __future__ import annotations

import pytest

from loratui.data.conversation import Conversation, Message
from loratui.data.reasoning import FIELD, arranged, inline_range, thinking_of


def answer(content: str, **extra: object) -> Message:
    return Message("assistant", content, trained=True, extra=extra)


def row(*answers: Message) -> Conversation:
    messages = [one for number, one in enumerate(answers) for one in (Message("user", f"q{number}", False), one)]
    return Conversation(messages=tuple(messages))


@pytest.mark.parametrize(
    ("text", "thought", "rest"),
    [
        ("<think>\nwhy\n</think>\n\nso", "why", "so"),
        ("[THINK]a b[/THINK]so", "a b", "so"),
        ("its start was in the prompt</think>so", "its start was in the prompt", "so"),
        ("<think></think>so", "", "so"),
    ],
)
def test_thinking_at_the_head_of_an_answer(text: str, thought: str, rest: str) -> None:
    place = inline_range(text)
    assert place is not None and text[place[0] : place[1]] == thought and text[place[2] :].lstrip() == rest
    assert thinking_of(answer(text)) == (("text", thought) if thought else None)


def test_tags_within_an_answer_are_no_thinking() -> None:
    assert inline_range("write <think>x</think> around it") is None
    assert inline_range("no tags at all") is None
    assert thinking_of(Message("user", "<think>x</think>y", False)) is None


def test_each_arrangement_moves_it() -> None:
    both = row(answer("<think>a</think>one"), answer("<think>b</think>two"))
    contents = {mode: [one.content for one in arranged(both, mode).messages[1::2]] for mode in ("drop", "last-turn")}
    assert contents == {"drop": ["one", "two"], "last-turn": ["one", "<think>b</think>two"]}
    apart = arranged(both, "separate").messages[1::2]
    assert [(one.extra[FIELD], one.content) for one in apart] == [("a", "one"), ("b", "two")]
    inline = arranged(row(answer("one", **{FIELD: " a "})), "inline").messages[1]
    assert inline.content == "<think>\na\n</think>\n\none" and FIELD not in inline.extra


def test_what_need_not_move_is_the_very_row() -> None:
    plain = row(answer("one"))
    assert all(arranged(plain, mode) is plain for mode in ("as-given", "separate", "inline", "drop", "last-turn"))
