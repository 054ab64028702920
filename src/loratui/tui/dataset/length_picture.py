"""The rows' lengths on the dataset's own screen: bars with the maximum length in them, counted or still guessed."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from textual.content import Content

from loratui.tui.dataset.lengths import QUANTILES, histogram
from loratui.tui.dataset.row_lengths import lengths_now

if TYPE_CHECKING:
    from textual.geometry import Size

    from loratui.core.proposal import Proposal
    from loratui.tui.wizard.check import DatasetCheck

LABEL = 9
"""Columns of the word beside the facts."""
BINS = 40
"""Bars of a picture of guessed lengths."""
LEDGER_HEIGHT = 8
"""Bars so high stand beside what a maximum length cuts: there is room for it."""


def bars_height(screen: Size) -> int:
    """Lines of the bars: as many as the rows beside or below them can spare (the breakpoints are the app's)."""
    return LEDGER_HEIGHT if screen.width >= 160 else 4 if screen.height >= 30 else 1


def picture_lines(check: DatasetCheck, proposal: Proposal, width: int, height: int) -> list[Content]:
    """The bars, the axis with the maximum length, and what they rest on where they are guessed."""
    limit = proposal.plan.training.max_length
    found: dict[str, Any] | None = check.now.result or check.now.partial
    if found is not None and not found["tokens"]["max"]:
        found = None
    if found is not None:
        basis = "" if check.now.result is not None else "of the rows counted so far"
    else:
        basis = "" if proposal.data.exact else "guessed from characters"
    beyond = f"▸ {limit:,} maximum"
    room = max(20, width - LABEL - (len(basis) + 2 if basis else 0) - len(beyond) - 2)
    if found is not None:
        edges, counts = tuple(found["histogram"]["edges"]), tuple(found["histogram"]["counts"])
        shortest, longest = int(found["tokens"]["min"]), int(found["tokens"]["max"])
    else:
        edges, counts = _bins(proposal.data.lengths, min(BINS, room))
        shortest, longest = proposal.data.lengths[0], proposal.data.longest
    drawn = histogram(edges, counts, limit, shortest, longest, room, height).split("\n", allow_blank=True)
    lines = [
        Content.assemble((f"{'lengths' if not number else '':<{LABEL}}", "$text-muted"), line)
        for number, line in enumerate(drawn)
    ]
    if limit >= edges[-1]:
        lines[-1] = Content.assemble(lines[-1], (f"  {beyond}", "$text-muted"))
    if basis:
        lines[-1] = Content.assemble(lines[-1], (f"  {basis}", "$text-muted"))
    if height >= LEDGER_HEIGHT and check.now.result is not None:
        lines += _ledger(check, proposal, width)
    return lines


@lru_cache(maxsize=4)
def _bins(lengths: tuple[int, ...], bins: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    from loratui.core.histogram import length_histogram

    edges, counts = length_histogram(sorted(lengths), bins)
    return tuple(edges), tuple(counts)


def _ledger(check: DatasetCheck, proposal: Proposal, width: int) -> list[Content]:
    """Quantiles, and what each maximum length would cut."""
    lengths = lengths_now(check.now, proposal)
    now = proposal.plan.training.max_length
    figures = [f"{word} {lengths.tokens[key]:,}" for key, word in QUANTILES.items()]
    quantiles = next(
        (line for gap in ("  ", " ") if len(line := gap.join(figures)) <= width - LABEL), " ".join(figures[1:])
    )
    lines = [Content(""), Content.assemble((f"{'tokens':<{LABEL}}", "$text-muted"), quantiles)]
    for number, row in enumerate(lengths.ledger):
        length, lost = int(row["max_length"]), row.get("answer_tokens_lost")
        words = f"{'●' if length == now else '○'} {length:>7,}  {row['cut']:>6,} rows cut"
        words += "" if lost is None else f"  {lost:>6,} answer tokens lost"
        marks = [word for word, here in (("now", length == now), ("proposed", length == lengths.proposed)) if here]
        lines.append(
            Content.assemble(
                (f"{'cut at' if not number else '':<{LABEL}}", "$text-muted"),
                (words, "bold $foreground" if length == now else "$foreground"),
                (f"  {', '.join(marks)}" if marks else "", "$accent"),
            )
        )
    lines.append(Content(f"{'':<{LABEL}}l chooses one, with its price").stylize("$text-muted"))
    return lines
