"""Rows as the trainer receives them: each token with its text, whether it bears loss, and whether it is a control
token.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from loratui.core.errors import ModelError
from loratui.core.plan import Plan
from loratui.data.conversation import Conversation
from loratui.data.convert import to_conversation
from loratui.data.found import FoundDataset
from loratui.data.read import read_rows
from loratui.data.reasoning import inline_range, thinking_of
from loratui.data.recognise import Recognition
from loratui.data.row import Row, RowError
from loratui.worker.inspecting.model import TextModel
from loratui.worker.template_time import TemplateTimeError
from loratui.worker.tokenise import Tokeniser
from loratui.worker.tokenised import IGNORED, Tokenised


def render_rows(
    plan: Plan, found: FoundDataset, recognition: Recognition, model: TextModel, indices: Iterable[int]
) -> list[dict[str, Any]]:
    """The rows of these numbers, as tokens; a row that cannot be trained on says why."""
    wanted = set(indices)
    tokeniser = model.tokeniser(plan, 0)
    max_length = 0 if plan.dataset.divides(recognition.format) else plan.training.max_length
    rendered = []
    for row in read_rows(found, unfold=recognition.unfold):
        if row.index in wanted:
            rendered.append(render_row(row, recognition, model, tokeniser, max_length))
            wanted.discard(row.index)
            if not wanted:
                break
    return rendered


def render_row(
    row: Row, recognition: Recognition, model: TextModel, tokeniser: Tokeniser, max_length: int
) -> dict[str, Any]:
    """One row, of a pair its chosen side: `tokens` is a list of [id, text, trained, special, cut] where the flags are 0
    or 1; `parts` says of each part of a message whether it is learnt, shown, cut or dropped: [message, kind, state].
    Of a pair `rejected` has the other side in the same form; else it is None.

    Tokens that only together make a character (bytes of a Chinese one, say) carry its text on the last of them.
    """
    place = {"index": row.index, "line": row.line, "file": row.file}
    nothing: dict[str, Any] = {"tokens": [], "rejected": None}
    try:
        sides = to_conversation(row, recognition).sides
        done = [tokeniser.one(side) for side in sides]
    except RowError as error:
        return {**place, **nothing, "problem": error.message}
    except TemplateTimeError:
        raise TemplateTimeError(f"row {row.index + 1}") from None
    except ModelError as error:
        return {**place, **nothing, "problem": error.sentence}
    first, *other = [_side(side, one, model, tokeniser, max_length) for side, one in zip(sides, done, strict=True)]
    return {**place, **first, "rejected": other[0] if other else None, "problem": ""}


def _side(
    conversation: Conversation, tokenised: Tokenised, model: TextModel, tokeniser: Tokeniser, max_length: int
) -> dict[str, Any]:
    texts = token_texts(model.tokenizer, tokenised.input_ids)
    specials = tokeniser.special_ids
    tokens = [
        [number, text, int(label != IGNORED), int(number in specials), int(max_length > 0 and position >= max_length)]
        for position, (number, text, label) in enumerate(zip(tokenised.input_ids, texts, tokenised.labels, strict=True))
    ]
    return {
        "tokens": tokens,
        "parts": part_states(conversation, tokeniser, max_length),
        "answers": tokenised.answers,
        "answers_ended": tokenised.answers_ended,
    }


def part_states(conversation: Conversation, tokeniser: Tokeniser, max_length: int) -> list[list[Any]]:
    """What becomes of each part of a row's messages: [message, kind, state], in the row's order; empty where it cannot
    be told.
    """
    short = Tokeniser(
        tokeniser.tokenizer,
        loss_on=tokeniser.loss_on,
        max_length=max_length,
        reasoning=tokeniser.reasoning,
        calls=tokeniser.calls,
    )
    found: dict[tuple[int, str], str] = {}
    for part, state in short.parts(conversation):
        found.setdefault((part.message, part.kind), state)
    if not found:
        return []
    states: list[list[Any]] = []
    for number, message in enumerate(conversation.messages):
        held = inline_range(message.content) if message.role == "assistant" else None
        given = {
            "thinking": thinking_of(message) is not None,
            "content": bool(message.content[held[2] if held else 0 :].strip()),
            "call": bool(message.extra.get("tool_calls")),
        }
        states += [[number, kind, found.get((number, kind), "dropped")] for kind, has in given.items() if has]
    return states


def token_texts(tokenizer: Any, ids: list[int]) -> list[str]:
    """The text that each token adds; joined they are the decoded row."""
    texts: list[str] = []
    begun: list[int] = []
    for number in ids:
        begun.append(number)
        text = tokenizer.decode(begun, skip_special_tokens=False, clean_up_tokenization_spaces=False)
        if text.endswith("\ufffd") and len(begun) < 5:
            texts.append("")
            continue
        texts.append(text)
        begun = []
    if begun:
        texts[-1] = tokenizer.decode(begun, skip_special_tokens=False, clean_up_tokenization_spaces=False)
    return texts
