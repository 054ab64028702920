"""The learning rate over the run, as a picture with its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content

from loratui.format import number_text
from loratui.tui.common.rate_curve import rate_curve

if TYPE_CHECKING:
    from loratui.core.proposal import Proposal


def course(proposal: Proposal, width: int, height: int) -> Content:
    """The curve over `height` lines and the figures beside it; in a single line the curve and the most needed."""
    from loratui.core.schedule import curve

    schedule, training = proposal.schedule, proposal.plan.training
    room = min(100, max(16, width - (50 if height == 1 else 32)))
    lines = rate_curve(curve(proposal.plan, schedule, 2 * room), room, height)
    words = [
        f"{schedule.total_steps:,} steps of {schedule.effective_batch_size:,} rows",
        f"{training.scheduler}, peak {number_text(training.learning_rate)}",
        f"warm-up {schedule.warmup_steps:,} of {schedule.total_steps:,} steps",
        f"{schedule.steps_per_epoch:,} steps an epoch",
    ]
    if height == 1:
        return Content.assemble(
            (f"{words[0]}  ", "$foreground"), (lines[0], "$accent"), (f"  {words[1]}", "$text-muted")
        )
    return Content("\n").join(
        Content.assemble((line, "$accent"), "   ", (word, "$foreground" if number == 0 else "$text-muted"))
        for number, (line, word) in enumerate(zip(lines, [*words, *[""] * height], strict=False))
    )
