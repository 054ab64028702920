"""A run that was trained on a base of before does not answer beside one that was trained on the base of now."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.paths import demo_model_path
from loratui.runs.base_files import base_files
from loratui.runs.directory import Run
from loratui.runs.fingerprint import plan_values
from loratui.runs.start import create_run
from loratui.tui.playground.others import other_runs
from loratui.workers.target import find_target


def trained(base: Path, name: str) -> Run:
    run = create_run(with_values(Plan(), {"model.id": str(base)}), name=name)
    run.fingerprint_path.write_text(json.dumps({"plan": plan_values(run.plan()), "base": base_files(run.plan())}))
    run.adapter_path.mkdir()
    (run.adapter_path / "adapter_config.json").write_text('{"r": 16}')
    return run


def test_it_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    base = Path(shutil.copytree(demo_model_path(), tmp_path / "base"))
    trained(base, "before")
    (base / "more.safetensors").write_bytes((base / "model.safetensors").read_bytes())
    trained(base, "now")
    trained(base, "now-too")
    found = other_runs(find_target("now"))
    assert list(found.fitting) == ["now-too"]
    assert list(found.refused) == ["before"] and "not those of its training" in found.refused["before"]
