"""What is said of a dataset and the picture of its lengths share the room: no bars stand without their axis."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_dataset_panels import PROBLEMS, checked, result
from textual.widgets import Static
from wizard import screen_text, settled

from loratui.tui.app import LoratuiApp
from loratui.tui.wizard.check import Check


async def test_the_axis_of_the_lengths_stands_below_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At 80 x 24 a fact more moved the axis out of sight: bars stood that nothing named."""
    monkeypatch.setattr(LoratuiApp, "check_dataset", lambda self, **again: None)
    app = checked(tmp_path)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        rows = tmp_path / "doubtful.jsonl"
        one = {"question": "What is it? " * 9, "remarks": "Nobody reads this here. " * 9, "source": "A book, page 9."}
        rows.write_text("".join(json.dumps({**one, "answer": "It is so. " * (n % 9 + 1)}) + "\n" for n in range(90)))
        app.choose_dataset(str(rows))
        await settled(pilot)
        kinds = {"learnt": 60_000, "shown": 29_000, "cut": 0, "reading": 500, "template": 0, "unused": 500}
        found = {**result(**PROBLEMS), "characters": {"source": 90_000, **kinds}}
        app.state.choices.set_value("training.max_length", 128)
        app.state.check.take(Check(app.state.check.key(), result=found))
        await settled(pilot)
        facts = app.screen.query_one("#dataset-facts", Static)
        said = str(facts.content)
        assert "20 rows longer than 128 tokens are cut" in " ".join(said.split()), (
            "there is a warning above the picture"
        )
        lines = screen_text(app).splitlines()
        bars = next(number for number, line in enumerate(lines) if line.startswith("  lengths"))
        assert "tokens" in lines[bars + 1], "the axis stands below the bars"
        assert facts.parent is not None and facts.size.height <= facts.parent.size.height, "nothing is out of sight"
        assert "4 problems: e lists them" in " ".join(said.split()), "what the check found is told to its end"
