"""What is told about one thing that can be made of a run, as lines for its box."""

from __future__ import annotations

from textual.content import Content

from loratui.format import harmless
from loratui.tui.common.text import hanging, wrap, wrapped
from loratui.tui.take_away.outcome import labelled
from loratui.tui.take_away.outputs import Output

LONGEST_SHOWN = 20_000
"""Characters of a file that are shown."""


def about(output: Output, told: Content | None, width: int, *, narrow: bool) -> list[Content]:
    """What it is, what came of its making (told), why it cannot be made, where it goes, its command, and its file.

    width: columns of the box. narrow: the words are longer than the box, so that the reason why not and what is
    copied come first.
    """
    ways = [
        line
        for label, text in (("where", output.place), ("command", output.line))
        if text
        for line in labelled(label, text, width)
    ]
    parts: list[Content] = []
    problem = [Content(f"▲ {harmless(output.problem)}").stylize("$warning")] if output.problem else []
    if narrow:
        parts += [*problem, Content("")] if problem else []
        parts += [told, Content("")] if told is not None else []
        parts += [*ways, Content("")] if ways else []
    parts.append(Content(output.what))
    if told is not None and not narrow:
        parts += [Content(""), told]
    if problem and not narrow:
        parts += [Content(""), *problem]
    if output.warning:
        parts += [Content(""), Content(f"▲ {harmless(output.warning)}").stylize("$warning")]
    if output.notes:
        parts += [
            *([] if told is not None or narrow else [Content("")]),
            *(
                Content(harmless(note)).stylize("$warning" if note.startswith("▲") else "$text-muted")
                for note in output.notes
            ),
        ]
    parts += [Content(""), *ways] if ways and not narrow else []
    if output.others:
        parts += [Content(""), Content("by hand").stylize("$text-muted")]
        for words, line in output.others:
            parts += [
                Content(words).stylize("$text-muted"),
                *(Content(f"  {piece}") for piece in wrap(harmless(line), width - 2)),
            ]
    lines = [piece for part in parts for line in part.split("\n", allow_blank=True) for piece in wrapped(line, width)]
    return [*lines, *_file(output, width)]


def _file(output: Output, width: int) -> list[Content]:
    """The file that is made, below a line with its name."""
    title, text = output.shows
    if not text.strip():
        return []
    head = Content(f"── {title} ".ljust(width, "─")[:width]).stylize("$text-muted")
    lines = harmless(text[:LONGEST_SHOWN].strip("\n")).split("\n")
    return [Content(""), head, *(Content(piece) for line in lines for piece in hanging(line, width, 0))]
