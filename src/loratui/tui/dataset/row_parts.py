"""One row as text, painted by what becomes of its parts: learnt, only read, cut, or dropped by the chat template."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from textual.content import Content

from loratui.format import harmless, one_line
from loratui.tui.common.text import wrap

if TYPE_CHECKING:
    from loratui.data.conversation import Conversation, Message
    from loratui.data.preview import PreviewRow

LONGEST_PART = 4000
"""Characters of one message that are shown."""
_BARS = {
    "learnt": ("▌ ", "bold $accent"),
    "shown": ("│ ", "$foreground-disabled"),
    "cut": ("┆ ", "$warning"),
    "dropped": ("✗ ", "$warning"),
}
AGAINST = ("rejected", "unwanted")
"""Answers that the model learns not to write: their bar has another colour, and their name says it."""
BETWEEN = " │ "
_WORDS = {"cut": "cut off by the maximum length", "dropped": "dropped by the chat template"}


def row_content(
    row: PreviewRow, width: int, rendered: Mapping[str, Any] | None = None, *, beside: bool = False
) -> Content:
    """The row as text: a bar and the accent mark what is learnt, so that it shows without colour, too.

    rendered: the row as the trainer receives it, whose labels decide; before the check, what its messages say.
    beside: a pair's answers stand beside each other, else one above the other.
    """
    problem = row.problem.message if row.problem is not None else str((rendered or {}).get("problem") or "")
    if problem or row.conversation is None:
        lines = [
            Content(f"✗ not trained on: {one_line(problem or 'the row could not be read.', 300)}").stylize("$error")
        ]
        if isinstance(row.value, Mapping):
            lines += [_part(one_line(key, 20), cell_text(value), "shown", width) for key, value in row.value.items()]
        elif row.value is not None:
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
    if conversation.rejected:
        shown = pair_parts(conversation, width, rendered or {}, beside=beside)
    else:
        shown = message_parts(conversation.messages, width, rendered or {}, answer=_verdict(conversation))
    if conversation.tools:
        names = ", ".join(str(tool.get("function", tool).get("name", "?")) for tool in conversation.tools)
        shown.insert(0, _part("tools", one_line(names, 300), "shown", width))
    return Content("\n").join(shown)


def cell_text(value: Any) -> str:
    """A column's value of a row as its file has it: text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _verdict(conversation: Conversation) -> str:
    """What the last answer is called where a label judges it; empty where none does."""
    return "" if conversation.desirable is None else "wanted" if conversation.desirable else "unwanted"


def message_parts(
    messages: Sequence[Message],
    width: int,
    rendered: Mapping[str, Any],
    *,
    first: int = 0,
    answer: str = "",
    heading: bool = False,
) -> list[Content]:
    """Messages as text. first: number of the first one in its conversation. answer: what a learnt answer is called, in
    place of its role. heading: names stand above the texts, not before them.
    """
    states = {(number, kind): state for number, kind, state in rendered.get("parts", ())}
    return [
        _part(
            answer if answer and message.trained and kind == "content" else label,
            text,
            states.get((number, kind), "learnt" if message.trained else "shown"),
            width,
            "$error" if answer in AGAINST and message.trained else "$accent",
            heading=heading,
        )
        for number, message in enumerate(messages, first)
        for kind, label, text in _pieces(message)
    ]


def pair_parts(pair: Conversation, width: int, rendered: Mapping[str, Any], *, beside: bool) -> list[Content]:
    """The question once, and the two answers beside each other or one above the other."""
    asked = len(pair.prompt)
    shown = message_parts(pair.prompt, width, rendered)
    each = (width - len(BETWEEN)) // 2 if beside else width
    sides = [
        message_parts(messages[asked:], each, states, first=asked, answer=name, heading=beside)
        for name, messages, states in (
            ("chosen", pair.messages, rendered),
            ("rejected", pair.rejected, rendered.get("rejected") or {}),
        )
    ]
    if beside:
        left, right = (Content("\n").join(side).split("\n", allow_blank=True) for side in sides)
        for number in range(max(len(left), len(right))):
            one = left[number] if number < len(left) else Content("")
            other = right[number] if number < len(right) else Content("")
            room = " " * max(0, each - one.cell_length)
            shown.append(Content.assemble(one, room, (BETWEEN, "$foreground-disabled"), other))
    else:
        shown += [*sides[0], *sides[1]]
    if pair.scores is not None:
        chosen, rejected = pair.scores
        words = f"scores    {chosen:g} for the chosen, {rejected:g} for the rejected"
        wrong = "" if chosen > rejected else "  ▲ against the order" if chosen < rejected else "  ▲ no difference"
        shown.append(Content.assemble((words, "$text-muted"), (wrong, "$warning")))
    return shown


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


def _part(role: str, text: str, state: str, width: int, color: str = "$accent", *, heading: bool = False) -> Content:
    words = harmless(text[:LONGEST_PART]) + (" …" if len(text) > LONGEST_PART else "")
    if state in _WORDS:
        words = f"({_WORDS[state]}) {words}"
    learnt = state == "learnt"
    label = "" if heading else f"{role:<9} "
    lines = []
    for line in words.split("\n"):
        lines += wrap(line, max(20, width - len(label) - 2))
    style, named = "$foreground" if learnt else "$text-muted", f"bold {color}" if learnt else "$text-muted"
    return Content("\n").join(
        [
            *([Content(role).stylize(named)] if heading else []),
            *(
                Content.assemble(
                    (label if number == 0 else " " * len(label), named),
                    (_BARS[state][0], named) if learnt else _BARS[state],
                    (line, style),
                )
                for number, line in enumerate(lines)
            ),
        ]
    )
