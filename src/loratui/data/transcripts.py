"""Conversations that are no list of messages: one text with names before the turns, pairs of question and answer."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from loratui.data.column_names import ROLE_KEYS, ROLES

FORMS: tuple[tuple[re.Pattern[str], dict[str, str]], ...] = (
    (
        re.compile(r"(?:^|\n\n)\s*(USER|ASSISTANT|FUNCTION RESPONSE|SYSTEM):[ \t]*"),
        {"USER": "user", "ASSISTANT": "assistant", "FUNCTION RESPONSE": "tool", "SYSTEM": "system"},
    ),
    (re.compile(r"(?:^|\n\n)(Human|Assistant):[ \t]*"), {"Human": "user", "Assistant": "assistant"}),
    (
        re.compile(r"(?:^|\n)### (Human|User|Assistant|System):[ \t]*"),
        {"Human": "user", "User": "user", "Assistant": "assistant", "System": "system"},
    ),
)
"""What stands before a turn (Glaive and Vicuna, hh-rlhf, guanaco), and whose turn it then is."""
ENDS = ("<|endoftext|>", "</s>")
"""End tokens of other models, written into the text after a turn."""


def is_transcript(text: str) -> bool:
    """Whether a text begins with a turn of somebody and has an answer."""
    return any(
        (first := form.match(text.lstrip())) is not None
        and roles[first.group(1)] in ("user", "system")
        and any(roles[turn.group(1)] == "assistant" for turn in form.finditer(text))
        for form, roles in FORMS
    )


def turns_of(text: str) -> list[dict[str, Any]]:
    """The turns of a transcript as messages with role and content; empty where it is none."""
    for form, roles in FORMS:
        found = list(_turns(text, form, roles))
        if found and any(turn["role"] == "assistant" for turn in found):
            return found
    return []


def _turns(text: str, form: re.Pattern[str], roles: dict[str, str]) -> Iterator[dict[str, Any]]:
    marks = list(form.finditer(text))
    if not marks or text[: marks[0].start()].strip():
        return
    for mark, after in zip(marks, [*marks[1:], None], strict=True):
        content = text[mark.end() : after.start() if after is not None else len(text)].strip()
        for end in ENDS:
            content = content.removesuffix(end).rstrip()
        yield {"role": roles[mark.group(1)], "content": content}


def without_name(text: str) -> str:
    """A system text without the name of its speaker in front (Glaive writes `SYSTEM: …`)."""
    return re.sub(r"^\s*SYSTEM:[ \t]*", "", text)


def is_messages_text(text: str) -> bool:
    """Whether a text is the JSON of messages, by its beginning."""
    return text[:2] in ("[{", "[ ", "[\n") and ('"role"' in text[:300] or '"from"' in text[:300])


def is_exchanges(cell: Any) -> bool:
    """Whether a cell is a list of question and answer pairs, each an object named by the speakers: Firefly's
    `{"human": …, "assistant": …}`.
    """
    return isinstance(cell, list) and bool(cell) and all(map(_is_exchange, cell))


def _is_exchange(item: Any) -> bool:
    if not isinstance(item, Mapping) or any(key in item for key in ROLE_KEYS):
        return False
    roles = {ROLES.get(str(key).lower()) for key in item}
    return {"user", "assistant"} <= roles and None not in roles and len(roles) == len(item)


def one_each(turns: Iterable[Any]) -> Iterator[Any]:
    """Messages one by one: a pair of question and answer becomes two."""
    for turn in turns:
        if _is_exchange(turn):
            for name in sorted(turn, key=lambda key: ("system", "user", "tool", "assistant").index(ROLES[key.lower()])):
                yield {"role": name, "content": turn[name]}
        else:
            yield turn
