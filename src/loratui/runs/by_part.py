"""The held-out loss of each part of a mix, as an evaluation left it."""

from __future__ import annotations

from typing import Any, NamedTuple

from loratui.core.early_stopping import Change, interval_words
from loratui.format import loss_text
from loratui.runs.directory import Run
from loratui.runs.events import Eval, decode
from loratui.runs.lines import from_the_end

MARKS = {"worse": "▲", "better": "▼"}
"""Beside a figure: what its rows tell, whatever the colour."""


MOST_BYTES = 8 << 20
"""Of a run's events are looked through for its newest evaluation."""


class PartLoss(NamedTuple):
    """A part's held-out loss. since: beside its own lowest before, by its rows; None where that is not known."""

    name: str
    loss: float | None
    since: Change | None

    @property
    def mark(self) -> str:
        """▲ where it is worse than its lowest, beyond chance; ▼ better; else nothing."""
        return MARKS.get(self.since.told, "") if self.since else ""

    @property
    def words(self) -> str:
        """`▲ 0.31 above its lowest, at step 40 (95 % between …)`; empty where nothing is known."""
        since = self.since
        if since is None:
            return ""
        when = f"at step {since.step:,}" if since.step else "before the first step"
        way = "above" if since.difference >= 0 else "below"
        lowest = f"{loss_text(abs(since.difference))} {way} its lowest before, {when} ({interval_words(since)})"
        return f"{self.mark} {lowest}".strip()

    @property
    def document(self) -> dict[str, Any]:
        """For programs."""
        since = self.since
        return {
            "part": self.name,
            "loss": self.loss,
            "lowest_before": since.before if since else None,
            "lowest_step": since.step if since else None,
            "difference": since.difference if since else None,
            "low": since.low if since else None,
            "high": since.high if since else None,
            "rows": since.rows if since else None,
            "told": since.told if since else None,
        }


def newest_parts(run: Run) -> list[PartLoss]:
    """Those of the run's newest evaluation; none where its dataset is one, or its events tell of no evaluation."""
    read = 0
    try:
        for _, line in from_the_end(run.events_path):
            read += len(line) + 1
            if read > MOST_BYTES:
                break
            if b'"eval"' in line and isinstance(event := decode(line), Eval) and event.loss_by_part:
                return part_losses(event)
    except OSError:
        pass  # what is wrong with its files is said of the run itself
    return []


def part_losses(event: Eval | None) -> list[PartLoss]:
    """Those of an evaluation, in the order of the parts; none where the dataset is one, or nothing was evaluated."""
    if event is None or len(event.loss_by_part) < 2:
        return []
    return [PartLoss(name, loss, event.parts_beside_best.get(name)) for name, loss in event.loss_by_part.items()]
