"""Habits of chat templates beyond those that TRL ships: where an answer begins and ends, and why a row is refused."""

from __future__ import annotations

from typing import Any

import pytest
from template_tokenizer import BONN, RESULT, ROWS, TOOLS, assistant, call, thought, user, with_template

from loratui.core.errors import ModelError
from loratui.data.convert import to_conversation
from loratui.data.recognise import Recognition
from loratui.worker.tokenise import Tokeniser

pytestmark = pytest.mark.worker
READING = Recognition("messages", {"messages": "messages", "tools": "tools"}, "")
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content or '' }}"
    "{% for c in m.tool_calls or [] %}<tool_call>\n{{ c.function | tojson }}\n</tool_call>{% endfor %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ASKS_ANYWAY = CHATML.partition("{% if add_generation_prompt %}")[0] + "<|im_start|>assistant{{ '\n' }}"
NEEDS_TOOLS = (
    "<|im_start|>system\n{% for t in tools %}{{ t.function.description }}{% endfor %}<|im_end|>\n"
    + CHATML.replace("<|im_end|>\n{% endfor %}", "<|im_end|>{{ '\n' if loop.last }}{% endfor %}")
)
CALLS = {
    "tools": TOOLS,
    "messages": [user("Rain?"), assistant("", tool_calls=[call(BONN)]), RESULT, assistant("It rains")],
}


def learnt(template: str, row: dict[str, Any], stop: str = "<|im_end|>") -> list[str]:
    """The stretches of the row that bear loss; `stop`: where generation ends, "" where nobody knows."""
    return [text for text, _ in rendered(template, row, stop)]


def rendered(template: str, row: dict[str, Any], stop: str = "<|im_end|>") -> list[tuple[str, str]]:
    """The stretches that bear loss, each with what stands before it."""
    tokenizer = with_template(template)
    stops = [tokenizer.convert_tokens_to_ids(stop)] if stop else []
    done = Tokeniser(tokenizer, stop_ids=stops).render(to_conversation(row, READING))
    return [(done.text[start:end], done.text[:start]) for start, end in done.answers]


def refusal(template: str, row: dict[str, Any]) -> str:
    with pytest.raises(ModelError) as caught:
        Tokeniser(with_template(template)).render(to_conversation(row, READING))
    return caught.value.sentence


@pytest.mark.parametrize("stop", ["<|im_end|>", ""])
def test_a_template_that_always_asks_for_another_answer_teaches_none(stop: str) -> None:
    assert learnt(ASKS_ANYWAY, ROWS["plain"], stop) == ["One it is<|im_end|>"]
    assert learnt(ASKS_ANYWAY, ROWS["multi"], stop) == ["One it is<|im_end|>", "Two, of course<|im_end|>"]
    first = learnt(ASKS_ANYWAY, ROWS["tags-multi"], stop)[0]
    assert first == "<think>\nLet me think hard\n</think>\n\nOne it is<|im_end|>"


def test_what_stands_after_the_first_token_that_stops_is_not_learnt() -> None:
    template = CHATML.replace(
        "<|im_end|>\n{% endfor %}", "<|im_end|>\n{{ eos_token if loop.last else '' }}{% endfor %}"
    )
    assert learnt(template, ROWS["multi"]) == ["One it is<|im_end|>", "Two, of course<|im_end|>"]
    assert learnt(template, ROWS["plain"], "") == ["One it is<|im_end|>\n</s>"]  # nobody knows that it stops before


def test_a_stop_token_within_an_answers_words_does_not_end_it() -> None:
    row = {"messages": [user("How does a turn end?"), assistant("With <|im_end|>, mostly")]}
    assert learnt(CHATML, row) == ["With <|im_end|>, mostly<|im_end|>"]


def test_a_call_is_learnt_from_its_opening_where_only_rows_with_tools_can_be_rendered() -> None:
    found = rendered(NEEDS_TOOLS, CALLS)
    assert [text for text, _ in found] == [
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Bonn"}}\n</tool_call><|im_end|>',
        "It rains<|im_end|>",
    ]
    assert all(before.endswith("<|im_start|>assistant\n") for _, before in found)
    assert "lists none" in refusal(NEEDS_TOOLS, ROWS["plain"])


def test_a_call_that_is_written_otherwise_at_the_end_of_a_row_is_learnt_whole() -> None:
    template = CHATML.replace(
        "{{ c.function | tojson }}", "{{ c.function | tojson }}{{ ', ' + c.id if not loop.last or m != messages[-1] }}"
    )
    assert learnt(template, CALLS)[0].endswith(", call00001\n</tool_call><|im_end|>")


def test_no_result_is_learnt_that_a_template_writes_into_an_answer() -> None:
    late = (
        "{% for m in messages %}{% if m.role != 'tool' %}<|im_start|>{{ m.role }}\n"
        "{% for c in m.tool_calls or [] %}<tool_call>{{ c.function.name }}</tool_call>{% endfor %}"
        "{{ messages[loop.index0 + 1].content if m.tool_calls and not loop.last }}"
        "{{ m.content or '' }}<|im_end|>\n{% endif %}{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    row = {**CALLS, "messages": [dict(message) for message in CALLS["messages"]]}
    row["messages"][1]["content"] = "Let me see"
    assert "writes message 3 into the middle of message 2" in refusal(late, row)


def test_an_answer_that_begins_within_a_token_of_its_prompt_is_counted() -> None:
    from tokenizers import AddedToken

    tokenizer = with_template(
        "{% for m in messages %}{{ m.role }}:{{ m.content }}</s>{% endfor %}"
        "{% if add_generation_prompt %}assistant:{% endif %}"
    )
    row = to_conversation({"messages": [user("What is 1?"), assistant("One it is")]}, READING)
    assert Tokeniser(tokenizer).one(row).thinking is None
    tokenizer.add_tokens([AddedToken(":One", normalized=False)])
    torn = Tokeniser(tokenizer).one(row).thinking
    assert torn is not None and torn.unprompted == 1


def test_a_refusal_names_what_in_the_row_it_is_for() -> None:
    strict = (
        "{% if messages[0].role == 'system' %}{{ raise_exception('Sorry') }}{% endif %}{% for m in messages %}"
        "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
        "{{ m.content }}{% endfor %}"
    )
    assert "takes no system message here" in refusal(strict, ROWS["system"])
    assert "cannot be used with tools" in refusal(strict, ROWS["two-calls"])
    twice = {"messages": [user("What is 1?"), user("And 2?"), assistant("Three")]}
    assert "Messages 1 and 2 are both by the user: join them" in refusal(strict, twice)
    single = CHATML.replace(
        "{% for c in",
        "{% if m.tool_calls and m.tool_calls | length > 1 %}{{ raise_exception('one') }}{% endif %}{% for c in",
    )
    assert "Put each call into a message of its own, its result after it" in refusal(single, ROWS["two-calls"])
    assert "refuses even one question" in refusal("{{ nothing.here }}", ROWS["plain"])


def test_thinking_in_the_text_is_learnt_with_its_tag_where_earlier_turns_are_rewritten() -> None:
    rewriting = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>"
        "{{ '!' if m.role == 'assistant' and not loop.last }}\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    row = {"messages": [user("1?"), thought("One", "Hm"), user("2?"), thought("Two", "Oh")]}
    assert [text.startswith("<think>\n") for text in learnt(rewriting, row)] == [True, True]
