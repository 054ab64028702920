"""A base whose files are others than in the training: it is said wherever the run's adapter is used, and never guessed.

A run on another's merged model went on, answered and was merged without a word after that model was made anew.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.export.serving import Served
from loratui.files import read_safetensors_header
from loratui.paths import demo_model_path
from loratui.runs import base_files as files
from loratui.runs.base_files import base_changed, base_files, stands_on
from loratui.runs.directory import Run
from loratui.runs.fingerprint import plan_values, versions, what_would_differ
from loratui.runs.start import create_run
from loratui.workers.target import find_target, served

WEIGHTS = "model.safetensors"
CHANGED = "the base model's files changed"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return Path(shutil.copytree(demo_model_path(), tmp_path / "base"))


def trained(base: Path, **values: Any) -> Run:
    """A run with an adapter on a base, as far as its files tell of that."""
    run = create_run(with_values(Plan(), {"model.id": str(base), **values}), name="wren")
    document = {"plan": plan_values(run.plan()), "base": base_files(run.plan()), "versions": versions()}
    run.fingerprint_path.write_text(json.dumps(document))
    run.adapter_path.mkdir()
    (run.adapter_path / "adapter_config.json").write_text('{"r": 16}')
    return run


def change(weights: Path, *, at: int = -2) -> None:
    """Other weights of the same size in their place, of the same time."""
    facts, held = weights.stat(), bytearray(weights.read_bytes())
    held[at] ^= 1
    weights.write_bytes(held)
    os.utime(weights, ns=(facts.st_atime_ns, facts.st_mtime_ns + 1_000_000_000))


def test_weights_written_anew_are_told_of_on_resume_and_wherever_the_adapter_is_used(base: Path) -> None:
    run = trained(base)
    assert what_would_differ(run) == [] and find_target("wren").note == ""
    change(base / WEIGHTS)
    assert what_would_differ(run) == [CHANGED]
    target = find_target("wren")
    assert target.base_changed and target.note == target.base_changed
    assert target.base_changed.startswith(
        "Its base model's files are not those of its training: model.safetensors was written on 20"
    )
    assert "put them back, or train it anew" in target.base_changed
    assert find_target(str(run.adapter_path)).note == target.base_changed, "also where the adapter's folder is named"
    assert find_target("wren", base="demo").note == "", "another base was asked for"
    assert isinstance(served("wren"), Served), "it is still used"


def test_what_is_asked_for_on_another_base_is_no_change_of_its_files(base: Path, tmp_path: Path) -> None:
    run = trained(base)
    change(base / WEIGHTS)
    other = with_values(run.plan(), {"model.id": "demo"})
    assert CHANGED not in what_would_differ(run, other, ["model.id"])
    assert [one.split(" was ")[0] for one in what_would_differ(run, other)] == ["model.id"]


def test_a_file_that_is_gone_or_new_is_a_change(base: Path) -> None:
    run = trained(base)
    shutil.copy(base / WEIGHTS, base / "more.safetensors")
    assert what_would_differ(run) == [CHANGED] and "more.safetensors" in base_changed(run, run.plan())
    (base / "more.safetensors").unlink()
    assert what_would_differ(run) == []


def test_the_same_weights_copied_anew_are_no_change(base: Path) -> None:
    run = trained(base)
    shutil.rmtree(base)
    shutil.copytree(demo_model_path(), base, copy_function=shutil.copyfile)
    config = json.loads((base / "config.json").read_text()) | {"transformers_version": "99.0"}
    (base / "config.json").write_text(json.dumps(config))
    assert what_would_differ(run) == [] and find_target("wren").note == ""
    (base / "config.json").write_text(json.dumps(config | {"rope_theta": 7.0}))
    assert what_would_differ(run) == [CHANGED] and "config.json" in find_target("wren").note


def test_a_large_file_is_known_by_the_middle_of_each_tensor(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A merge leaves the first and the last bytes of a file as they were."""
    monkeypatch.setattr(files, "WHOLE_BYTES", 0)
    run = trained(base)
    shutil.copyfile(demo_model_path() / WEIGHTS, base / WEIGHTS)
    assert what_would_differ(run) == []
    header, begin = read_safetensors_header(base / WEIGHTS, limit_bytes=1 << 20)
    first, end = header["model.layers.0.self_attn.q_proj.weight"]["data_offsets"]
    change(base / WEIGHTS, at=begin + (first + end) // 2)
    assert what_would_differ(run) == [CHANGED]


def test_nothing_is_said_where_nobody_can_tell(base: Path) -> None:
    run = trained(base)
    change(base / WEIGHTS)
    known = json.loads(run.fingerprint_path.read_text())
    for strange in ({}, {WEIGHTS: "?"}, {WEIGHTS: {"size": 1}}):
        run.fingerprint_path.write_text(json.dumps(known | {"base": strange}))
        assert what_would_differ(run) == [] and find_target("wren").note == ""
    run.fingerprint_path.write_text(json.dumps({key: value for key, value in known.items() if key != "base"}))
    assert what_would_differ(run) == [] and find_target("wren").note == "", "an older run"
    run.fingerprint_path.write_text(json.dumps(known))
    shutil.rmtree(base)
    assert what_would_differ(run) == [], "that it is gone is said where it is loaded"


def test_a_whole_model_has_left_its_base_behind(base: Path) -> None:
    run = trained(base, **{"method.kind": "full"})
    change(base / WEIGHTS)
    assert what_would_differ(run) == []


def test_the_runs_that_stand_on_a_folder_are_named(base: Path, tmp_path: Path) -> None:
    assert stands_on(base) == ""
    trained(base)
    (tmp_path / "link").symlink_to(base)
    assert "The run wren was trained on it" in stands_on(tmp_path / "link")
    create_run(with_values(Plan(), {"model.id": str(base)}), name="kestrel")
    create_run(with_values(Plan(), {"model.id": str(base), "method.kind": "full"}), name="finch")
    assert " and 1 more were trained on it" in stands_on(base)
    assert stands_on(tmp_path) == ""
