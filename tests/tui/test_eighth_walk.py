"""What made somebody hesitate who walked through it without knowing it, for the eighth time."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded_run import BEGAN, record_run

from loratui.runs.events import make
from loratui.tui.common.text import wrap
from loratui.tui.training.follow import Followed, follow
from loratui.tui.training.news import MARGIN, news


def ended_run(homes: Path, state: str) -> Followed:
    """A run that is over, read."""
    more = [make("stopped", BEGAN + 90, step=142, checkpoint="checkpoint-125")] if state == "stopped" else []
    followed = follow(str(record_run(homes / "home", state=state, more=more).path))
    followed.poll()
    return followed


def rows_at(followed: Followed, width: int) -> list[str]:
    """The rows below the curves."""
    return [row for line in news(followed, width) for row in wrap(line.plain, max(20, width - MARGIN))]


@pytest.mark.parametrize("width", [80, 120])
def test_a_finished_run_names_the_ways_on_from_it(homes: Path, width: int) -> None:
    """The heading promised them, and one alone was named: Merge was looked for, and the way home was not found."""
    rows = rows_at(ended_run(homes, "finished"), width)
    for way in ("a asks it", "x merges, exports or serves it", "^r Home"):
        assert any(way in row for row in rows), rows
    assert any("still falling" in row for row in rows[:3]), "what was found has its place beside them"
