"""Labels lie on the answers and their ends, under any template; nothing is lost without a count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tiny_model import TEMPLATE, write_tiny_model

from loratui.core.errors import ModelError
from loratui.data.conversation import Conversation, Message
from loratui.worker.tokenise import Tokeniser
from loratui.worker.tokenised import IGNORED, Tokenised

pytestmark = pytest.mark.worker

LLAMA3 = (
    "{{ '<|endoftext|>' }}{% for m in messages %}{{ '<|im_start|>' + m['role'] + '<|im_start|>\n\n' + m['content'] | "
    "trim + '<|im_end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant<|im_start|>\n\n' }}{% endif %}"
)
DROPS_REASONING = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' }}"
    "{% if m['role'] == 'assistant' %}{% if '</think>' in m['content'] and not loop.last %}{{ "
    "m['content'].split('</think>')[-1].lstrip('\n') }}"
    "{% elif loop.last and '</think>' not in m['content'] %}{{ '<think>\n\n</think>\n\n' + m['content'] }}{% else "
    "%}{{ m['content'] }}{% endif %}"
    "{% else %}{{ m['content'] }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ "
    "'<|im_start|>assistant\n' }}{% endif %}"
)
NO_STOP = (
    "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}{% if add_generation_prompt %}{{ "
    "'assistant: ' }}{% endif %}"
)
STRICT = (
    "{% if messages[0]['role'] != 'user' %}{{ raise_exception('the first message must be of the user') }}{% endif %}"
    + TEMPLATE
)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(write_tiny_model(tmp_path_factory.mktemp("tokenise") / "model"))


def tokeniser(tokenizer: Any, template: str | None = TEMPLATE, **options: Any) -> Tokeniser:
    import copy

    other = copy.deepcopy(tokenizer)
    other.chat_template = template
    return Tokeniser(other, **options)


def chat(*turns: tuple[str, str]) -> Conversation:
    return Conversation(tuple(Message(role, text, trained=role == "assistant") for role, text in turns))  # type: ignore[arg-type]


def learnt(tokenizer: Any, row: Tokenised) -> str:
    return str(
        tokenizer.decode([token for token, label in zip(row.input_ids, row.labels, strict=True) if label != IGNORED])
    )


TWO = chat(
    ("system", "Be brief."),
    ("user", "1 and 2 is"),
    ("assistant", "3"),
    ("user", "and 4?"),
    ("assistant", " 7\n\nthat is all "),
)


@pytest.mark.parametrize("template", [TEMPLATE, LLAMA3])
def test_each_answer_and_its_end_and_nothing_else(tokenizer: Any, template: str) -> None:
    row = tokeniser(tokenizer, template).one(TWO)
    last = " 7\n\nthat is all " if template == TEMPLATE else "7\n\nthat is all"
    assert learnt(tokenizer, row) == "3<|im_end|>" + last + "<|im_end|>"
    assert (row.answers, row.answers_ended, row.cut) == (2, 2, False)
    assert row.full_tokens == len(row.input_ids) == len(row.labels)
    assert all(label in (IGNORED, token) for token, label in zip(row.input_ids, row.labels, strict=True))


def test_labels_equal_the_templates_own_markers(tokenizer: Any) -> None:
    marked = (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{{ '<|im_start|>assistant\n' }}{% generation %}{{ "
        "m['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\n' }}"
        "{% else %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endif %}{% endfor %}{% "
        "if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
    )
    ours = tokeniser(tokenizer, marked)
    row = ours.one(TWO)
    theirs = ours.tokenizer.apply_chat_template(
        [message.as_dict() for message in TWO.messages],
        tokenize=True,
        return_dict=True,
        return_assistant_tokens_mask=True,
    )
    assert row.input_ids == theirs["input_ids"]
    assert [int(label != IGNORED) for label in row.labels] == theirs["assistant_masks"]


def test_a_prompt_is_what_generation_will_see(tokenizer: Any) -> None:
    ours = tokeniser(tokenizer)
    single = chat(("user", "1 and 2 is"), ("assistant", "3"))
    row = ours.one(single)
    prompt = ours.tokenizer(ours.prompt_text(chat(("user", "1 and 2 is"))), add_special_tokens=False)["input_ids"]
    assert row.input_ids[: len(prompt)] == prompt
    assert row.labels[len(prompt)] != IGNORED and set(row.labels[: len(prompt)]) == {IGNORED}


def test_a_template_that_rewrites_earlier_turns(tokenizer: Any) -> None:
    ours = tokeniser(tokenizer, DROPS_REASONING)
    thinking = chat(
        ("user", "a"), ("assistant", "<think>\nhm\n</think>\n\nfirst"), ("user", "b"), ("assistant", "second")
    )
    learned = learnt(tokenizer, ours.one(thinking))
    assert learned == "first<|im_end|><think>\n\n</think>\n\nsecond<|im_end|>"
    single = learnt(tokenizer, ours.one(chat(("user", "a"), ("assistant", "only"))))
    assert single == "<think>\n\n</think>\n\nonly<|im_end|>", (
        "what the template writes after the prompt has to be generated, so it is learnt"
    )


def test_only_trained_turns_bear_loss(tokenizer: Any) -> None:
    row = Conversation(
        (
            Message("user", "a"),
            Message("assistant", "wrong"),
            Message("user", "b"),
            Message("assistant", "right", trained=True),
        )
    )
    assert learnt(tokenizer, tokeniser(tokenizer).one(row)) == "right<|im_end|>"


def test_a_template_without_a_stop_token_is_noticed(tokenizer: Any) -> None:
    row = tokeniser(tokenizer, NO_STOP).one(chat(("user", "a"), ("assistant", "b")))
    assert (row.answers, row.answers_ended) == (1, 0)


def test_cutting_is_counted(tokenizer: Any) -> None:
    whole = tokeniser(tokenizer).one(TWO)
    short = tokeniser(tokenizer, max_length=20).one(TWO)
    assert short.input_ids == whole.input_ids[:20] and short.cut and short.full_tokens == whole.full_tokens
    assert short.answer_tokens == whole.answer_tokens and short.trained_tokens < whole.trained_tokens
    assert tokeniser(tokenizer, max_length=8).one(TWO).trained_tokens == 0


def test_all_tokens_bear_loss_when_asked(tokenizer: Any) -> None:
    row = tokeniser(tokenizer, loss_on="all").one(TWO)
    assert row.labels == row.input_ids


def test_plain_text_ends_in_the_end_token(tokenizer: Any) -> None:
    row = tokeniser(tokenizer).one(Conversation(text="once upon a time"))
    assert row.labels == row.input_ids and row.input_ids[-1] == tokenizer.eos_token_id and row.answers_ended == 1


def test_without_a_template_a_prompt_and_its_completion(tokenizer: Any) -> None:
    ours = tokeniser(tokenizer, None)
    row = ours.one(chat(("user", "1 and 2 is"), ("assistant", " 3")))
    assert tokenizer.decode(row.input_ids) == "1 and 2 is 3<|im_end|>" and learnt(tokenizer, row) == " 3<|im_end|>"
    with pytest.raises(ModelError, match="chat_template"):
        ours.one(TWO)


def test_ready_tokens_stay_as_they_are(tokenizer: Any) -> None:
    row = tokeniser(tokenizer).one(Conversation(tokens=(5, 6, 7), labels=(-100, 6, 7)))
    assert (row.input_ids, row.labels, row.trained_tokens) == ([5, 6, 7], [-100, 6, 7], 2)


def test_many_keeps_the_order_and_names_what_the_template_refuses(tokenizer: Any) -> None:
    ours = tokeniser(tokenizer, STRICT)
    good = chat(("user", "a"), ("assistant", "b"))
    rows = list(ours.many([good, TWO, Conversation(tokens=(1, 2), labels=(1, 2)), good]))
    assert [type(row).__name__ for row in rows] == ["Tokenised", "ModelError", "Tokenised", "Tokenised"]
    assert "first message must be of the user" in str(rows[1])
    assert rows[0] == rows[3] == ours.one(good)


def test_hundreds_of_rows_are_the_same_one_by_one(tokenizer: Any) -> None:
    ours = tokeniser(tokenizer)
    rows = [chat(("user", f"{number} and {number}"), ("assistant", str(2 * number))) for number in range(600)]
    assert list(ours.many(rows)) == [ours.one(row) for row in rows]


def test_an_answer_that_looks_like_the_template(tokenizer: Any, tmp_path: Path) -> None:
    row = tokeniser(tokenizer).one(chat(("user", "assistant\n"), ("assistant", "user\nassistant\n")))
    assert learnt(tokenizer, row) == "user\nassistant\n<|im_end|>"


def test_an_answer_that_the_template_splits_at_the_last_thought_is_still_found(tokenizer: Any) -> None:
    from template_tokenizer import TEMPLATES

    odd = chat(("user", "a"), ("assistant", "<think>\nhm\n</think>\n\nno </think>\n\nfirst"), ("user", "b"))
    row = Conversation((*odd.messages, Message("assistant", "second", True)))
    ours = tokeniser(tokenizer, TEMPLATES["qwen3"])
    assert learnt(tokenizer, ours.one(row)) == "first<|im_end|><think>\n\n</think>\n\nsecond<|im_end|>"
