"""The room above the rows, shared between what is said of a dataset and the picture of its lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from loratui.tui.dataset.facts import fact_lines, line_count
from loratui.tui.dataset.length_picture import bars_height, picture_lines

if TYPE_CHECKING:
    from textual.geometry import Size

    from loratui.tui.wizard.loading import DatasetView
    from loratui.tui.wizard.state import WizardState


def facts_and_picture(
    state: WizardState, view: DatasetView, width: int, screen: Size, room: int | None
) -> list[Content]:
    """The facts, below them the picture of the lengths with its axis. Where they do not fit, the bars become lower,
    then the facts shorter; without room for the axis and for all that the check found, the picture is left out.

    width: columns; room: lines for both, None where that is not known yet.
    """
    facts, height = fact_lines(state, view, width, screen.height), bars_height(screen)
    proposal = state.plan.proposal
    picture = picture_lines(state.check, proposal, width, height) if proposal is not None else []
    if room is None or (beyond := _count(facts) + _count(picture) - room) <= 0:
        return [*facts, *picture]
    if proposal is not None and height > 1:
        picture = picture_lines(state.check, proposal, width, max(1, height - beyond))
    facts = fact_lines(state, view, width, screen.height, room - _count(picture), check_whole=True)
    if _count(facts) + _count(picture) > room:
        return fact_lines(state, view, width, screen.height, room)
    return [*facts, *picture]


def _count(lines: list[Content]) -> int:
    return sum(map(line_count, lines))
