"""A run that was begun before rows were held out by content keeps its own split."""

from __future__ import annotations

from pathlib import Path

from loratui.core.plan import Plan
from loratui.core.plan_text import plan_to_toml
from loratui.runs.directory import Run


def test_a_plan_of_a_run_without_the_key_splits_by_order(tmp_path: Path) -> None:
    text = plan_to_toml(Plan())
    assert "split_by" in text
    run = Run(tmp_path)
    run.plan_path.write_text(text)
    assert run.plan().dataset.split_by == "content"
    lines = [line for line in text.splitlines() if not line.startswith("split_by")]
    run.plan_path.write_text("\n".join(lines))
    assert run.plan().dataset.split_by == "order"
