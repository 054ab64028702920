"""Every chat template that TRL ships: our ids and labels are the template's and TRL's own, or what differs is named."""

from __future__ import annotations

from typing import Any

import pytest
from template_tokenizer import BONN, KOELN, ROWS, TEMPLATES, TOOLS, call, with_template

from loratui.core.errors import ModelError
from loratui.data.convert import to_conversation
from loratui.data.recognise import Recognition
from loratui.worker.inspecting.differences import trl_differences
from loratui.worker.tokenise import Tokeniser
from loratui.worker.tokenised import IGNORED, Tokenised

pytestmark = pytest.mark.worker
READING = Recognition("messages", {"messages": "messages", "tools": "tools"}, "")
AS_OBJECT = {"call-as-text": [BONN], "call": [BONN], "two-calls": [BONN, KOELN]}
"""Arguments that the rows hold, in whatever form."""


def ours(tokenizer: Any, row: dict[str, Any]) -> Tokenised | ModelError:
    try:
        return Tokeniser(tokenizer).one(to_conversation(row, READING))
    except ModelError as error:
        return error


def theirs(tokenizer: Any, messages: list[dict[str, Any]], **options: Any) -> dict[str, Any] | None:
    """What `apply_chat_template` makes of the row; None where the template refuses it."""
    try:
        return dict(tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, **options))
    except Exception:  # whatever a template raises
        return None


def forms(row: dict[str, Any]) -> list[list[dict[str, Any]]]:
    """The row's messages as they are, with arguments as objects, and as text, and with content as parts."""
    messages = row["messages"]
    found = [messages]
    for as_text in (False, True):
        found.append([_with_arguments(message, as_text) for message in messages])
    parts = [
        {**message, "content": [{"type": "text", "text": message["content"]}]} if message.get("content") else message
        for message in messages
    ]
    return [*found, parts]


def _with_arguments(message: dict[str, Any], as_text: bool) -> dict[str, Any]:
    import json

    if not message.get("tool_calls"):
        return message
    calls = []
    for number, one in enumerate(message["tool_calls"], 1):
        given = one["function"]["arguments"]
        value = json.loads(given) if isinstance(given, str) else given
        calls.append(call(json.dumps(value, ensure_ascii=False) if as_text else value, number))
    return {**message, "content": message["content"] or "", "tool_calls": calls}


def mask(row: Tokenised) -> list[int]:
    return [int(label != IGNORED) for label in row.labels]


@pytest.mark.parametrize("name", TEMPLATES)
def test_ids_and_labels_are_the_templates_own(name: str) -> None:
    tokenizer = with_template(TEMPLATES[name])
    differences = trl_differences(Tokeniser(tokenizer))
    marked = "generation %}" in TEMPLATES[name]
    for kind, row in ROWS.items():
        made = ours(tokenizer, row)
        options = {"tools": row["tools"]} if "tools" in row else {}
        rendered = [result for form in forms(row) if (result := theirs(tokenizer, form, **options)) is not None]
        if isinstance(made, ModelError):
            assert "calls" in kind or "call" in kind or not rendered, f"{kind}: {made}"
            assert made.message.startswith(("the chat template leaves out", "the chat template refuses")), made
            for result in rendered:  # refused with the true reason: a call is really missing
                text = tokenizer.decode(result["input_ids"])
                wanted = 2 if kind == "two-calls" else 1
                told = text.split("Rain", 1)[1].split("rainy")[0].count("Bonn") + text.count("Köln")
                assert told < wanted + (kind != "two-calls"), f"{kind} is refused and rendered: {text}"
            continue
        assert any(made.input_ids == result["input_ids"] for result in rendered), f"{kind}: other ids"
        if kind in AS_OBJECT:
            text = tokenizer.decode(made.input_ids)
            assert '\\"city' not in text and "'city':" not in text, f"{kind}: arguments are escaped twice: {text}"
        if marked:
            their = theirs(
                tokenizer, _first_like(tokenizer, row, made, options), **options, return_assistant_tokens_mask=True
            )
            assert their is not None
            only_ours = [a and not b for a, b in zip(mask(made), their["assistant_masks"], strict=True)]
            only_theirs = [b and not a for a, b in zip(mask(made), their["assistant_masks"], strict=True)]
            named = any("TRL does not learn" in sentence for sentence in differences)
            assert not any(only_ours) or named, f"{kind}: learns what TRL does not"
            assert not any(only_theirs) or differences, f"{kind}: TRL learns more, and nothing says so"


def _first_like(tokenizer: Any, row: dict[str, Any], made: Tokenised, options: dict[str, Any]) -> list[dict[str, Any]]:
    return next(
        form
        for form in forms(row)
        if (result := theirs(tokenizer, form, **options)) is not None and result["input_ids"] == made.input_ids
    )


@pytest.mark.parametrize("name", [name for name in TEMPLATES if not name.endswith("_training")])
def test_one_answer_is_learnt_as_trl_learns_a_prompt_and_its_completion(name: str) -> None:
    tokenizer = with_template(TEMPLATES[name])
    tokeniser = Tokeniser(tokenizer)
    for kind in ("plain", "system", "field", "tags"):
        messages = ROWS[kind]["messages"]
        made = ours(tokenizer, ROWS[kind])
        if isinstance(made, ModelError):
            continue
        form = _first_like(tokenizer, ROWS[kind], made, {})
        prompt = theirs(tokenizer, form[:-1], add_generation_prompt=True)
        assert prompt is not None
        size = len(prompt["input_ids"])
        if made.input_ids[:size] != prompt["input_ids"]:  # the template does not write what it asks with
            thinking = tokeniser.one(to_conversation(ROWS[kind], READING)).thinking
            assert (thinking is not None and thinking.unprompted) or mask(made)[size - 1], f"{kind}: {messages}"
            continue
        learnt = mask(made)
        assert learnt[:size] == [0] * size and learnt[size] == 1, kind
        rest = tokenizer.decode(
            [number for number, one in zip(made.input_ids[size:], learnt[size:], strict=True) if not one]
        )
        assert not rest.strip(), f"{kind}: {rest!r} of the completion is not learnt"


def test_tools_are_shown_where_they_are_rendered() -> None:
    tokenizer = with_template(TEMPLATES["qwen2_5"])
    row = Tokeniser(tokenizer).one(to_conversation(ROWS["call"], READING))
    text = tokenizer.decode(row.input_ids)
    assert TOOLS[0]["function"]["description"] in text


def test_what_differs_is_named() -> None:
    assert trl_differences(Tokeniser(with_template(TEMPLATES["qwen3"]))) == [
        "TRL's assistant_only_loss renders with a template of its own, qwen3_training"
    ]
    named = trl_differences(Tokeniser(with_template(TEMPLATES["qwen3_6_training"])))
    assert any("white space after" in sentence for sentence in named)
    assert any("'<think>\\n'" in sentence for sentence in named)
    opened = trl_differences(Tokeniser(with_template(TEMPLATES["diffusion_gemma_training"])))
    assert any("does not learn '<|turn>model\\n'" in sentence for sentence in opened)
