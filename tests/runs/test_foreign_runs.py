"""Whose a run is: made here or not, its own files or links, and who may look into it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from loratui.core.errors import RunError
from loratui.core.plan import Plan
from loratui.core.plan_text import END_MARK, plan_from_toml, plan_to_toml, whole_plan_from_toml, with_values
from loratui.files import make_folder, write_whole
from loratui.runs.directory import Run
from loratui.runs.events import append_event
from loratui.runs.listing import list_runs
from loratui.runs.lock import take_lock
from loratui.runs.origin import foreign_words, is_foreign
from loratui.runs.own import require_own
from loratui.runs.start import create_run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_run_made_here_is_ours_wherever_it_is_moved(home: Path, tmp_path: Path) -> None:
    run = create_run(Plan(), "mine")
    assert not is_foreign(run) and foreign_words(run, run.plan()) == ""
    moved = Run(run.path.rename(tmp_path / "moved"))
    assert not is_foreign(moved)


def test_a_run_of_another_home_is_foreign_and_its_far_paths_are_told(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_run(Plan(), "mine")
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "strangers"))
    plan = with_values(Plan(), {"dataset.path": "/etc/passwd", "lora.dropout": 0.1})
    strange = create_run(plan, "strange")
    monkeypatch.setenv("LORATUI_HOME", str(home))
    brought = Run(shutil.copytree(strange.path, home / "runs" / "strange"))
    shutil.copy(home / "runs" / "mine" / "plan.toml", tmp_path / "plan.toml")
    assert is_foreign(brought)
    assert "dataset.path = /etc/passwd" in foreign_words(brought, brought.plan())
    (brought.path / "origin.json").unlink()
    assert is_foreign(brought)
    assert {one.name: one.as_json()["foreign"] for one in list_runs()} == {"mine": False, "strange": True}


def test_runs_from_before_there_was_a_mark_stay_ours(home: Path) -> None:
    old = home / "runs" / "old"
    old.mkdir(parents=True)
    (old / "plan.toml").write_text(plan_to_toml(Plan()))
    create_run(Plan(), "new")
    assert not is_foreign(Run(old))


def test_a_plan_that_was_cut_is_refused_in_a_run_and_older_ones_are_read(home: Path) -> None:
    text = plan_to_toml(Plan())
    assert whole_plan_from_toml(text) == Plan()
    unmarked = text.replace(END_MARK, "")
    assert whole_plan_from_toml(unmarked) == Plan()
    older = "\n".join(line for line in text.splitlines() if not line.startswith("attention"))
    assert whole_plan_from_toml(older) == Plan()  # a key that came later
    lines = text.splitlines()
    for end in range(1, len(lines) - 3, 7):
        part = "\n".join(lines[:end])
        assert plan_from_toml(part)  # which is why it must be asked for
        with pytest.raises(Exception, match="cut off"):
            whole_plan_from_toml(part)


def test_a_link_in_a_run_is_named_and_never_written_through(home: Path, tmp_path: Path) -> None:
    run = create_run(Plan(), "run")
    require_own(run)
    target = tmp_path / "diary.txt"
    target.write_text("dear diary\n")
    run.events_path.unlink()
    run.events_path.symlink_to(target)
    with pytest.raises(RunError, match=r"events\.jsonl is a link to .*diary\.txt"):
        require_own(run)
    with pytest.raises(OSError, match="it is a link to"):
        append_event(run, "phase", phase="x")
    assert target.read_text() == "dear diary\n"


def test_a_home_on_another_disk_may_be_reached_by_a_link(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "home").symlink_to(tmp_path / "disk")
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    run = create_run(Plan(), "run")
    require_own(run)
    assert (tmp_path / "disk" / "runs" / "run" / "plan.toml").is_file()


def test_runs_are_private_unless_a_shared_folder_asks_otherwise(home: Path, tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        run = create_run(Plan(), "run")
        assert mode(home) == mode(home / "runs") == mode(run.path) == 0o700
        assert {mode(path) for path in run.path.iterdir()} == {0o600}
        assert mode(home / "state" / "installation.json") == 0o600
        shared = tmp_path / "shared"
        shared.mkdir()
        shared.chmod(0o2775)
        os.umask(0o002)
        theirs = create_run(Plan(), output=shared / "run")
        assert mode(theirs.path) & 0o777 == 0o775
        assert {mode(path) for path in theirs.path.iterdir()} == {0o664}
        open_to_all = tmp_path / "open"
        open_to_all.mkdir(mode=0o755)
        make_folder(open_to_all / "run")
        assert mode(open_to_all / "run") == 0o700
        write_whole(open_to_all / "plan.toml", "x")
        assert mode(open_to_all / "plan.toml") == 0o664  # a file that a person asked for, in a folder of theirs
    finally:
        os.umask(umask)


def test_a_second_worker_names_the_run_and_not_its_own_folder(home: Path) -> None:
    run = create_run(Plan(), "twice")
    with take_lock(run.lock_path):
        worker = subprocess.run(
            [sys.executable, "-m", "loratui.worker", "train", str(run.path)],
            capture_output=True,
            text=True,
            env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
            check=False,
            timeout=120,
        )
    assert worker.returncode == 1 and "run twice already has a worker" in worker.stderr, worker.stderr
