"""One row of a dataset as it will be trained: who says what, and which words bear loss."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.content import Content

from loratui.format import harmless, one_line
from loratui.tui.text import wrap

if TYPE_CHECKING:
    from loratui.data.preview import PreviewRow

LONGEST_PART = 4000
"""Characters of one message that are shown."""


def row_content(row: PreviewRow, width: int) -> Content:
    """The row as text: a bar and the accent mark what is learnt, so that it shows without colour, too."""
    if row.problem is not None or row.conversation is None:
        words = row.problem.message if row.problem is not None else "the row could not be read."
        lines = [Content(f"✗ not trained on: {one_line(words, 300)}").stylize("$error")]
        if row.value is not None:
            lines.append(Content(one_line(row.value, 1500)).stylize("$text-muted"))
        return Content("\n").join(lines)
    conversation = row.conversation
    if conversation.tokens:
        return Content.assemble(("▌", "bold $accent"), (f" {len(conversation.tokens):,} ready token ids: ", "bold"),
                                one_line(list(conversation.tokens[:60]), 600))
    if conversation.text:
        return _part("text", conversation.text, True, width)
    return Content("\n").join(_part(message.role, message.content, message.trained, width) for message in conversation.messages)


def token_content(row: dict[str, Any]) -> Content:
    """A row as the trainer receives it: learnt tokens underlined, special ones reversed, cut ones struck out."""
    if row.get("problem"):
        return Content(f"✗ not trained on: {one_line(row['problem'], 300)}").stylize("$error")
    pieces: list[tuple[str, str] | str] = []
    for _number, text, trained, special, cut in row["tokens"]:
        style = "bold underline $foreground on $block-cursor-blurred-background" if trained else "$text-muted"
        if special:
            style = "bold underline reverse $accent" if trained else "reverse $text-muted"
        if cut:
            style += " strike"
        pieces.append((harmless(text), style))
    learnt = sum(1 for token in row["tokens"] if token[2])
    head = (f"{len(row['tokens']):,} tokens, {learnt:,} learnt (underlined); special tokens reversed\n", "$text-muted")
    return Content.assemble(head, *pieces)


def _part(role: str, text: str, trained: bool, width: int) -> Content:
    bar = ("▌ ", "bold $accent") if trained else ("│ ", "$foreground-disabled")
    words = harmless(text[:LONGEST_PART]) + (" …" if len(text) > LONGEST_PART else "")
    lines = []
    for line in words.split("\n"):
        lines += wrap(line, max(20, width - 12))
    style = "$foreground" if trained else "$text-muted"
    label = f"{role:<9} "
    return Content("\n").join(
        Content.assemble((label if number == 0 else " " * len(label), "bold $accent" if trained else "$text-muted"), bar, (line, style))
        for number, line in enumerate(lines)
    )
