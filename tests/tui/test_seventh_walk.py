"""What made somebody hesitate who walked through it without knowing it, for the seventh time."""

from __future__ import annotations

from pathlib import Path

import pytest
from recorded_run import BEGAN, record_run

from loratui.runs.events import make
from loratui.tui.common.text import wrap
from loratui.tui.training.follow import follow
from loratui.tui.training.news import MARGIN, news


@pytest.mark.parametrize(
    ("state", "key"),
    [("finished", "a asks it"), ("stopped", "r resumes from there"), ("failed", "r starts it again")],
)
def test_a_key_stands_beside_what_it_does_at_every_width(homes: Path, state: str, key: str) -> None:
    """`a asks` stood at the end of one row, and `it` on the next."""
    more = [make("stopped", BEGAN + 90, step=142, checkpoint="checkpoint-125")] if state == "stopped" else []
    followed = follow(str(record_run(homes / "home", state=state, more=more).path))
    followed.poll()
    for width in range(40, 201):
        rows = [row for line in news(followed, width) for row in wrap(line.plain, max(20, width - MARGIN))]
        assert any(key in row for row in rows), (width, rows)
