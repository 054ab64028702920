"""One row as text, painted by what becomes of its parts: learnt, only read, cut, or dropped by the chat template."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from textual.content import Content

from loratui.format import harmless, one_line
from loratui.tui.common.text import wrap

if TYPE_CHECKING:
    from loratui.data.conversation import Message
    from loratui.data.preview import PreviewRow

LONGEST_PART = 4000
"""Characters of one message that are shown."""
_BARS = {
    "learnt": ("▌ ", "bold $accent"),
    "shown": ("│ ", "$foreground-disabled"),
    "cut": ("┆ ", "$warning"),
    "dropped": ("✗ ", "$warning"),
}
_WORDS = {"cut": "cut off by the maximum length", "dropped": "dropped by the chat template"}


def row_content(row: PreviewRow, width: int, rendered: Mapping[str, Any] | None = None) -> Content:
    """The row as text: a bar and the accent mark what is learnt, so that it shows without colour, too.

    rendered: the row as the trainer receives it, whose labels decide; before the check, what its messages say.
    """
    problem = row.problem.message if row.problem is not None else str((rendered or {}).get("problem") or "")
    if problem or row.conversation is None:
        lines = [
            Content(f"✗ not trained on: {one_line(problem or 'the row could not be read.', 300)}").stylize("$error")
        ]
        if row.value is not None:
            lines.append(Content(one_line(row.value, 1500)).stylize("$text-muted"))
        return Content("\n").join(lines)
    conversation = row.conversation
    if conversation.tokens:
        return Content.assemble(
            ("▌", "bold $accent"),
            (f" {len(conversation.tokens):,} ready token ids: ", "bold"),
            one_line(list(conversation.tokens[:60]), 600),
        )
    if conversation.text:
        return _part("text", conversation.text, "learnt", width)
    states = {(number, kind): state for number, kind, state in (rendered or {}).get("parts", ())}
    shown = [
        _part(label, text, states.get((number, kind), "learnt" if message.trained else "shown"), width)
        for number, message in enumerate(conversation.messages)
        for kind, label, text in _pieces(message)
    ]
    if conversation.tools:
        names = ", ".join(str(tool.get("function", tool).get("name", "?")) for tool in conversation.tools)
        shown.insert(0, _part("tools", one_line(names, 300), "shown", width))
    return Content("\n").join(shown)


def _pieces(message: Message) -> Iterator[tuple[str, str, str]]:
    """Kind, label and text of what a message consists of."""
    from loratui.data.reasoning import inline_range, thinking_of

    content = message.content
    if (held := thinking_of(message)) is not None:
        yield "thinking", "thinking", held[1]
        place = inline_range(content) if held[0] == "text" else None
        content = content[place[2] :].lstrip() if place else content
    calls = message.extra.get("tool_calls") or ()
    if content.strip() or not (calls or held):
        yield "content", message.role, content
    for call in calls:
        function = call.get("function", call)
        given = function.get("arguments", "")
        arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False, default=str)
        yield "call", "call", f"{function.get('name', '?')} {arguments}"


def _part(role: str, text: str, state: str, width: int) -> Content:
    words = harmless(text[:LONGEST_PART]) + (" …" if len(text) > LONGEST_PART else "")
    if state in _WORDS:
        words = f"({_WORDS[state]}) {words}"
    learnt = state == "learnt"
    lines = []
    for line in words.split("\n"):
        lines += wrap(line, max(20, width - 12))
    style = "$foreground" if learnt else "$text-muted"
    label = f"{role:<9} "
    return Content("\n").join(
        Content.assemble(
            (label if number == 0 else " " * len(label), "bold $accent" if learnt else "$text-muted"),
            _BARS[state],
            (line, style),
        )
        for number, line in enumerate(lines)
    )
