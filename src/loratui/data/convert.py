"""Turn a row into a conversation: the one mapping that inspecting, training and the playground share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from loratui.data.column_names import CONTENT_KEYS, ROLE_KEYS
from loratui.data.conversation import Conversation, Message, Role
from loratui.data.encodings import proposal
from loratui.data.recognise import Recognition
from loratui.data.row import Row, RowError

ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "prompter": "user",
    "customer": "user",
    "question": "user",
    "assistant": "assistant",
    "gpt": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "ai": "assistant",
    "chatbot": "assistant",
    "bard": "assistant",
    "bing": "assistant",
    "function_call": "assistant",
    "answer": "assistant",
    "tool": "tool",
    "observation": "tool",
    "function": "tool",
    "function_response": "tool",
    "tool_response": "tool",
    "ipython": "tool",
}
KEPT = ("tool_calls", "name", "tool_call_id", "reasoning_content", "thinking")
MISSING = object()


def to_conversation(row: Row | Mapping[str, Any], recognition: Recognition) -> Conversation:
    """What a row teaches, read as `recognition` says. RowError with a kind and a sentence where it teaches nothing."""
    value = row.value if isinstance(row, Row) else row
    if value is None:
        problem = row.problem if isinstance(row, Row) else None
        raise RowError(
            problem.kind if problem else "type", problem.message if problem else "the row could not be read."
        )
    conversation = _CONVERTERS[recognition.format](value, recognition.columns)
    if conversation.messages:
        _require_answer(conversation.messages)
    return conversation


def _get(value: Mapping[str, Any], column: str | None) -> Any:
    if column is None:
        return MISSING
    if column in value:
        return value[column]
    current: Any = value
    for part in column.split("."):
        if not isinstance(current, Mapping) or part not in current:
            return MISSING
        current = current[part]
    return current


def as_text(cell: Any, column: str) -> str:
    """A cell as text: objects, lists and numbers as JSON, a list of content parts as their texts joined."""
    if isinstance(cell, str):
        return check_unicode(cell, column)
    if cell is None or cell is MISSING:
        return ""
    if isinstance(cell, bytes):
        raise RowError("type", f"{column} holds bytes, and text was expected.")
    if isinstance(cell, list) and cell and all(isinstance(part, Mapping) and "type" in part for part in cell):
        return check_unicode("".join(_part_text(part, column) for part in cell), column)
    try:
        return check_unicode(json.dumps(cell, ensure_ascii=False), column)
    except (TypeError, ValueError):
        return check_unicode(str(cell), column)


def check_unicode(text: str, column: str) -> str:
    """The text itself; RowError where it cannot be written as UTF-8."""
    if text.isascii():
        return text
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        code = ord(text[error.start])
        if 0xDC80 <= code <= 0xDCFF:
            raise RowError(
                "utf-8",
                f"{column} has a byte that is not valid UTF-8, 0x{code - 0xDC00:02x}, at character {error.start + 1}; "
                f"{proposal(text[:4096].encode('utf-8', 'surrogateescape'))}",
            ) from None
        raise RowError(
            "utf-8", f"{column} has half of a surrogate pair, U+{code:04X}, at character {error.start + 1}."
        ) from None
    return text


def _part_text(part: Mapping[str, Any], column: str) -> str:
    text = part.get("text")
    if isinstance(text, str):
        return text
    raise RowError("type", f"{column} holds content of type {part.get('type')}, and only text can be trained on.")


def _prompt_completion(value: Mapping[str, Any], columns: Mapping[str, str]) -> Conversation:
    prompt, completion = _get(value, columns["prompt"]), _get(value, columns["completion"])
    asked = (
        _turns(prompt, columns["prompt"])
        if _is_turns(prompt)
        else _user(as_text(prompt, columns["prompt"]), columns["prompt"], prompt is MISSING)
    )
    if _is_turns(completion):
        answered = _turns(completion, columns["completion"])
    else:
        answered = (_assistant(completion, columns["completion"]),)
    asked = tuple(Message(m.role, m.content, False, m.extra) for m in asked)
    return Conversation(
        (*_system(value, columns), *_history(value, columns), *asked, *answered),
        tools=_tools(value, columns),
        template_values=_template_values(value),
    )


def _instruction(value: Mapping[str, Any], columns: Mapping[str, str]) -> Conversation:
    instruction = as_text(_get(value, columns["instruction"]), columns["instruction"])
    extra = as_text(_get(value, columns.get("input")), columns.get("input", "input"))
    asked = "\n\n".join(part for part in (instruction, extra) if part.strip())
    user = _user(asked, columns["instruction"], _get(value, columns["instruction"]) is MISSING)
    answer = _assistant(_get(value, columns["output"]), columns["output"])
    return Conversation(
        (*_system(value, columns), *_history(value, columns), *user, answer),
        tools=_tools(value, columns),
        template_values=_template_values(value),
    )


def _messages(value: Mapping[str, Any], columns: Mapping[str, str]) -> Conversation:
    column = columns["messages"]
    cell = _get(value, column)
    if isinstance(cell, str):
        cell = _from_json(cell, column)
    if cell is MISSING or cell is None:
        raise RowError("missing", f"the row has no {column}.")
    if not isinstance(cell, list):
        raise RowError("type", f"{column} is {_kind(cell)}, and a list of messages was expected.")
    if not cell:
        raise RowError("empty", f"{column} holds no message.")
    turns = _turns(cell, column)
    system = () if turns[0].role == "system" else _system(value, columns)
    return Conversation((*system, *turns), tools=_tools(value, columns), template_values=_template_values(value))


def _text(value: Mapping[str, Any], columns: Mapping[str, str]) -> Conversation:
    column = columns["text"]
    cell = _get(value, column)
    if cell is MISSING or cell is None:
        raise RowError("missing", f"the row has no {column}.")
    if not isinstance(cell, str):
        raise RowError("type", f"{column} is {_kind(cell)}, and text was expected.")
    if not cell.strip():
        raise RowError("empty", f"{column} is empty.")
    return Conversation(text=check_unicode(cell, column))


def _tokens(value: Mapping[str, Any], columns: Mapping[str, str]) -> Conversation:
    ids = _numbers(_get(value, columns["input_ids"]), columns["input_ids"])
    if not ids:
        raise RowError("empty", f"{columns['input_ids']} is empty.")
    if min(ids) < 0:
        raise RowError("type", f"{columns['input_ids']} holds a negative number, and token ids were expected.")
    labels = ids
    if "labels" in columns and _get(value, columns["labels"]) is not MISSING:
        labels = _numbers(_get(value, columns["labels"]), columns["labels"])
        if len(labels) != len(ids):
            raise RowError("type", f"the row has {len(ids)} tokens and {len(labels)} labels.")
        if all(label == -100 for label in labels):
            raise RowError("no-answer", "no token of the row bears loss: every label is -100.")
    return Conversation(tokens=ids, labels=labels)


def _preference(value: Mapping[str, Any], columns: Mapping[str, str]) -> Conversation:
    prompt, chosen = _get(value, columns.get("prompt")), _get(value, columns["chosen"])
    if isinstance(chosen, str) and prompt is MISSING and "\n\nAssistant:" in chosen:
        return Conversation(_transcript(check_unicode(chosen, columns["chosen"])))
    if _is_turns(chosen):
        turns = _turns(chosen, columns["chosen"])
        last = next((number for number in range(len(turns) - 1, -1, -1) if turns[number].role == "assistant"), -1)
        answer = tuple(
            Message(turn.role, turn.content, number == last, turn.extra) for number, turn in enumerate(turns)
        )
        if any(turn.role == "user" for turn in turns):
            return Conversation(
                (*(() if turns[0].role == "system" else _system(value, columns)), *answer), tools=_tools(value, columns)
            )
    else:
        answer = (_assistant(chosen, columns["chosen"]),)
    if prompt is MISSING:
        raise RowError("missing", "the row has a chosen answer and no prompt.")
    asked = (
        _turns(prompt, columns["prompt"])
        if _is_turns(prompt)
        else _user(as_text(prompt, columns["prompt"]), columns["prompt"], False)
    )
    asked = tuple(Message(m.role, m.content, False, m.extra) for m in asked)
    return Conversation((*_system(value, columns), *asked, *answer), tools=_tools(value, columns))


def _transcript(text: str) -> tuple[Message, ...]:
    turns: list[Message] = []
    for part in text.split("\n\nHuman:")[1:]:
        asked, *answers = part.split("\n\nAssistant:")
        turns.append(Message("user", asked.strip()))
        turns += [Message("assistant", answer.strip()) for answer in answers]
    if turns and turns[-1].role == "assistant":
        turns[-1] = Message("assistant", turns[-1].content, True)
    return tuple(turns) or (Message("user", text),)


_CONVERTERS = {
    "prompt-completion": _prompt_completion,
    "instruction": _instruction,
    "messages": _messages,
    "text": _text,
    "tokens": _tokens,
    "preference": _preference,
}


def _is_turns(cell: Any) -> bool:
    return (
        isinstance(cell, list)
        and bool(cell)
        and all(isinstance(item, Mapping) and any(key in item for key in ROLE_KEYS) for item in cell)
    )


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
    text = as_text(_get(value, columns.get("system")), columns.get("system", "system"))
    return (Message("system", text),) if text.strip() else ()


def _history(value: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[Message, ...]:
    cell = _get(value, columns.get("history"))
    if cell is MISSING or cell is None:
        return ()
    column = columns["history"]
    if _is_turns(cell):
        return _turns(cell, column)
    turns: list[Message] = []
    for pair in cell if isinstance(cell, list) else [cell]:
        if not isinstance(pair, list) or len(pair) != 2:
            raise RowError("type", f"{column} is no list of question and answer pairs.")
        turns += [Message("user", as_text(pair[0], column)), Message("assistant", as_text(pair[1], column), True)]
    return tuple(turns)


def _tools(value: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[Mapping[str, Any], ...]:
    cell = _get(value, columns.get("tools"))
    if cell is MISSING or cell is None or cell == "":
        return ()
    if isinstance(cell, str):
        cell = _from_json(cell, columns["tools"])
    if not isinstance(cell, list) or not all(isinstance(tool, Mapping) for tool in cell):
        raise RowError("type", f"{columns['tools']} is no list of tools.")
    return tuple(tool if "function" in tool else {"type": "function", "function": tool} for tool in cell)


def _template_values(value: Mapping[str, Any]) -> Mapping[str, Any]:
    given = value.get("chat_template_kwargs")
    return given if isinstance(given, Mapping) else {}


def _turns(cell: Iterable[Any], column: str) -> tuple[Message, ...]:
    return tuple(_turn(turn, number, column) for number, turn in enumerate(cell, 1))


def _turn(turn: Any, number: int, column: str) -> Message:
    if not isinstance(turn, Mapping):
        raise RowError(
            "type", f"message {number} of {column} is {_kind(turn)}, and an object with role and content was expected."
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
    extra = {key: turn[key] for key in KEPT if turn.get(key)}
    if name.strip().lower() == "function_call" and isinstance(content, str):
        extra["tool_calls"], content = _tool_calls(content, number), ""
    if isinstance(extra.get("tool_calls"), str):
        extra["tool_calls"] = _from_json(extra["tool_calls"], "tool_calls")
    if content is MISSING and "tool_calls" not in extra:
        raise RowError("missing", f"message {number} of {column} has no content.")
    return Message(
        role, as_text(content, f"message {number} of {column}"), role == "assistant" and _bears_loss(turn), extra
    )


def _bears_loss(turn: Mapping[str, Any]) -> bool:
    weight = turn.get("weight", turn.get("train", turn.get("loss")))
    return weight is None or bool(weight)


def _tool_calls(content: str, number: int) -> list[Any]:
    calls = _from_json(content, f"message {number}")
    calls = calls if isinstance(calls, list) else [calls]
    if not all(isinstance(call, Mapping) and "name" in call for call in calls):
        raise RowError("type", f"message {number} is a function call without a name.")
    return [{"type": "function", "function": dict(call)} for call in calls]


def _from_json(text: str, column: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RowError("json", f"{column} was expected to be JSON and is not: {error}.") from None


def _kind(cell: Any) -> str:
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "a list",
        dict: "an object",
        type(None): "null",
    }
    return names.get(type(cell), type(cell).__name__)


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
