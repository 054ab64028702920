"""`loratui generate` killed at random moments writes what an undisturbed start writes, sampled too."""

from __future__ import annotations

from pathlib import Path

import generate_kills
import pytest
from tiny_models import make_adapter, make_model

pytestmark = pytest.mark.worker


def test_killed_at_random_moments_the_file_is_that_of_an_undisturbed_start(tmp_path: Path) -> None:
    """Four kills here; `benchmarks/generate_kills.py` makes twenty of each kind."""
    import torch  # noqa: F401 (what takes the time, before the forks)

    import loratui.worker.generation.batch  # noqa: F401

    adapter = make_adapter(make_model(tmp_path / "base"), tmp_path / "adapter")
    rows = generate_kills.write_rows(tmp_path / "rows.jsonl", 24)
    found = generate_kills.kill_often(adapter, rows, tmp_path, kills=4, seed=20, midst=True)
    assert all(one.same for one in found), found
    assert found[0].kept > 0, "a kill came while rows were answered"
    lines = (tmp_path / "whole-0.jsonl").read_text().splitlines()
    assert len(lines) == 24 * 2 + 1 and '"problem"' in lines[24]
