"""Marks written into a conversation's parts before a chat template renders it, to find each part again in the result.

A mark stands directly around a part's words, inside its white space, so that templates that trim or split still see
what they look for. Taking the marks out again must give what the template writes without them; where it does not, the
template looks at the words themselves and nothing is claimed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from loratui.data.conversation import Conversation, Message
from loratui.data.reasoning import FIELD, inline_range

Kind = Literal["content", "thinking", "call"]
_SALTS = ("Zq7v", "Xk4w", "Jx9z", "Vq3k")


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a message in what the template writes: characters, end excluded. call: which of the message's calls."""

    message: int
    kind: Kind
    start: int
    end: int
    call: int = 0


class Marks:
    """Marks for one conversation; a salt is chosen that none of its texts holds."""

    def __init__(self, row: Conversation) -> None:
        texts = repr((row.messages, row.tools, row.template_values))
        self._salt = next((salt for salt in _SALTS if salt not in texts), _SALTS[0] * 3)
        self._found = re.compile(rf"{self._salt}(\d+)([ctf])(\d+)([be])Y")

    def marked(self, messages: Sequence[Message]) -> list[Message]:
        """The messages with marks around each of their parts."""
        return [self._message(message, number) for number, message in enumerate(messages)]

    def find(self, text: str) -> tuple[str, list[Part]]:
        """The text without its marks, and the parts that they stood around, each where it is written first; of one that
        the template cuts, what is left where its end stands.
        """
        pieces: list[str] = []
        parts: list[Part] = []
        open_at: dict[tuple[str, ...], int] = {}
        seen: set[tuple[str, ...]] = set()
        position = length = 0
        kinds: dict[str, Kind] = {"c": "content", "t": "thinking", "f": "call"}
        for found in self._found.finditer(text):
            piece = text[position : found.start()]
            pieces.append(piece)
            length += len(piece)
            position = found.end()
            key, edge = found.groups()[:3], found.group(4)
            if edge == "b":
                open_at.setdefault(key, length)
            elif key not in seen:
                seen.add(key)
                parts.append(Part(int(key[0]), kinds[key[1]], open_at.get(key, length), length, int(key[2])))
        pieces.append(text[position:])
        return "".join(pieces), parts

    def _around(self, text: str, number: int, kind: str, call: int = 0) -> str:
        words = text.strip()
        at = text.index(words)
        begin, end = (f"{self._salt}{number}{kind}{call}{edge}Y" for edge in "be")
        return f"{text[:at]}{begin}{words}{end}{text[at + len(words) :]}"

    def _message(self, message: Message, number: int) -> Message:
        extra: dict[str, Any] = dict(message.extra)
        content = message.content
        if message.role == "assistant":
            if isinstance(extra.get(FIELD), str) and extra[FIELD].strip():
                extra[FIELD] = self._around(extra[FIELD], number, "t")
            if calls := extra.get("tool_calls"):
                extra["tool_calls"] = [self._call(call, number, at) for at, call in enumerate(calls)]
            if place := inline_range(content):
                start, end, rest = place
                content = (
                    content[:start]
                    + (self._around(content[start:end], number, "t") if end > start else "")
                    + content[end:rest]
                    + (self._around(content[rest:], number, "c") if content[rest:].strip() else content[rest:])
                )
            elif content.strip() or not (extra.get("tool_calls") or extra.get(FIELD)):
                content = self._around(content, number, "c")
        elif content.strip() and not content.lstrip().startswith("<tool_response>"):  # templates look for it
            content = self._around(content, number, "c")
        return message._replace(content=content, extra=extra)

    def _call(self, call: Any, number: int, at: int) -> Any:
        function = call.get("function") if isinstance(call, Mapping) else None
        if not isinstance(function, Mapping) or not function.get("name"):
            return call
        return {**call, "function": {**function, "name": self._around(str(function["name"]), number, "f", at)}}
