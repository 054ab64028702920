"""What a run did so far, for the room below its figures: evaluations and answers, the newest first."""

from __future__ import annotations

from textual.content import Content

from loratui.format import loss_text, one_line
from loratui.runs.held_out import exact_match_words
from loratui.tui.training.record import RunRecord

MOST_EVALS, MOST_SAMPLES = 8, 6


def history_lines(record: RunRecord, width: int, room: int) -> list[Content]:
    """At most `room` lines of `width` columns."""
    best = record.best_eval
    lines: list[Content] = []
    evals = record.held_out
    if evals:
        lines += [Content(""), Content("held out, the newest first").stylize("$text-muted")]
    for one in reversed(evals[-MOST_EVALS:]):
        exact = f"  exact {words}" if (words := exact_match_words(one)) else ""
        mark = "  best" if one is best else ""
        when = f"step {one.step:<9,}" if one.step else "before it     "
        shown = exact if len(when) + len(loss_text(one.loss)) + len(mark) + len(exact) <= width else ""
        lines.append(
            Content.assemble((when, "$text-muted"), (loss_text(one.loss), "$foreground"), (mark, "$success"), shown)
        )
    if record.samples and len(lines) + 3 <= room:  # its heading never stands alone
        lines += [Content(""), Content("answers to the pinned prompts").stylize("$text-muted")]
    else:
        return lines[:room] if room > 2 else []
    for sample in list(reversed(record.samples))[:MOST_SAMPLES]:
        lines.append(Content(one_line(f"step {sample.step}  {sample.prompt}", width)).stylize("$text-muted"))
        lines.append(Content(one_line(f"→ {sample.answer}", width)))
    return lines[:room] if room > 2 else []
