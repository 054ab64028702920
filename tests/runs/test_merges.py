"""How long a merge took is known of the same base on this machine, and of nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from loratui.core.plan import Plan
from loratui.runs.directory import MERGE_NOTE, Run
from loratui.runs.merges import last_merge_seconds, measured_merge
from loratui.runs.origin import sign


def merged(home: Path, name: str, base: str, quantization: str, seconds: object, **other: object) -> Run:
    """A run of this home with the note of a merge."""
    run = Run(home / "runs" / name)
    run.merged_path.mkdir(parents=True)
    took = {**measured_merge(base, quantization, 19.04), "seconds": seconds, **other}
    (run.merged_path / MERGE_NOTE).write_text(json.dumps(took))
    sign(run)
    return run


def test_it_is_that_of_the_same_base_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path))
    new = Run(tmp_path / "runs" / "new")
    assert Plan().method.quantization == "none"
    merged(tmp_path, "other-base", "acme/other", "none", 99.0)
    merged(tmp_path, "other-bits", "acme/base", "nf4", 98.0)
    merged(tmp_path, "other-machine", "acme/base", "none", 97.0, machine="elsewhere")
    merged(tmp_path, "no-number", "acme/base", "none", "long")
    old = merged(tmp_path, "before-times-were-kept", "acme/base", "none", 1.0)
    (old.merged_path / MERGE_NOTE).write_text('{"prompts": 4}')
    torn = merged(tmp_path, "torn", "acme/base", "none", 1.0)
    (torn.merged_path / MERGE_NOTE).write_text("{")
    assert last_merge_seconds(new, "acme/base", "none") is None
    mine = merged(tmp_path, "mine", "acme/base", "none", 19.04)
    assert last_merge_seconds(new, "acme/base", "none") == 19.04
    assert measured_merge("acme/base", "none", 19.04)["seconds"] == 19.0
    shutil.rmtree(mine.path)
    foreign = merged(tmp_path, "brought", "acme/base", "none", 5.0)
    (foreign.path / "origin.json").write_text("{}")
    assert last_merge_seconds(new, "acme/base", "none") is None
