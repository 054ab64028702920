"""What is said of a dataset above its rows: how it is read and why, the counts, and how far its check is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from textual.content import Content

from loratui.data.characters import characters_words
from loratui.format import one_line, size
from loratui.tui.common.text import labelled
from loratui.tui.dataset.mix_table import mix_lines
from loratui.tui.wizard.check import counted_at, rows_cut

if TYPE_CHECKING:
    from loratui.tui.wizard.loading import DatasetView
    from loratui.tui.wizard.state import WizardState

MARGINS = 6
"""Columns beside what is said of a dataset."""
TALL = 30
"""Lines of a terminal from which on a fact may take MOST_LINES of them; else MOST_LINES_LOW."""
MOST_LINES, MOST_LINES_LOW = 4, 2
DOUBT = "▲"
"""Of the facts that stand without a label below the format."""
MOST_PARTS, MOST_PARTS_LOW = 8, 3
"""Lines of a table of parts, in a tall terminal and in a low one."""


YIELDS = (
    *((label, 1) for label in ("text", "files", "format", "columns", "pairs", "rows", DOUBT, "asked")),
    *((label, 0) for label in ("files", "text", "columns", "format")),
)
"""Where there is no room for all: which facts become shorter, the first of them first, and the lines they keep."""
LAST_YIELDS = (("check", 2), ("check", 1))
"""What gives way last of all, after the picture of the lengths."""


def fact_lines(
    state: WizardState,
    view: DatasetView,
    width: int,
    height: int,
    room: int | None = None,
    *,
    check_whole: bool = False,
) -> list[Content]:
    """What is said of a dataset that was read. width: columns for it; height: lines of the screen; room: lines there
    are for it, as many as it wants where None. check_whole: what the check found is told to its end all the same.
    """
    facts = _facts(state, view, height)
    most = MOST_LINES if height >= TALL else MOST_LINES_LOW
    lines = [(label, _lines(label, content, width, most + (label == "check"))) for label, content in facts]

    def too_many() -> bool:
        return room is not None and sum(line_count(content) for _, content in lines) > room

    for yields, kept in YIELDS if check_whole else YIELDS + LAST_YIELDS:
        if too_many():
            cut = [(label, content) for label, content in facts if label == yields and kept]
            shorter = iter([_lines(label, content, width, kept) for label, content in cut])
            lines = [(label, next(shorter, content) if label == yields else content) for label, content in lines]
            lines = [one for one in lines if one[0] != yields or kept]
    return [content for _, content in lines]


def line_count(content: Content) -> int:
    """Lines that content takes."""
    return content.plain.count("\n") + 1


def _lines(label: str, content: Content, width: int, most: int) -> Content:
    if label == "parts":
        return content
    return labelled("" if label == DOUBT else label, content, width, most)


def _facts(state: WizardState, view: DatasetView, height: int) -> list[tuple[str, Content]]:
    """Each fact with its label."""
    shown = view.shown(state.dataset.objective)
    recognition, found = shown.recognition, shown.found
    pairs, facts = recognition.pairs, view.counted(state.dataset.objective)
    guessed = recognition.guess and recognition.format != "preference"
    guess = Content.assemble(("  ▲ a guess: c changes it", "$warning")) if guessed else Content("")
    mapping = " · ".join(f"{part} ← {one_line(column, 40)}" for part, column in recognition.columns.items())
    unused = f" · not used: {one_line(', '.join(recognition.unused), 60)}" if recognition.unused else ""
    about = "" if facts.exact else "about "
    counts = [
        f"{facts.examples:,}",
        f"{facts.eval_examples:,} held out" if facts.eval_examples else "none held out",
        f"{about}{facts.mean:,.0f} tokens each, longest {facts.longest:,}",
        f"{facts.trained_share:.1%} of the {'tokens' if facts.exact else 'characters'} learnt",
    ]
    proposal = state.plan.proposal
    max_length = proposal.plan.training.max_length if proposal is not None else facts.longest
    mix = mix_lines(view.mix, facts, MOST_PARTS if height >= TALL else MOST_PARTS_LOW) if view.mix else None
    if mix is not None:
        read = [
            ("parts", mix),
            ("below", Content.assemble((f"rows of all parts, {one_line(view.mix[0], 40)} first", "$text-muted"))),
        ]
    else:
        read = [
            (
                "format",
                Content.assemble(
                    (recognition.format, "bold"), guess, (f": {one_line(recognition.why, 120)}", "$text-muted")
                ),
            ),
            ("columns", Content.assemble((mapping, "$foreground"), (unused, "$text-muted"))),
            *((DOUBT, Content.assemble((f"▲ {one_line(doubt, 200)}", "$warning"))) for doubt in recognition.doubts),
        ]
    facts_of: list[tuple[str, Content]] = [
        *read,
        *_preference_line(state, view),
        ("pairs" if pairs else "rows", Content.assemble((" · ".join(counts), "$foreground"))),
        ("check", Content.assemble(state.check.now.words(max_length, exact=facts.exact))),
    ]
    result = state.check.now.result
    if result is not None and (words := text_words(result, max_length)):
        facts_of.append(("text", Content.assemble((words, "$foreground"))))
    if found.note:
        note = f"{one_line(found.note, 200)} ({size(found.size_bytes)})"
        facts_of.append(("files", Content.assemble((note, "$text-muted"))))
    return facts_of


def text_words(result: dict[str, Any], max_length: int) -> str:
    """What becomes of the rows' text at the plan's maximum length, in tokens; empty where there is no text.

    The shares were counted at the maximum length that the plan had when the check began, which the check's own counts
    may have moved.
    """
    characters = result.get("characters", {})
    if not characters.get("source") or counted_at(result, max_length) == max_length:
        words = characters_words(characters)
        return f"the rows' own {words}" if words else ""
    cut = rows_cut(result, max_length)
    if not cut:
        return f"{characters['source']:,} characters: none is cut off at {max_length:,} tokens"
    rows = f"{cut:,} row{'s are' if cut != 1 else ' is'}"
    return f"{characters['source']:,} characters: {rows} cut at {max_length:,} tokens · r counts what is lost"


def _preference_line(state: WizardState, view: DatasetView) -> list[tuple[str, Content]]:
    from loratui.data.preferences import is_preference

    recognition = view.preview.recognition
    if not is_preference(recognition):
        return []
    pairs = recognition.format == "preference"
    if state.dataset.unanswered(state.draft):
        words, color = "▲ preferences: f answers what they are taken for", "$warning"
    elif state.dataset.learns_preferences:
        both = "both sides of each pair" if pairs else "answers that are wanted and answers that are not"
        words, color = f"✓ the preference is learnt, from {both}", "$success"
    else:
        kinds = ("chosen", "rejected ones never shown") if pairs else ("wanted", "others left out")
        words, color = f"✓ the {kinds[0]} answers are trained on, the {kinds[1]}", "$success"
    return [("asked", Content.assemble((words, color)))]
