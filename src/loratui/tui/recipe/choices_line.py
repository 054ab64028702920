"""The choices of a field in one line, while one of them is chosen."""

from __future__ import annotations

from collections.abc import Sequence

from textual.content import Content


def choices_line(words: Sequence[str], place: int, room: int) -> Content:
    """`1/3  LoRA  QLoRA`: which one is pointed at, and as many as `room` cells hold, that one among them."""
    head = f"{place + 1}/{len(words)} "
    first = last = place
    left = room - len(head) - len(words[place]) - 2
    while True:
        after = last + 1 if last + 1 < len(words) and len(words[last + 1]) + 2 <= left else None
        before = first - 1 if first and len(words[first - 1]) + 2 <= left else None
        if after is not None and (before is None or last - place <= place - first):
            last, left = after, left - len(words[after]) - 2
        elif before is not None:
            first, left = before, left - len(words[before]) - 2
        else:
            break
    parts = [(f" {words[one]} ", "bold reverse" if one == place else "$text-muted") for one in range(first, last + 1)]
    return Content.assemble((head, "$text-muted"), *parts)
