"""Where a run lies, what one types for it, what its smaller files say, and how its worker is begun and waited for."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from pathlib import Path

import pytest
from checkpoint_damage import WEIGHTS

from loratui.core.errors import RunError
from loratui.core.plan import Plan
from loratui.core.plan_text import with_values
from loratui.paths import runs_home, state_home
from loratui.runs import start
from loratui.runs.directory import HERE, MERGE_NOTE, Run, held_here
from loratui.runs.folders import any_run, argument_of, may_be_run, typed_here
from loratui.runs.listing import find_run, list_runs
from loratui.runs.origin import is_foreign
from loratui.runs.recovery import left
from loratui.runs.start import begin_run, create_run, wait_started, with_absolute_paths, worker_environment
from loratui.runs.status import Status, own_mark, signs_of_life, write_status


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the person stands."""
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


@pytest.fixture
def run() -> Run:
    return create_run(Plan(), "one")


# ── elsewhere ────────────────────────────────────────────────────────────────


def test_a_run_that_was_begun_elsewhere_is_listed_while_it_is_there(here: Path, tmp_path: Path, run: Run) -> None:
    places = [create_run(Plan(), output=folder).path for folder in (tmp_path / "a" / "one", tmp_path / "b" / "two")]
    assert {one.name for one in list_runs()} == {"one", *map(str, places)}, "two of one name have each its own"
    assert find_run("two").path == places[1] and find_run("one").path == run.path, "those at home come first"
    assert find_run(str(places[0])).path == places[0]
    (tmp_path / "b").rename(tmp_path / "away")
    assert {one.name for one in list_runs()} == {"one", str(places[0])}
    (tmp_path / "away").rename(tmp_path / "b")
    assert {one.name for one in list_runs()} == {"one", *map(str, places)}, "nothing was lost of it"


def test_runs_elsewhere_are_something_to_come_back_to(tmp_path: Path) -> None:
    assert not any_run() and list_runs() == []
    place = create_run(Plan(), output=tmp_path / "out").path
    assert any_run() and [one.run.path for one in list_runs()] == [place]
    shutil.rmtree(place)
    assert not any_run() and list_runs() == []


def test_a_run_is_begun_where_the_list_cannot_be_kept_and_a_torn_list_is_read(tmp_path: Path) -> None:
    kept = state_home() / "runs-elsewhere.jsonl"
    kept.mkdir(parents=True)
    run = create_run(Plan(), output=tmp_path / "out")
    assert "will not list it" in (run.path / "beside.log").read_text()
    kept.rmdir()
    other = create_run(Plan(), output=tmp_path / "other")
    kept.write_text(kept.read_text() + '"/half\n[1]\n"relative"\n')
    assert [one.run.path for one in list_runs()] == [other.path]


def test_a_folder_of_loratui_by_another_way_is_not_elsewhere(tmp_path: Path, run: Run) -> None:
    (tmp_path / "link").symlink_to(runs_home())
    create_run(Plan(), output=tmp_path / "link" / "two")
    assert sorted(one.name for one in list_runs()) == ["one", "two"]


# ── places ───────────────────────────────────────────────────────────────────


def test_what_one_types_for_a_run_finds_it_from_where_one_stands(here: Path, tmp_path: Path, run: Run) -> None:
    assert run.typed == run.typed_anywhere == "one" and argument_of(run.path) == "one"
    for name, typed in (("out", "./out"), ("runs/a b", "'runs/a b'"), ("-x/y", "./-x/y"), ("~/z", f"{here}/~/z")):
        place = here / name
        assert typed_here(place) == (typed if not typed.startswith(str(here)) else f"'{typed}'")
        assert argument_of(place) == str(place)
    assert typed_here(tmp_path / "elsewhere") == str(tmp_path / "elsewhere")
    os.chdir("/")
    assert typed_here(here / "out") == str(here / "out"), "from the root nothing is nearer"


def test_where_the_folder_one_stands_in_is_gone_the_whole_path_is_typed(here: Path, tmp_path: Path) -> None:
    here.rmdir()
    assert typed_here(tmp_path / "out") == str(tmp_path / "out")
    os.chdir(tmp_path)


def test_a_folder_is_a_run_by_its_names_whatever_is_in_it(tmp_path: Path) -> None:
    assert not any_run()
    (runs_home() / "thesis").mkdir(parents=True)
    (runs_home() / "notes.txt").write_text("x")
    assert not any_run() and not may_be_run(runs_home() / "notes.txt")
    (runs_home() / "torn").mkdir()
    (runs_home() / "torn" / "plan.toml").symlink_to("/nowhere")
    assert may_be_run(runs_home() / "torn") and any_run()
    assert not may_be_run(Path("/" + "x" * 5000))


def test_who_may_not_look_is_told_of_it_in_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(self: Path) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "lstat", locked)
    assert may_be_run(tmp_path)


def test_a_worker_keeps_its_run_where_somebody_moves_it(run: Run, tmp_path: Path) -> None:
    held = held_here(run)
    assert held.path == HERE and held.name == "one" and held.plan() == Plan()
    run.path.rename(tmp_path / "moved")
    (HERE / "worker.log").write_text("still mine\n")
    assert held.place == tmp_path / "moved" and (tmp_path / "moved" / "worker.log").read_text() == "still mine\n"


def test_a_home_that_takes_no_mark_tells_no_run_apart(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    (run.path / "origin.json").write_text('{"run": 5}')
    assert is_foreign(run)
    (state_home() / "installation.json").write_text('{"secret": 5}')
    assert not is_foreign(run)


# ── small files ──────────────────────────────────────────────────────────────


def test_what_is_gone_is_said(run: Run, tmp_path: Path) -> None:
    gone = Run(tmp_path / "gone").status()
    assert gone.state == "lost" and gone.message.endswith("any more: it was moved or removed.")
    run.status_path.unlink()
    assert run.status().message.startswith("This run has no status.json")
    with pytest.raises(RunError, match=r"is no run: it has no plan\.toml"):
        Run(tmp_path / "gone").plan()
    run.plan_path.unlink()
    run.plan_path.mkdir()
    with pytest.raises(RunError, match="the run's plan cannot be read"):
        run.plan()


def test_notes_that_cannot_be_read_are_named_and_help_alone_is_left_out(run: Run) -> None:
    assert run.machine() == {} and run.fingerprint() == {} and run.proposed() == {}
    run.proposed_path.write_text('{"values": {"lora.r": 8}, "bf16": "yes"}')
    assert run.proposed() == {"values": {"lora.r": 8}}
    for path in (run.machine_path, run.fingerprint_path):
        path.write_text('{"half')
    with pytest.raises(RunError, match=r"machine\.json.*cannot be read"):
        run.machine()
    with pytest.raises(RunError, match=r"fingerprint\.json.*cannot be read.*Put it back from a copy"):
        run.fingerprint()
    run.fingerprint_path.write_text('{"plan": [1]}')
    with pytest.raises(RunError, match="its part 'plan' is no object"):
        run.fingerprint()


def test_first_weights_lie_in_the_run(run: Run) -> None:
    assert run.first_weights() is None
    run.first_weights_path.write_text('{"weights": "earlier/checkpoint-4"}')
    assert run.first_weights() == run.path / "earlier/checkpoint-4"
    for name in ('"/etc"', '"../other"', "5"):
        run.first_weights_path.write_text(f'{{"weights": {name}}}')
        with pytest.raises(RunError, match="it names no checkpoint of this run"):
            run.first_weights()


def test_a_merge_is_of_the_adapter_as_it_is_now(run: Run) -> None:
    assert not run.merged_is_current
    for folder, name in ((run.adapter_path, WEIGHTS), (run.merged_path, "config.json")):
        folder.mkdir()
        (folder / name).write_text("{}")
    os.utime(run.adapter_path / WEIGHTS, (100, 100))
    assert run.merged_is_current
    os.utime(run.merged_path / "config.json", (50, 50))
    assert not run.merged_is_current
    os.utime(run.merged_path / "config.json", (150, 150))
    other = create_run(with_values(Plan(), {"method.kind": "qlora", "method.quantization": "nf4"}), "other")
    (run.adapter_path).rename(other.adapter_path)
    (run.merged_path).rename(other.merged_path)
    assert not other.merged_is_current, "older merges of quantised trainings do not say onto which base"
    (other.merged_path / MERGE_NOTE).write_text("{}")
    assert other.merged_is_current


def test_what_cannot_be_locked_counts_as_held(run: Run) -> None:
    assert not run.in_use()
    run.lock_path.touch()
    assert not run.in_use()
    run.lock_path.unlink()
    os.mkfifo(run.lock_path)
    assert run.in_use()


# ── beginning ────────────────────────────────────────────────────────────────


def test_paths_of_here_are_found_from_anywhere_and_names_stay(here: Path) -> None:
    (here / "rows.jsonl").write_text("{}\n")
    (here / "Qwen").mkdir()
    plan = with_values(Plan(), {"dataset.path": "rows.jsonl", "model.id": "Qwen/Qwen3-0.6B"})
    made = with_absolute_paths(plan)
    assert made.dataset.path == str(here / "rows.jsonl") and made.model.id == "Qwen/Qwen3-0.6B"
    assert create_run(plan).plan().dataset.path == str(here / "rows.jsonl")


def test_what_a_person_set_of_the_allocator_stays() -> None:
    plan = with_values(Plan(), {"hardware.cpu": True})
    assert "PYTORCH_ALLOC_CONF" in worker_environment(plan, {})
    theirs = worker_environment(plan, {"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:64", "CUDA_DEVICE_ORDER": "x"})
    assert "PYTORCH_ALLOC_CONF" not in theirs and theirs["PYTORCH_CUDA_ALLOC_CONF"] == "max_split_size_mb:64"
    assert theirs["CUDA_DEVICE_ORDER"] == "PCI_BUS_ID"


def test_a_run_begun_on_another_thread_may_recover_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        start, "worker_command", lambda run, rehearse=False: [sys.executable, "-c", f"print({rehearse})"]
    )
    begun: list[tuple[Run, int]] = []
    plan = with_values(Plan(), {"hardware.cpu": True})
    thread = threading.Thread(target=lambda: begun.append(begin_run(plan, auto_recover=True)))
    thread.start()
    thread.join(60)
    ((run, pid),) = begun
    assert left(run) > 0 and pid
    with pytest.raises(RunError, match=r"died at start \(exit status 0\); its last line was: False"):
        wait_started(run, 20, pid=pid)


def test_who_waits_for_a_worker_is_told_of_its_end(run: Run) -> None:
    assert wait_started(run, 0.0).state == "starting", "it lives still when the time runs out"
    mark = own_mark()
    process = {"pid": mark.pid, "process_started": mark.started, "process_ticks": mark.ticks}
    life = signs_of_life() | process
    write_status(run.status_path, Status(state="running", created=time.time(), **life))
    assert wait_started(run, 5).state == "running"
    write_status(run.status_path, Status(state="failed", message="the disk is full.", **life))
    with pytest.raises(RunError, match=r"one: the worker failed: the disk is full\."):
        wait_started(run, 5)
    write_status(run.status_path, Status(state="failed", message="no such model."))
    with pytest.raises(RunError, match=r"the worker failed: no such model\..*Its log: "):
        wait_started(run, 5)
    run.status_path.write_text(json.dumps({"state": "starting", "created": 1.0}))
    run.log_path.unlink()
    with pytest.raises(RunError, match=r"the worker died at start\."):
        wait_started(run, 5)
