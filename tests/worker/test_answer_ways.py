"""Answers found by the template's opening lie where marks around every part find them, thinking accounted for alike."""

from __future__ import annotations

from typing import Any

import pytest
from template_tokenizer import TEMPLATES, with_template

from loratui.core.errors import ModelError
from loratui.data.conversation import Conversation, Message
from loratui.worker.tokenise import Tokeniser


def asked(number: int) -> Message:
    return Message("user", f"What is {number}?")


def answer(form: str, number: int, *, trained: bool = True) -> Message:
    return Message("assistant", form.format(f"Hmm, number {number} is hard", f"Answer {number} it is"), trained)


PLAIN, THOUGHT = "{1}", "<think>\n{0}\n</think>\n\n{1}"
SYSTEM = Message("system", "Be brief")
ROWS: dict[str, tuple[Message, ...]] = {
    "plain": (asked(1), answer(PLAIN, 1), asked(2), answer(PLAIN, 2), asked(3), answer(PLAIN, 3)),
    "thinking": (SYSTEM, asked(1), answer(THOUGHT, 1), asked(2), answer(PLAIN, 2), asked(3), answer(THOUGHT, 3)),
    "thinking-dropped": (asked(1), answer(THOUGHT, 1), asked(2), answer(PLAIN, 2)),
    "the-same-twice": (asked(1), answer(THOUGHT, 1), asked(2), answer(THOUGHT, 1)),
    "not-trained": (asked(1), answer(THOUGHT, 1, trained=False), asked(2), answer(THOUGHT, 2)),
    "written-otherwise": (asked(1), answer("<think>{0}</think>{1}", 1), asked(2), answer("<think>{0}</think>{1}", 2)),
    "not-opened": (asked(1), answer("{0}</think>\n\n{1}", 1), asked(2), answer(THOUGHT, 2)),
    "empty": (asked(1), answer("<think>\n\n</think>\n\n{1}", 1), asked(2), answer("<think>\n\n</think>\n\n{1}", 2)),
    "spaces": (asked(1), answer("  {1} \n", 1), asked(2), answer(f"\n{THOUGHT}\n", 2)),
}


def outcome(tokeniser: Tokeniser, row: Conversation) -> Any:
    try:
        rendered = tokeniser.render(row)
    except ModelError as error:
        return error.message
    return rendered.text, rendered.answers, rendered.thinking


@pytest.mark.parametrize("name", TEMPLATES)
def test_the_quick_way_finds_what_marks_find(name: str) -> None:
    tokenizer = with_template(TEMPLATES[name])
    quick, thorough = Tokeniser(tokenizer), Tokeniser(tokenizer)
    vars(thorough.spans).update(_opening="", drops_thinking=False)
    for kind, messages in ROWS.items():
        row = Conversation(messages)
        assert outcome(quick, row) == outcome(thorough, row), kind


@pytest.mark.parametrize("name", ["qwen3", "qwen2_5", "llama3_1"])
def test_a_row_is_rendered_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the template drops earlier thinking, or writes a filler before the last answer."""
    tokeniser = Tokeniser(with_template(TEMPLATES[name]))
    rows = [Conversation(ROWS[kind]) for kind in ("plain", "thinking-dropped", "thinking")]
    for row in rows:
        tokeniser.render(row)  # what is found out by trying is found out
    rendered = []
    apply = tokeniser.template.apply
    monkeypatch.setattr(tokeniser.template, "apply", lambda *given, **more: rendered.append(1) or apply(*given, **more))
    for row in rows:
        tokeniser.render(row)
    assert len(rendered) == len(rows)
