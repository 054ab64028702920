"""What was read of runs that are over is kept for the next look, and counts only while their files are as they were."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from loratui.core.plan import Plan
from loratui.paths import runs_home, state_home
from loratui.runs import summaries
from loratui.runs.directory import Run
from loratui.runs.events import append_event
from loratui.runs.listing import RunList, list_runs
from loratui.runs.start import create_run
from loratui.runs.status import Status, write_status


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORATUI_HOME", str(tmp_path / "home"))


def made(name: str, state: str = "finished") -> Run:
    run = create_run(Plan(), name=name)
    append_event(run, "finished", step=4, seconds=2.0, loss=1.0, result="adapter", result_step=4, judged=True)
    write_status(run.status_path, Status(state=state, created=1.0, step=4, total=4))  # type: ignore[arg-type]
    return run


def break_unseen(path: Path, old: str, new: str) -> None:
    """Change a file as nobody can see without reading it: what is shown after it was not read."""
    before, text = path.stat(), path.read_text()
    assert old in text and len(old) == len(new)
    path.write_text(text.replace(old, new))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_plan_is_read_once_for_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    run = made("one")
    first = list_runs()
    break_unseen(run.plan_path, 'kind = "lora"', 'kind = "####"')
    assert list_runs() == first and first[0].plan == Plan().model_copy(update={"model": first[0].plan.model})
    os.utime(run.plan_path)
    (again,) = list_runs()
    assert again.plan is None and "method.kind" in again.problem, "a file that was touched is read"
    break_unseen(run.plan_path, 'kind = "####"', 'kind = "lora"')
    assert list_runs()[0].problem == again.problem
    monkeypatch.setattr("loratui.__version__", "another")
    assert not list_runs()[0].problem, "another program reads for itself"


def test_what_may_still_change_is_not_kept() -> None:
    made("over"), made("works", "running")
    silent = create_run(Plan(), name="silent")
    write_status(silent.status_path, Status(state="failed", created=1.0, message="It was never started."))
    assert {one.name: one.state for one in list_runs()} == {"over": "finished", "works": "lost", "silent": "failed"}
    kept = json.loads((state_home() / "runs-list.json").read_text())
    assert list(kept["runs"]) == [str(runs_home() / "over")]
    write_status(Run(runs_home() / "over").status_path, Status(state="stopped", created=1.0, message="By hand."))
    assert next(one for one in list_runs() if one.name == "over").words == "By hand."


@pytest.mark.parametrize("text", ["", "[]", '{"program": 5}', "{" * 100_000, "\0"])
def test_what_cannot_be_read_is_made_anew(text: str) -> None:
    made("one")
    first = list_runs()
    (state_home() / "runs-list.json").write_text(text)
    assert list_runs() == first
    assert json.loads((state_home() / "runs-list.json").read_text())["runs"]


def test_a_list_that_cannot_be_kept_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    made("one")

    def full(*arguments: object) -> None:
        raise OSError("no room")

    monkeypatch.setattr(summaries, "write_whole", full)
    assert [one.name for one in list_runs()] == ["one"]
    assert not (state_home() / "runs-list.json").exists()


def test_what_ends_spoilt_while_the_list_is_open_is_told() -> None:
    run = made("one", "running")
    looker = RunList()
    assert looker.look()[0].ruin is None
    append_event(run, "finding", finding="diverged", severity="error", message="It ran away.", step=4)
    write_status(run.status_path, Status(state="finished", created=1.0, step=4, total=4))
    told = looker.look()[0]
    assert told.ruin is not None and told.words == "It ran away."
    assert list_runs()[0].words == "It ran away."


def test_half_a_character_keeps_no_other_run_from_being_kept() -> None:
    made("one")
    half = made("half")
    text = half.status_path.read_text().replace('"message": ""', '"message": "\\ud834 gone"')
    assert "ud834" in text
    half.status_path.write_text(text)
    assert {one.name for one in list_runs()} == {"one", "half"}
    kept = json.loads((state_home() / "runs-list.json").read_text())["runs"]
    assert [Path(path).name for path in kept] == ["one"]
    assert {one.name for one in list_runs()} == {"one", "half"}
