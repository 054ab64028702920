"""Turn a row into a conversation: the one mapping that inspecting, training and the playground share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from loratui.data.cells import MISSING, as_text, cell_at, check_unicode, from_json, kind_word
from loratui.data.column_names import CONTENT_KEYS, ROLE_KEYS, ROLES, SCORE_PARTS
from loratui.data.conversation import Conversation, Message
from loratui.data.flags import bears_loss, require_label, require_learnt
from loratui.data.reasoning import FIELD, field_text
from loratui.data.recognition import Recognition
from loratui.data.row import Row, RowError
from loratui.data.tools import calls_of, parted, tools_of
from loratui.data.transcripts import is_exchanges, is_messages_text, is_transcript, one_each, turns_of, without_name

KEPT = ("name", "tool_call_id")


def to_conversation(row: Row | Mapping[str, Any], recognition: Recognition) -> Conversation:
    """What a row teaches, read as `recognition` says. RowError with a kind and a sentence where it teaches nothing."""
    value = row.value if isinstance(row, Row) else row
    if value is None:
        problem = row.problem if isinstance(row, Row) else None
        raise RowError(
            problem.kind if problem else "type", problem.message if problem else "the row could not be read."
        )
    require_learnt(value, recognition.columns, judged=recognition.judged)
    conversation = _CONVERTERS[recognition.format](value, recognition.columns)
    if conversation.messages:
        _require_answer(conversation.messages)
    if recognition.pairs:
        return _with_rejected(conversation, value, recognition.columns)
    return _judged(conversation, value, recognition.columns["label"]) if recognition.judged else conversation


def _prompt_completion(value: Mapping[str, Any], columns: Mapping[str, str]) -> Conversation:
    completion = cell_at(value, columns["completion"])
    asked = _asked(cell_at(value, columns["prompt"]), columns["prompt"])
    turns = _as_turns(completion)
    if turns is not None:
        answered = _turns(turns, columns["completion"])
    else:
        answered = (_assistant(completion, columns["completion"]),)
    system = () if asked[0].role == "system" else _system(value, columns)
    return Conversation(
        (*system, *_history(value, columns), *asked, *answered),
        tools=_tools(value, columns),
        template_values=_template_values(value),
    )


def _asked(prompt: Any, column: str) -> tuple[Message, ...]:
    """A prompt as messages, none of them learnt: a text, a message, or a list of them."""
    turns = _as_turns(prompt)
    if turns is None:
        return _user(as_text(prompt, column), column, prompt is MISSING)
    return tuple(Message(m.role, m.content, False, m.extra) for m in _turns(turns, column))


def _instruction(value: Mapping[str, Any], columns: Mapping[str, str]) -> Conversation:
    instruction = as_text(cell_at(value, columns["instruction"]), columns["instruction"])
    extra = as_text(cell_at(value, columns.get("input")), columns.get("input", "input"))
    asked = "\n\n".join(part for part in (instruction, extra) if part.strip())
    user = _user(asked, columns["instruction"], cell_at(value, columns["instruction"]) is MISSING)
    answer = _assistant(cell_at(value, columns["output"]), columns["output"])
    return Conversation(
        (*_system(value, columns), *_history(value, columns), *user, answer),
        tools=_tools(value, columns),
        template_values=_template_values(value),
    )


def _messages(value: Mapping[str, Any], columns: Mapping[str, str]) -> Conversation:
    column = columns["messages"]
    cell = cell_at(value, column)
    if isinstance(cell, str):
        cell = turns_of(check_unicode(cell, column)) if is_transcript(cell) else from_json(cell, column)
    if cell is MISSING or cell is None:
        raise RowError("missing", f"the row has no {column}.")
    if not isinstance(cell, list):
        raise RowError("type", f"{column} is {kind_word(cell)}, and a list of messages was expected.")
    if not cell:
        raise RowError("empty", f"{column} holds no message.")
    turns = _turns(cell, column)
    system = () if turns[0].role == "system" else _system(value, columns)
    return Conversation((*system, *turns), tools=_tools(value, columns), template_values=_template_values(value))


def _text(value: Mapping[str, Any], columns: Mapping[str, str]) -> Conversation:
    column = columns["text"]
    cell = cell_at(value, column)
    if cell is MISSING or cell is None:
        raise RowError("missing", f"the row has no {column}.")
    if not isinstance(cell, str):
        raise RowError("type", f"{column} is {kind_word(cell)}, and text was expected.")
    if not cell.strip():
        raise RowError("empty", f"{column} is empty.")
    return Conversation(text=check_unicode(cell, column))


def _tokens(value: Mapping[str, Any], columns: Mapping[str, str]) -> Conversation:
    ids = _numbers(cell_at(value, columns["input_ids"]), columns["input_ids"])
    if not ids:
        raise RowError("empty", f"{columns['input_ids']} is empty.")
    if min(ids) < 0:
        raise RowError("type", f"{columns['input_ids']} holds a negative number, and token ids were expected.")
    labels = ids
    if "labels" in columns and cell_at(value, columns["labels"]) is not MISSING:
        labels = _numbers(cell_at(value, columns["labels"]), columns["labels"])
        if len(labels) != len(ids):
            raise RowError("type", f"the row has {len(ids)} tokens and {len(labels)} labels.")
        if all(label == -100 for label in labels):
            raise RowError("no-answer", "no token of the row bears loss: every label is -100.")
    return Conversation(tokens=ids, labels=labels)


def _preference(value: Mapping[str, Any], columns: Mapping[str, str], side: str = "chosen") -> Conversation:
    """One side alone, and of it the last answer."""
    prompt, given = cell_at(value, columns.get("prompt")), cell_at(value, columns[side])
    turns = _as_turns(given)
    if turns is None and prompt is MISSING and isinstance(given, str):
        turns = turns_of(check_unicode(given, columns[side])) or None
    tools, kept = _tools(value, columns), _template_values(value)
    if turns is not None:
        answer = _last_learnt(_turns(turns, columns[side]))
        if any(turn.role == "user" for turn in answer):
            system = () if answer[0].role == "system" else _system(value, columns)
            return Conversation((*system, *answer), tools=tools, template_values=kept)
    elif isinstance(given, list) and not _is_parts(given):
        kind = "type" if given else "empty-answer"
        raise RowError(kind, f"{columns[side]} is {'a' if given else 'an empty'} list, and one answer was expected.")
    else:
        answer = (_assistant(given, columns[side]),)
    if prompt is MISSING:
        raise RowError("missing", f"the row has a {side} answer and no prompt.")
    asked = _asked(_open_transcript(prompt), columns["prompt"])
    system = () if asked[0].role == "system" else _system(value, columns)
    return Conversation((*system, *asked, *answer), tools=tools, template_values=kept)


def _is_parts(cell: list[Any]) -> bool:
    return bool(cell) and all(isinstance(part, Mapping) and "type" in part for part in cell)


def _open_transcript(prompt: Any) -> Any:
    """The turns of a prompt that is a transcript up to where the answer begins (`… Assistant:`); else the prompt."""
    turns = turns_of(prompt) if isinstance(prompt, str) and is_transcript(prompt) else []
    return turns[:-1] if turns and turns[-1]["role"] == "assistant" and not turns[-1]["content"] else prompt


def _scores(value: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[float, float] | None:
    found = [cell_at(value, columns.get(part)) for part in SCORE_PARTS]
    if not all(isinstance(one, int | float) and not isinstance(one, bool) and math.isfinite(one) for one in found):
        return None
    return float(found[0]), float(found[1])


def _with_rejected(chosen: Conversation, value: Mapping[str, Any], columns: Mapping[str, str]) -> Conversation:
    """The pair: both sides answer the same, and differently. RowError where they do not."""
    try:
        rejected = _preference(value, columns, "rejected")
        _require_answer(rejected.messages)
    except RowError as error:
        raise RowError(error.kind, f"the rejected side: {error.message}") from error
    if not (chosen.messages[-1].trained and rejected.messages[-1].trained):
        raise RowError("no-answer", "a side of the pair does not end in an answer.")
    if chosen.prompt != rejected.prompt:
        raise RowError("pair-prompt", "the chosen and the rejected side do not answer the same question.")
    if chosen.messages == rejected.messages:
        raise RowError("equal-sides", "the chosen and the rejected answer are the same.")
    return chosen._replace(rejected=rejected.messages, scores=_scores(value, columns))


def _judged(conversation: Conversation, value: Mapping[str, Any], column: str) -> Conversation:
    """The row with what its label says of its last answer, which alone is learnt from."""
    if not conversation.messages[-1].trained:
        raise RowError("no-answer", "the row does not end in an answer that could be judged.")
    if not conversation.messages[-1].content.strip() and not conversation.messages[-1].extra.get("tool_calls"):
        raise RowError("empty-answer", "the answer is empty.")
    return conversation._replace(messages=_last_learnt(conversation.messages), desirable=require_label(value, column))


def _last_learnt(turns: tuple[Message, ...]) -> tuple[Message, ...]:
    last = max((number for number, turn in enumerate(turns) if turn.role == "assistant"), default=-1)
    return tuple(
        Message(turn.role, turn.content, turn.trained and number == last, turn.extra)
        for number, turn in enumerate(turns)
    )


_CONVERTERS = {
    "prompt-completion": _prompt_completion,
    "instruction": _instruction,
    "messages": _messages,
    "text": _text,
    "tokens": _tokens,
    "preference": _preference,
}


def _is_turn(item: Any) -> bool:
    return isinstance(item, Mapping) and any(key in item for key in ROLE_KEYS)


def _is_turns(cell: Any) -> bool:
    return isinstance(cell, list) and bool(cell) and all(map(_is_turn, cell))


def _as_turns(cell: Any) -> list[Any] | None:
    """A cell's messages: a list of them, one alone, or the JSON of either; None where it holds something else."""
    if isinstance(cell, str):
        if not is_messages_text(cell):
            return None
        cell = from_json(cell, "the text that looks like messages")
    if _is_turn(cell):
        return [cell]
    return cell if _is_turns(cell) or is_exchanges(cell) else None


def _user(text: str, column: str, missing: bool) -> tuple[Message, ...]:
    if not text.strip():
        raise RowError(
            "missing" if missing else "empty-prompt", f"the row has no {column}." if missing else f"{column} is empty."
        )
    return (Message("user", text),)


def _assistant(cell: Any, column: str) -> Message:
    if cell is MISSING:
        raise RowError("missing", f"the row has no {column}.")
    return Message("assistant", as_text(cell, column), True)


def _system(value: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[Message, ...]:
    if "system" not in columns:
        return ()
    text = without_name(as_text(cell_at(value, columns["system"]), columns["system"]))
    return (Message("system", text),) if text.strip() else ()


def _history(value: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[Message, ...]:
    cell = cell_at(value, columns.get("history"))
    if cell is MISSING or cell is None:
        return ()
    column = columns["history"]
    if _is_turns(cell) or is_exchanges(cell):
        return _turns(cell, column)
    turns: list[Message] = []
    for pair in cell if isinstance(cell, list) else [cell]:
        if not isinstance(pair, list) or len(pair) != 2:
            raise RowError("type", f"{column} is no list of question and answer pairs.")
        turns += [Message("user", as_text(pair[0], column)), Message("assistant", as_text(pair[1], column), True)]
    return tuple(turns)


def _tools(value: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[Mapping[str, Any], ...]:
    cell = cell_at(value, columns.get("tools"))
    return () if cell is MISSING else tools_of(cell, columns["tools"])


def _template_values(value: Mapping[str, Any]) -> Mapping[str, Any]:
    given = value.get("chat_template_kwargs")
    return given if isinstance(given, Mapping) else {}


def _turns(cell: Iterable[Any], column: str) -> tuple[Message, ...]:
    return tuple(_turn(turn, number, column) for number, turn in enumerate(one_each(cell), 1))


def _turn(turn: Any, number: int, column: str) -> Message:
    if not isinstance(turn, Mapping):
        raise RowError(
            "type",
            f"message {number} of {column} is {kind_word(turn)}, and an object with role and content was expected.",
        )
    name = next((turn[key] for key in ROLE_KEYS if turn.get(key) is not None), None)
    if not isinstance(name, str):
        raise RowError("role", f"message {number} of {column} has no role.")
    role = ROLES.get(name.strip().lower())
    if role is None:
        raise RowError(
            "role",
            f"message {number} of {column} has the unknown role {name!r}; known are system, user, assistant and tool.",
        )
    content = next((turn[key] for key in CONTENT_KEYS if turn.get(key) is not None), MISSING)
    place = f"message {number} of {column}"
    extra = {key: turn[key] for key in KEPT if turn.get(key)}
    calls = turn.get("tool_calls") or turn.get("function_call")
    if isinstance(content, list):
        content, thought, called = parted(content)
        calls = calls or called
    else:
        thought = None
    if name.strip().lower() == "function_call" and isinstance(content, str | Mapping | list):
        calls, content = content, ""
    if calls and role == "assistant":
        extra["tool_calls"] = calls_of(calls, place)
    thought = field_text(turn) or thought
    if thought and role == "assistant":
        extra[FIELD] = as_text(thought, place)
    if content is MISSING and "tool_calls" not in extra:
        raise RowError("missing", f"message {number} of {column} has no content.")
    return Message(role, as_text(content, place), bears_loss(turn, role, place), extra)


def _numbers(cell: Any, column: str) -> tuple[int, ...]:
    if not isinstance(cell, list) or not all(isinstance(item, int) and not isinstance(item, bool) for item in cell):
        raise RowError("type", f"{column} is no list of whole numbers.")
    return tuple(cell)


def _require_answer(messages: tuple[Message, ...]) -> None:
    answers = [message for message in messages if message.role == "assistant"]
    if not answers:
        raise RowError("no-answer", "the conversation has no answer to learn from.")
    trained = [message for message in answers if message.trained]
    if not trained:
        raise RowError("no-answer", "no answer of the conversation bears loss.")
    if not any(message.content.strip() or message.extra.get("tool_calls") for message in trained):
        raise RowError("empty-answer", "the answer is empty." if len(trained) == 1 else "every answer is empty.")
